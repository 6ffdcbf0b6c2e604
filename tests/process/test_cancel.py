"""A job that is cancelled: asked first, ended then (faults 17)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuxt_queue.errors import FlowCancelledError, HandlerError, WorkerCancelledError
from nuxt_queue.runner import JobHandle, Timeouts
from nuxt_queue.services.scope import Scope
from tests.process.conftest import BOTH_WAYS, QUICK, SCOPE, WAIT_S, Host, is_alive, settled

HOSTS = BOTH_WAYS


async def working(host: Host, way: str, timeouts: Timeouts = QUICK) -> JobHandle:
    """Start a job and return once its handler works."""
    works = asyncio.Event()
    host.on("log", lambda data: works.set() if data["message"] == "working" else None)
    runner = host.runner("listens_to_cancel.py", timeouts=timeouts)
    handle = runner.start({"id": "1", "data": way}, host.service.for_job(SCOPE))
    await asyncio.wait_for(works.wait(), WAIT_S)
    return handle


@pytest.mark.parametrize("way", ["polls", "awaits"])
async def test_a_handler_that_listens_comes_to_an_end_of_its_own(host: Host, way: str) -> None:
    """What it answers in time is the outcome."""
    handle = await working(host, way, Timeouts(cancel_s=WAIT_S))
    assert not handle.done()
    handle.cancel()
    handle.cancel()
    assert await settled(handle) == "stopped in time"
    assert handle.done()


async def test_a_handler_that_raises_when_cancelled_has_failed_with_its_own_error(
    host: Host,
) -> None:
    handle = await working(host, "raises", Timeouts(cancel_s=WAIT_S))
    handle.cancel()
    outcome = await settled(handle)
    assert type(outcome) is HandlerError
    assert str(outcome) == "RuntimeError: stopped half-way"


async def test_a_handler_that_does_not_listen_is_ended(host: Host) -> None:
    handle = await working(host, "deaf")
    handle.cancel()
    outcome = await settled(handle)
    assert type(outcome) is WorkerCancelledError
    assert str(outcome) == "Worker cancelled"
    assert outcome.duration_ms is not None
    assert not is_alive(await host.pid())


async def test_a_task_that_is_cancelled_asks_its_handler_too(host: Host) -> None:
    """Whoever cancels the task gives the outcome up; the handler may still tidy up."""
    handle = await working(host, "polls", Timeouts(cancel_s=WAIT_S))
    waiting = asyncio.ensure_future(_wait(handle))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, WAIT_S)
    assert await host.logs() == ["working", "tidied up"]
    assert not is_alive(await host.pid())


async def test_a_cancel_that_races_with_the_answer_has_one_outcome(host: Host) -> None:
    """Faults 16 and 17."""
    runner = host.runner("echo.py", timeouts=QUICK)
    ends: list[Any] = []
    for turn in range(20):
        handle = runner.start({"id": "1", "data": "x"}, host.service.for_job(SCOPE))
        await asyncio.sleep(turn * 0.004)  # the fault itself: at another time in each turn
        handle.cancel()
        ends.append(await settled(handle))
    assert {type(end) for end in ends} <= {str, WorkerCancelledError}
    assert ends[-1] == "x"


async def _wait(handle: JobHandle) -> Any:
    return await handle


class Cancelled:
    """A flow engine whose run has been cancelled while the process started."""

    async def step_begins(self, scope: Scope) -> None:
        raise FlowCancelledError(scope.run_id)


@pytest.mark.parametrize("runtime", ["python", "node"])
async def test_a_handler_of_a_run_that_was_cancelled_meanwhile_is_not_called(
    host: Host, runtime: str
) -> None:
    """A process may take its time to start, more so among many."""
    path = host.folder / ("w.py" if runtime == "python" else "w.mjs")
    path.write_text(
        "def handler(job, ctx): ctx.logger.info('called')\n"
        if runtime == "python"
        else "export default (job, ctx) => ctx.logger.info('called')\n"
    )
    host.service.steps = Cancelled()  # type: ignore[assignment]
    with pytest.raises(FlowCancelledError):
        await host.run(path, runtime=runtime, timeouts=QUICK)
    assert await host.logs() == []
    plain = Scope("job2", "q")  # of no run, so nobody is asked
    await host.run(path, runtime=runtime, scope=plain, timeouts=QUICK)
    assert await host.logs("job2") == ["called"]
