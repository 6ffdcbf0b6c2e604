"""A warm process of Node: one job after another, one at a time, thrown away when in doubt."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.errors import (
    HandlerError,
    JobError,
    WorkerCancelledError,
    WorkerCrashedError,
    WorkerTimeoutError,
)
from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.runner.pool import WarmProcesses
from nuxt_queue.runner.process import ChildProcess
from tests.process.conftest import QUICK, SCOPE, WAIT_S, Host, is_alive

COUNTS = "node/counts_jobs.mjs"


@contextlib.asynccontextmanager
async def warm(host: Host, worker: str | Path = COUNTS, **options: Any) -> AsyncIterator[Any]:
    """Make a runner whose processes are warm; yields a function that runs a job."""
    runner = host.runner(worker, runtime="node", **options)

    async def run(**data: Any) -> Any:
        async with asyncio.timeout(WAIT_S):
            return await runner.execute({"id": "1", "data": data}, host.service.for_job(SCOPE))

    run.runner = runner  # type: ignore[attr-defined]  # for the tests that look at it
    try:
        yield run
    finally:
        await runner.close()


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    async with asyncio.timeout(WAIT_S):
        while is_alive(pid):  # noqa: ASYNC110 the kernel has no event for somebody else's child
            await asyncio.sleep(0.01)


async def test_one_process_runs_one_job_after_another(host: Host) -> None:
    async with warm(host) as run:
        first = await run()
        again = [await run() for _ in range(20)]
        assert [got["count"] for got in again] == list(range(2, 22))
        assert {got["pid"] for got in again} == {first["pid"]}
        assert is_alive(first["pid"])
    assert not is_alive(first["pid"])


async def test_what_a_job_prints_is_its_own(host: Host) -> None:
    async with warm(host) as run:
        for n in range(1, 30):
            await run.runner.execute(
                {"id": str(n), "data": {}},
                host.service.for_job(replace(SCOPE, flow_id=f"run{n}")),
            )
            assert await host.logs(f"run{n}") == [f"job {n}"]


async def test_there_are_as_many_processes_as_jobs_at_once(host: Host) -> None:
    async with warm(host) as run:
        together = await asyncio.gather(*(run(meet=3) for _ in range(3)))
        assert len({got["pid"] for got in together}) == 3
        after = [await run() for _ in range(3)]
        assert len({got["pid"] for got in after}) == 1
        assert after[0]["pid"] in {got["pid"] for got in together}


async def test_an_error_of_the_handler_does_not_cost_the_process(host: Host) -> None:
    async with warm(host) as run:
        first = await run()
        with pytest.raises(HandlerError, match="as told"):
            await run(how="throws")
        assert await run() == {"count": 3, "pid": first["pid"]}


@pytest.mark.parametrize(
    ("how", "error"),
    [("exits", WorkerCrashedError), ("dies", WorkerCrashedError), ("hangs", WorkerTimeoutError)],
)
async def test_a_process_that_did_not_answer_is_thrown_away(
    host: Host, how: str, error: type[JobError]
) -> None:
    async with warm(host, timeouts=QUICK, timeout_ms=2_000) as run:
        first = await run()
        with pytest.raises(error):
            await run(how=how)
        assert not is_alive(first["pid"])
        assert (await run())["count"] == 1


async def test_a_cancelled_job_takes_its_process_along(host: Host) -> None:
    async with warm(host, timeouts=QUICK) as run:
        ready = asyncio.Event()
        host.on("log", lambda _data: ready.set())
        job = run.runner.start({"id": "1", "data": {"how": "hangs"}}, host.service.for_job(SCOPE))
        await asyncio.wait_for(ready.wait(), WAIT_S)
        job.cancel()
        with pytest.raises(WorkerCancelledError):
            await job
        assert not is_alive(await host.pid())
        assert (await run())["count"] == 1


async def test_a_process_that_is_busy_after_its_answer_is_killed(host: Host) -> None:
    async with warm(host, timeouts=QUICK) as run:
        first = await run(how="blocks later")
        assert not is_alive(first["pid"])
        assert (await host.events("log"))[-1]["level"] == "warn"
        assert (await run())["count"] == 1


async def test_a_process_that_died_while_it_waited_is_not_lent(host: Host) -> None:
    async with warm(host) as run:
        first = await run()
        os.kill(first["pid"], signal.SIGKILL)
        await gone(first["pid"])
        assert (await run())["count"] == 1


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2", "SIGKILL"])
async def test_a_signal_between_jobs_costs_no_job(host: Host, name: str) -> None:
    """Neither before the process is asked whether it is ready, nor after."""
    async with warm(host) as run:
        first = await run()
        os.kill(first["pid"], getattr(signal, name))
        second = await run()
        source = run.runner.processes
        is_fit = source._is_fit

        async def hit(process: ChildProcess) -> bool:
            fit = await is_fit(process)
            if process.pid == second["pid"]:
                os.kill(process.pid, getattr(signal, name))
                await gone(process.pid)
            return bool(fit)

        source._is_fit = hit
        third = await run()
    assert [job["count"] for job in (first, second, third)] == [1, 1, 1]


async def test_a_process_that_waits_for_long_ends(host: Host) -> None:
    async with warm(host) as run:
        runner: ChildProcessRunner = run.runner
        runner.processes = WarmProcesses(runner.launch, 1 << 20, QUICK, idle_s=0.05)
        first = await run()
        await gone(first["pid"])
        assert (await run())["count"] == 1


async def test_what_prints_while_nobody_runs_harms_nobody(host: Host) -> None:
    async with warm(host) as run:
        first = await run(how="prints later")
        await asyncio.sleep(0.1)  # the time in which it prints
        assert (await run())["pid"] == first["pid"]
        assert await host.logs() == ["job 1", "job 2"]


async def test_a_changed_file_is_run_as_it_is_now(host: Host) -> None:
    worker = host.folder / "w.mjs"
    worker.write_text("export default () => 'old'")
    async with warm(host, worker) as run:
        assert await run() == "old"
        worker.write_text("export default () => 'newer'")
        assert await run() == "newer"


async def test_a_file_that_could_not_be_imported_is_imported_again(host: Host) -> None:
    (host.folder / "w.mjs").write_text("export { default } from './part.mjs'")
    async with warm(host, host.folder / "w.mjs") as run:
        with pytest.raises(HandlerError, match=r"part\.mjs"):
            await run()
        (host.folder / "part.mjs").write_text("export default () => 'mended'")
        assert await run() == "mended"


async def test_a_context_that_outlived_its_job_fails_the_next_one_at_once(host: Host) -> None:
    """Faults 47: kept in a module, it speaks for a job that has its answer."""
    worker = host.folder / "keeps.mjs"
    worker.write_text(
        "let kept\n"
        "export default async (job, ctx) => {\n"
        "  kept ??= ctx\n"
        "  return await kept.state.get('k')\n"
        "}\n"
    )
    async with warm(host, worker) as run:
        assert await run() is None
        with pytest.raises(HandlerError, match=r'state\.get\("k"\): the job has ended'):
            await run()


LEAVES = """
export default async (job, ctx) => {
  if (job.data.how) {
    const released = new Promise((resolve) => { globalThis.release = resolve })
    const left = {
      call: () => released.then(() => ctx.state.get('k')),
      rejection: () => released.then(() => { throw new Error('late') }),
      timer: () => released.then(() => setTimeout(() => { throw new Error('late') }, 0)),
    }
    left[job.data.how]()
    return process.pid
  }
  globalThis.release?.()
  await new Promise((resolve) => setTimeout(resolve, 20))
  return [await ctx.state.get('k'), process.pid]
}
"""


@pytest.mark.parametrize("how", ["call", "rejection", "timer"])
async def test_what_a_job_left_behind_fails_no_other(host: Host, how: str) -> None:
    """It is in the log of the job that left it, and the process is not used again."""
    worker = host.folder / "leaves.mjs"
    worker.write_text(LEAVES)
    one, two = (replace(SCOPE, flow_id=f"run{n}", job_id=f"job{n}") for n in (1, 2))
    async with warm(host, worker) as run:
        jobs = [
            await run.runner.execute({"id": "1", "data": data}, host.service.for_job(scope))
            for scope, data in ((one, {"how": how}), (two, {}), (two, {}))
        ]
    assert jobs[1] == [None, jobs[0]]
    assert jobs[2][1] != jobs[0]
    (line,) = await host.logs("run1")
    assert line.startswith("left behind: ")
    assert ("the job has ended" if how == "call" else "Error: late") in line
    assert await host.logs("run2") == []


async def test_a_job_that_is_given_up_before_it_began_leaves_no_process(host: Host) -> None:
    async with warm(host) as run:
        first = await run()
        job = asyncio.create_task(run())
        for _ in range(3):  # into the question whether the process is ready
            await asyncio.sleep(0)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
    assert not is_alive(first["pid"])


async def test_a_closed_pool_keeps_no_process(host: Host) -> None:
    async with warm(host) as run:
        first = await run()
        await run.runner.close()
        assert not is_alive(first["pid"])
        last = await run()
        assert last["count"] == 1
        assert not is_alive(last["pid"])
        await run.runner.close()


async def test_an_isolated_worker_has_a_process_for_each_job(host: Host) -> None:
    runner = host.runner(COUNTS, runtime="node-isolated")
    jobs = [runner.execute({"id": "1", "data": {}}, host.service.for_job(SCOPE)) for _ in range(3)]
    got = await asyncio.gather(*jobs)
    assert [each["count"] for each in got] == [1, 1, 1]
    assert not any(is_alive(each["pid"]) for each in got)
