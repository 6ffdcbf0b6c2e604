"""What is longer than `worker.max_message` is refused by the call that it was given to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nbtools.emulator.run import run_local
from nuxt_queue.errors import HandlerError, ValuePathError
from nuxt_queue.managers import MemoryWorkerManager, WorkerOptions
from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

LIMIT = 10_000
ADVICE = "worker.max_message allows 10,000; write a file and pass its path"
CALLS = {
    "ctx.state.set('k')": "ctx.state.set('k', big)",
    "ctx.flow.emit('e')": "ctx.emit('e', {'a': big})",
    "result": "None",
}
WORKER = """
def handler(job, ctx):
    big = "x" * job["data"]
    {call}
    return big if {is_result} else 1
"""


async def in_a_notebook(source: str, size: int) -> Any:
    space: dict[str, Any] = {}
    exec(source, space)
    config = {"worker": {"max_message": LIMIT}}
    return (await run_local(space["handler"], size, config=config)).result


async def in_a_process(source: str, size: int, folder: Path) -> Any:
    worker = folder / "worker.py"
    worker.write_text(source)
    service = ContextService(MemoryStateStore(), EventBus())
    job = {"id": "1", "name": "j", "data": size, "attemptsMade": 0, "opts": {}}
    async with ChildProcessRunner(worker, max_message=LIMIT) as runner:
        return await runner.execute(job, service.for_job(Scope("1", "q")))


@pytest.mark.parametrize("what", CALLS)
async def test_a_notebook_and_a_process_refuse_the_same_at_the_same_size(
    what: str, tmp_path: Path
) -> None:
    source = WORKER.format(call=CALLS[what], is_result=what == "result")
    sizes = range(LIMIT - 160, LIMIT + 1)

    async def is_taken(size: int) -> bool:
        try:
            await in_a_notebook(source, size)
        except ValuePathError as error:
            said.add(str(error).partition(" bytes of JSON, and ")[0] + str(error)[-len(ADVICE) :])
            return False
        return True

    said: set[str] = set()
    taken = [size for size in sizes if await is_taken(size)]
    assert taken == list(sizes[: len(taken)])
    assert 0 < len(taken) < len(sizes)
    assert said == {f"{what} is {LIMIT + 1 + n:,}{ADVICE}" for n in range(len(sizes) - len(taken))}

    await in_a_process(source, taken[-1], tmp_path)
    with pytest.raises(HandlerError) as caught:
        await in_a_process(source, taken[-1] + 1, tmp_path)
    assert caught.value.type == "ValuePathError"
    assert caught.value.text.startswith(f"{what} is 10,001 bytes of JSON")
    assert caught.value.text.endswith(ADVICE)
    if what != "result":
        assert caught.value.data["location"]["line"] == 4


async def test_what_another_worker_has_stored_is_refused_to_one_that_cannot_read_it(
    tmp_path: Path,
) -> None:
    state = MemoryStateStore()
    await state.set("", "k", "x" * LIMIT)
    worker = tmp_path / "worker.py"
    worker.write_text("def handler(job, ctx): return ctx.state.get('k')\n")
    job = {"id": "1", "name": "j", "data": 1, "attemptsMade": 0, "opts": {}}
    context = ContextService(state, EventBus()).for_job(Scope("1", "q"))
    async with ChildProcessRunner(worker, max_message=LIMIT) as runner:
        with pytest.raises(HandlerError) as caught:
            await runner.execute(job, context)
    assert caught.value.text == f"ctx.state.get('k') is 10,002 bytes of JSON, and {ADVICE}"


async def test_a_long_log_line_is_shortened_and_fails_no_job(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(
        "def handler(job, ctx):\n"
        "    ctx.logger.info('y' * 20_000)\n"
        "    ctx.logger.info('short', {'a': 'x' * 20_000})\n"
        "    return 1\n"
    )
    bus = EventBus()
    job = {"id": "1", "name": "j", "data": 1, "attemptsMade": 0, "opts": {}}
    context = ContextService(MemoryStateStore(), bus).for_job(Scope("1", "q"))
    async with ChildProcessRunner(worker, max_message=LIMIT) as runner:
        assert await runner.execute(job, context) == 1
    logged = [event.data for event in await bus.read("1") if event.type == "log"]
    assert [line["message"] for line in logged] == ["y" * 200 + "…", "short…"]
    assert all(line["metadataError"].endswith(ADVICE) for line in logged)


async def test_data_is_refused_where_it_is_enqueued(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text("def handler(job, ctx): return len(job['data'])\n")

    def runtime(options: WorkerOptions) -> Any:
        assert options.path is not None
        return ChildProcessRunner(options.path, max_message=LIMIT)

    contexts = ContextService(MemoryStateStore(), EventBus())
    async with MemoryWorkerManager(contexts, runtimes=runtime) as manager:
        over = asyncio.Event()
        manager.on("q", "completed", lambda _: over.set())
        await manager.register_worker("q", "j", opts=WorkerOptions(path=worker))
        with pytest.raises(ValuePathError, match=r"^data is 10,001 bytes of JSON, and worker"):
            await manager.enqueue("q", "j", "x" * (LIMIT - 1))
        job_id = await manager.enqueue("q", "j", "x" * (LIMIT - 2))
        await asyncio.wait_for(over.wait(), 20)
        job = await manager.get_job("q", job_id)
        assert job is not None
        assert job.returnvalue == LIMIT - 2
