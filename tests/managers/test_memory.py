"""What is special about the memory manager."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.errors import ConfigError, QueueError
from nuxt_queue.managers import MemoryWorkerManager
from nuxt_queue.managers.clock import ManualClock
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.state import MemoryStateStore

WAIT_S = 5.0


class Impatient(MemoryWorkerManager):
    """Gives up on a cancelled handler at once."""

    cancel_s = 0


def contexts() -> ContextService:
    return ContextService(MemoryStateStore(), EventBus())


@pytest.fixture
async def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def manager(clock: ManualClock) -> AsyncIterator[MemoryWorkerManager]:
    async with Impatient(contexts(), clock=clock, max_waiting=3, max_finished=2) as made:
        yield made


async def echo(job: dict[str, Any], _context: JobContext) -> Any:
    return job["data"]


async def test_a_full_queue_refuses_the_next_job_and_says_so(manager: MemoryWorkerManager) -> None:
    await manager.enqueue("q", "a")
    await manager.enqueue("q", "a", None, {"delay": 1000})
    await manager.enqueue("q", "a", None, {"jobId": "third"})

    with pytest.raises(QueueError, match='queue "q" is full: 3 jobs wait in memory'):
        await manager.enqueue("q", "a")

    assert await manager.enqueue("q", "a", None, {"jobId": "third"}) == "third"
    assert await manager.enqueue("p", "a")


async def test_ended_jobs_do_not_pile_up(manager: MemoryWorkerManager) -> None:
    done: asyncio.Queue[Any] = asyncio.Queue()
    manager.on("q", "completed", done.put_nowait)
    await manager.register_worker("q", "a", echo)

    async with asyncio.timeout(WAIT_S):
        for n in range(5):
            await manager.enqueue("q", "a", n, {"removeOnComplete": 100})
            await done.get()

    assert [job.data for job in await manager.get_jobs("q")] == [3, 4]


async def test_a_delayed_job_is_still_there_when_the_manager_closes(
    manager: MemoryWorkerManager, clock: ManualClock
) -> None:
    job_id = await manager.enqueue("q", "a", None, {"delay": 1000})
    await manager.close_all(grace_s=0)
    clock.advance(2000)

    job = await manager.get_job("q", job_id)
    assert job is not None
    assert job.state == "delayed"


async def test_a_handler_that_ignores_its_cancellation_does_not_hold_up_the_end(
    manager: MemoryWorkerManager,
) -> None:
    running, go = asyncio.Event(), asyncio.Event()

    async def stubborn(_job: dict[str, Any], _context: JobContext) -> None:
        running.set()
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue

    await manager.register_worker("q", "a", stubborn)
    await manager.enqueue("q", "a")
    async with asyncio.timeout(WAIT_S):
        await running.wait()
        await manager.close_all(grace_s=0)

    go.set()
    async with asyncio.timeout(WAIT_S):
        while manager._in_flight.claims:  # noqa: ASYNC110 nobody is told of its end
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"runtime": "ruby", "path": "w.rb"},
            'unknown runtime "ruby"; known: python, node, node-isolated, inprocess',
        ),
        ({"runtime": "inprocess"}, 'runtime "inprocess" needs a handler'),
        ({"runtime": "python"}, 'runtime "python" needs opts.path'),
        ({}, 'runtime "python" needs opts.path'),
    ],
)
async def test_a_runtime_that_cannot_work_is_refused_at_registration(
    manager: MemoryWorkerManager, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(QueueError) as caught:
        await manager.register_worker("q", "a", None, options)

    assert message in str(caught.value)


async def test_a_worker_file_runs_in_a_child_process_by_default(
    manager: MemoryWorkerManager, tmp_path: Path
) -> None:
    worker = tmp_path / "double.py"
    worker.write_text(
        "from nuxt_queue import run_worker\n\n"
        "async def handler(job, ctx):\n    return job['data'] * 2\n\n"
        "if __name__ == '__main__':\n    run_worker(handler)\n",
        "utf-8",
    )
    done: asyncio.Queue[Any] = asyncio.Queue()
    manager.on("q", "completed", done.put_nowait)
    manager.on("q", "failed", done.put_nowait)
    await manager.register_worker("q", "a", None, {"path": str(worker), "timeout": 30_000})

    await manager.enqueue("q", "a", 21)
    async with asyncio.timeout(30):
        event = await done.get()

    assert (event.returnvalue, event.failed_reason) == (42, None)


async def test_a_worker_file_that_is_not_there_is_refused_at_registration(
    manager: MemoryWorkerManager, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"missing\.py does not exist"):
        await manager.register_worker("q", "a", None, {"path": str(tmp_path / "missing.py")})

    assert manager.get_worker("q", "a") is None


async def test_a_bus_that_is_away_does_not_fail_the_job(caplog: pytest.LogCaptureFixture) -> None:
    """host-contract 3: publishing is best effort."""

    class AwayBus(EventBus):
        async def publish(self, type: str, *_args: Any, **_more: Any) -> Any:  # noqa: A002 its name
            raise ConnectionError(f"no place for {type}")

    done: asyncio.Queue[Any] = asyncio.Queue()
    async with MemoryWorkerManager(ContextService(MemoryStateStore(), AwayBus())) as manager:
        manager.on("q", "completed", done.put_nowait)
        await manager.register_worker("q", "a", echo)
        await manager.enqueue("q", "a", 1)
        async with asyncio.timeout(WAIT_S):
            assert (await done.get()).returnvalue == 1

    assert "step.completed of job" in caplog.text


async def test_a_job_that_is_interrupted_before_its_handler_began_waits_again() -> None:
    reached, go = asyncio.Event(), asyncio.Event()
    bus = EventBus()

    async def slow_listener(_event: Any) -> None:
        reached.set()
        await go.wait()

    bus.subscribe(slow_listener)
    manager = MemoryWorkerManager(ContextService(MemoryStateStore(), bus))
    await manager.register_worker("q", "a", echo)
    job_id = await manager.enqueue("q", "a", 1)
    async with asyncio.timeout(WAIT_S):
        await reached.wait()
        closing = asyncio.create_task(manager.close_all(grace_s=0))
        for _ in range(10):
            await asyncio.sleep(0)
        go.set()
        await closing

    job = await manager.get_job("q", job_id)
    assert job is not None
    assert (job.state, job.attempts_made) == ("waiting", 0)


async def test_a_limiter_has_one_timer_however_many_jobs_wait(clock: ManualClock) -> None:
    async with MemoryWorkerManager(contexts(), clock=clock) as manager:
        limiter = {"max": 1, "duration": 1_000}
        await manager.register_worker("q", "a", echo, {"limiter": limiter, "concurrency": 9})
        for n in range(50):
            await manager.enqueue("q", "a", n)
        assert sum(timer._callback is not None for *_, timer in clock._planned) == 1
    assert sum(timer._callback is not None for *_, timer in clock._planned) == 0
