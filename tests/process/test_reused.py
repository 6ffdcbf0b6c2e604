"""A warm process of Python: one job after another, one at a time, thrown away when in doubt."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.app import open_app
from nuxt_queue.errors import (
    HandlerError,
    JobError,
    WorkerCancelledError,
    WorkerCrashedError,
    WorkerTimeoutError,
)
from nuxt_queue.runner import ChildProcessRunner, JobHandle
from nuxt_queue.runner.pool import WarmProcesses
from nuxt_queue.runner.process import ChildProcess
from nuxt_queue.services.scope import Scope
from tests.process.conftest import QUICK, SCOPE, WAIT_S, WORKERS, Host, is_alive

HOSTS = ("reuse",)


@pytest.fixture
async def warm(host: Host) -> ChildProcessRunner:
    """A runner whose processes are used again."""
    return host.runner("counts_jobs.py", timeouts=QUICK, timeout_ms=2_000)


async def run(host: Host, runner: ChildProcessRunner, n: int = 1, **data: Any) -> Any:
    """Run a job of a run of its own."""
    scope = Scope(f"job{n}", "q", f"run{n}", "f", "s")
    async with asyncio.timeout(WAIT_S):
        return await runner.execute({"id": str(n), "data": data}, host.service.for_job(scope))


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    async with asyncio.timeout(WAIT_S):
        while is_alive(pid):  # noqa: ASYNC110 the kernel has no event for it
            await asyncio.sleep(0.01)


async def test_one_process_runs_one_job_after_another_and_remembers(
    host: Host, warm: ChildProcessRunner
) -> None:
    """Peers 2: the point of it, and its price."""
    first = await run(host, warm)
    again = [await run(host, warm, n) for n in range(2, 22)]
    assert [got["count"] for got in again] == list(range(2, 22))
    assert [got["job"] for got in again] == [f"job{n}" for n in range(2, 22)]
    assert {got["pid"] for got in again} == {first["pid"]}
    await warm.close()
    assert not is_alive(first["pid"])


async def test_what_a_job_prints_is_its_own(host: Host, warm: ChildProcessRunner) -> None:
    for n in range(1, 30):
        await run(host, warm, n)
        assert await host.logs(f"run{n}") == [f"job {n}"]


async def test_there_are_as_many_processes_as_jobs_at_once(
    host: Host, warm: ChildProcessRunner
) -> None:
    together = await asyncio.gather(*(run(host, warm, meet=3) for _ in range(3)))
    assert len({got["pid"] for got in together}) == 3
    after = [await run(host, warm) for _ in range(3)]
    assert {got["pid"] for got in after} < {got["pid"] for got in together}
    assert len({got["pid"] for got in after}) == 1


async def test_a_coroutine_has_a_loop_of_its_own_in_each_job(
    host: Host, warm: ChildProcessRunner
) -> None:
    assert [await run(host, warm, n, how="awaits") for n in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("raises", HandlerError),
        ("sys.exit", HandlerError),
        ("exits", WorkerCrashedError),
        ("hangs", WorkerTimeoutError),
    ],
)
async def test_a_process_whose_job_failed_is_thrown_away(
    host: Host, warm: ChildProcessRunner, how: str, error: type[JobError]
) -> None:
    """It may have left things half done, in modules that the next job would find."""
    first = await run(host, warm)
    with pytest.raises(error):
        await run(host, warm, how=how)
    assert not is_alive(first["pid"])
    assert [line for line in await host.logs() if "the worker" in line] == []
    assert (await run(host, warm))["count"] == 1


async def test_a_cancelled_job_takes_its_process_along(
    host: Host, warm: ChildProcessRunner
) -> None:
    first = await run(host, warm)
    ready = asyncio.Event()
    host.on("log", lambda _data: ready.set())
    job = warm.start({"id": "1", "data": {"how": "hangs"}}, host.service.for_job(SCOPE))
    await asyncio.wait_for(ready.wait(), WAIT_S)
    job.cancel()
    with pytest.raises(WorkerCancelledError):
        await job
    assert not is_alive(first["pid"])
    assert (await run(host, warm))["count"] == 1


def cancels(job: JobHandle) -> Callable[[dict[str, Any]], None]:
    """Return a listener that cancels a job."""
    return lambda _data: job.cancel()


async def test_a_cancel_that_races_with_the_answer_is_not_for_the_next_job(
    host: Host, warm: ChildProcessRunner
) -> None:
    """Whichever process they have."""
    for n in range(10):
        scope = Scope(f"job{n}", "q", f"run{n}")
        job = warm.start({"id": "1", "data": {}}, host.service.for_job(scope))
        host.on("log", cancels(job))
        assert (await job)["count"] > 0
        assert (await run(host, warm))["cancelled"] is False


async def test_what_a_job_left_running_cannot_speak_for_the_next(
    host: Host, warm: ChildProcessRunner
) -> None:
    """Its lines are dropped and its calls refused: the next job's state is not its own."""
    flag = host.folder / "flag"
    await run(host, warm, 1, how="keeps its context", flag=str(flag))
    flag.touch()
    async with asyncio.timeout(WAIT_S):
        while not flag.with_name("flag.seen").exists():
            await run(host, warm, 2)
    assert await host.state.all("run1") == {}
    assert await host.state.all("run2") == {}
    assert "late line" not in await host.logs("run2")
    with pytest.raises(HandlerError, match="the job that it belongs to has ended"):
        await run(host, warm, 3, how="uses a kept context")
    assert await host.state.all("run3") == {}


