"""The system refuses a process: the job says so and may be tried again; nothing is left behind."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import resource
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.app import open_app
from nuxt_queue.errors import WorkerStartError
from nuxt_queue.managers import MemoryWorkerManager, WorkerOptions
from nuxt_queue.runner.reaper import reaper
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.state import MemoryStateStore
from tests.process.conftest import QUICK, WAIT_S, Host, is_alive, settled

WORKER = """
from nuxt_queue import run_worker
config = {"queue": {"name": "q"}, "timeout": 20000}
def handler(job, ctx):
    return job["data"]
if __name__ == "__main__":
    run_worker(handler)
"""


@contextmanager
def room_for(more: int) -> Iterator[None]:
    """Leave this process so many more descriptors to open."""
    used = {int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")}  # noqa: PTH208, PTH110 one descriptor less
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = (number for number in range(soft) if number not in used)
    limit = next(itertools.islice(free, more, None))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("reaper_is", ["running", "to be started"])
async def test_a_job_that_finds_no_descriptor_says_so_and_leaves_nothing(
    host: Host, reaper_is: str
) -> None:
    """Faults 93, EMFILE, at every step of a start; the fixture looks for what is left."""
    assert await host.run("echo.py", "before") == "before"
    refused = []
    for more in range(24):
        if reaper_is != "running":
            reaper().close()
        with room_for(more):
            outcome = await settled(host.run("echo.py", more))
        if isinstance(outcome, WorkerStartError):
            assert str(outcome).endswith(": Too many open files")
            refused.append(more)
        else:
            assert outcome == more
    assert 0 in refused
    assert 23 not in refused
    assert await host.run("echo.py", "after") == "after"


async def test_an_environment_that_is_too_large_is_named(host: Host) -> None:
    """Faults 93, E2BIG: one variable of more than 128 KiB."""
    with pytest.raises(WorkerStartError, match="its environment or arguments are too large") as no:
        await host.run("echo.py", env={"BIG": "x" * 200_000})
    assert no.value.phase == "spawn"
    assert await host.run("echo.py", 1) == 1


@pytest.mark.parametrize("variable", [{"A": "nul\0"}, {"A=B": "c"}, {"A": "\ud800"}])
async def test_an_environment_that_no_process_can_have_is_refused(
    host: Host, variable: dict[str, str]
) -> None:
    with pytest.raises(WorkerStartError):
        await host.run("echo.py", env=variable)
    assert await host.run("echo.py", 1) == 1


@pytest.mark.parametrize(
    "number",
    [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT],
)
async def test_a_job_for_which_the_system_had_no_process_waits_and_has_used_no_attempt(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults 93: the shortage is the machine's, not the job's."""
    (tmp_path / "q.py").write_text(WORKER, "utf-8")
    monkeypatch.setattr("nuxt_queue.managers.attempt.SHORTAGE_S", 0.01)
    refusals = [number] * 3
    start: Any = subprocess.Popen

    def scarce(*args: Any, **options: Any) -> Any:
        if refusals:
            raise OSError(refusals.pop(), os.strerror(number))
        return start(*args, **options)

    async with open_app(tmp_path) as app, asyncio.timeout(WAIT_S):
        ended: asyncio.Queue[Any] = asyncio.Queue()
        for event in ("completed", "failed"):
            app.manager.on("q", event, ended.put_nowait)
        reaper().start()
        monkeypatch.setattr(subprocess, "Popen", scarce)
        ids = [await app.manager.enqueue("q", "q", n) for n in range(2)]
        told = [await ended.get() for _ in ids]
        jobs = [await app.manager.get_job("q", job_id) for job_id in ids]
    assert [each.returnvalue for each in told] == [0, 1]  # in their order
    assert [job.attempts_made for job in jobs if job is not None] == [1, 1]


async def test_a_plain_function_for_which_there_is_no_thread_waits_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nuxt_queue.managers.attempt.SHORTAGE_S", 0.01)
    refusals = [RuntimeError("can't start new thread")]
    start = threading.Thread.start

    def scarce(thread: threading.Thread) -> None:
        if thread.name.startswith("job ") and refusals:
            raise refusals.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    contexts, options = (
        ContextService(MemoryStateStore(), EventBus()),
        WorkerOptions(runtime="inprocess"),
    )
    async with MemoryWorkerManager(contexts) as manager, asyncio.timeout(WAIT_S):
        over = asyncio.Event()
        manager.on("q", "completed", lambda _: over.set())
        await manager.register_worker("q", "a", lambda job, _ctx: job["data"], options)
        job_id = await manager.enqueue("q", "a", 1)
        await over.wait()
        job = await manager.get_job("q", job_id)
    assert job is not None
    assert (job.returnvalue, job.attempts_made, refusals) == (1, 1, [])


@pytest.mark.parametrize("shortage", ["of descriptors", "of threads"])
async def test_what_a_job_leaves_running_is_found_also_in_a_shortage(
    host: Host, monkeypatch: pytest.MonkeyPatch, shortage: str
) -> None:
    refusals, listed = [3], os.listdir

    def short(path: str) -> list[str]:
        if path == "/proc" and refusals[0]:
            refusals[0] -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return listed(path)

    def no_thread(*_args: object) -> None:
        refusals[0] = 0
        raise RuntimeError("can't start new thread")

    if shortage == "of descriptors":
        monkeypatch.setattr(os, "listdir", short)
    else:
        monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", no_thread)

    assert await host.run("lets_processes_escape.py", "return", timeouts=QUICK) == "return"

    escaped = await host.state.all("run1")
    assert escaped
    assert {name for name, pid in escaped.items() if is_alive(pid)} == set()
    assert refusals == [0]
