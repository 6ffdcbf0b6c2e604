"""The system refuses a process: the job says so and may be tried again; nothing is left behind."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.app import open_app
from nuxt_queue.errors import WorkerStartError
from nuxt_queue.runner.reaper import reaper
from tests.process.conftest import WAIT_S, Host, settled

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


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE])
async def test_a_manager_tries_again_when_the_system_had_no_process_to_give(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults 93: retried with backoff, and the manager serves the next job as before."""
    (tmp_path / "q.py").write_text(WORKER, "utf-8")
    refusals = [number, number]
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
        retried = await app.manager.enqueue("q", "q", 1, {"attempts": 3, "backoff": 10})
        first = await ended.get()
        refusals.append(number)
        await app.manager.enqueue("q", "q", 2)
        second = await ended.get()
        await app.manager.enqueue("q", "q", 3)
        third = await ended.get()
        job = await app.manager.get_job("q", retried)
    assert job is not None
    assert (job.returnvalue, job.attempts_made) == (1, 3)
    assert first.returnvalue == 1
    assert second.failed_reason.endswith(f": {os.strerror(number)}")
    assert third.returnvalue == 3