async def test_a_process_that_died_while_it_waited_is_not_lent(
    host: Host, warm: ChildProcessRunner
) -> None:
    first = await run(host, warm)
    os.kill(first["pid"], signal.SIGKILL)
    await gone(first["pid"])
    assert (await run(host, warm))["count"] == 1


SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGKILL")


@pytest.mark.parametrize("name", SIGNALS)
async def test_a_signal_between_jobs_costs_no_job(
    host: Host, warm: ChildProcessRunner, name: str
) -> None:
    """Neither before the process is asked whether it is ready, nor after."""
    first = await run(host, warm)
    os.kill(first["pid"], getattr(signal, name))
    second = await run(host, warm, 2)
    source = warm.processes
    assert isinstance(source, WarmProcesses)
    is_fit = source._is_fit

    async def hit(process: ChildProcess) -> bool:
        fit = await is_fit(process)
        if process.pid == second["pid"]:
            os.kill(process.pid, getattr(signal, name))
            await gone(process.pid)
        return fit

    source._is_fit = hit  # type: ignore[method-assign]
    third = await run(host, warm, 3)
    assert len({job["pid"] for job in (first, second, third)}) == 3
    for n in (1, 2, 3):
        assert await host.logs(f"run{n}") == ["job 1"]


async def test_a_changed_file_is_run_as_it_is_now(host: Host) -> None:
    worker = host.folder / "w.py"
    worker.write_text("def handler(job, ctx): return 'old'")
    runner = host.runner(worker)
    assert await run(host, runner) == "old"
    worker.write_text("def handler(job, ctx): return 'newer'")
    assert await run(host, runner) == "newer"


async def test_a_file_that_could_not_be_imported_is_imported_again(host: Host) -> None:
    worker = host.folder / "w.py"
    worker.write_text("from part import handler")
    runner = host.runner(worker)
    with pytest.raises(HandlerError, match="No module named 'part'"):
        await run(host, runner)
    (host.folder / "part.py").write_text("def handler(job, ctx): return 'mended'")
    assert await run(host, runner) == "mended"


@pytest.mark.parametrize("last", ["run_worker(handler)", "asyncio.run(run_worker(handler))"])
async def test_a_worker_with_a_last_line_of_its_own_is_used_again_too(
    host: Host, last: str
) -> None:
    worker = host.folder / "w.py"
    worker.write_text(
        "import asyncio, os\nfrom nuxt_queue import run_worker\n"
        f"def handler(job, ctx): return os.getpid()\n{last}\n"
    )
    runner = host.runner(worker)
    assert len({await run(host, runner) for _ in range(3)}) == 1


async def test_a_project_says_that_its_workers_are_used_again(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.nuxt-queue.runtimes.python]\nprocess = "reuse"\n'
    )
    text = (WORKERS / "counts_jobs.py").read_text()
    (tmp_path / "counts.py").write_text(f"{text}\n\nconfig = {{'queue': 'counts'}}\n")
    async with open_app(tmp_path) as app:
        assert app.workers.problems == []
        results: asyncio.Queue[Any] = asyncio.Queue()
        app.manager.on("counts", "completed", lambda event: results.put_nowait(event.returnvalue))
        for _ in range(3):
            await app.manager.enqueue("counts", "counts", {})
        got = [await asyncio.wait_for(results.get(), WAIT_S) for _ in range(3)]
    assert [each["count"] for each in got] == [1, 2, 3]
    assert not is_alive(got[0]["pid"])
