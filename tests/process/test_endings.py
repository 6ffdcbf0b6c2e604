"""How a job's process ends: in time, too late, or not by itself (faults A2)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.errors import HandlerError, WorkerCrashedError, WorkerTimeoutError
from nuxt_queue.runner import Timeouts
from tests.process.conftest import BOTH_WAYS, QUICK, SCOPE, WAIT_S, Host, is_alive, settled

HOSTS = BOTH_WAYS

HIDES = """
import ctypes, os, subprocess, time

def undumpable(write):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
            os.write(write, str(os.getpid()).encode())
            os.closerange(0, 256)
            time.sleep(60)
        os._exit(0)
    os.wait()

def handler(job, ctx):
    folder = job["data"]["folder"]
    if job["data"]["who"] == "unprivileged" and os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    pidfile = os.path.join(folder, "pid")
    options = f"--daemonize yes --port 0 --unixsocket {folder}/s --dir {folder}"
    subprocess.run(["redis-server", *options.split(), "--pidfile", pidfile], check=True)
    while not os.path.exists(pidfile) or not open(pidfile).read().strip():
        time.sleep(0.01)
    ctx.state.set("redis-server", int(open(pidfile).read()))
    read, write = os.pipe()
    undumpable(write)
    ctx.state.set("undumpable", int(os.read(read, 20)))
    bare = ["env", "-i", "setsid", "sh", "-c", "echo $$; exec sleep 60"]
    process = subprocess.Popen(bare, stdout=subprocess.PIPE)
    ctx.state.set("env -i", int(process.stdout.readline()))
"""


@pytest.mark.parametrize("way", ["sleep", "loop", "regex", "coroutine"])
async def test_a_job_that_takes_too_long_is_ended_and_says_so(host: Host, way: str) -> None:
    """Faults 10: also C code that never lets go of the interpreter."""
    with pytest.raises(WorkerTimeoutError) as caught:
        await host.run("takes_too_long.py", way, timeout_ms=1_000, timeouts=QUICK)

    assert str(caught.value) == "Worker timeout after 1000ms"
    assert isinstance(caught.value, TimeoutError)
    assert await host.logs() == ["before"]
    assert not is_alive(await host.pid())


@pytest.mark.parametrize("way", ["stopped", "ignoring"])
async def test_a_process_that_does_not_act_on_sigterm_is_killed(host: Host, way: str) -> None:
    """Faults 11."""
    with pytest.raises(WorkerTimeoutError):
        await host.run("takes_too_long.py", way, timeout_ms=300, timeouts=QUICK)
    assert not is_alive(await host.pid())


async def test_a_process_gets_time_to_act_on_sigterm(host: Host) -> None:
    """The grace is for those who use it."""
    worker = host.folder / "cleans_up.py"
    worker.write_text(
        "import signal, sys, time\n"
        "def clean(*_):\n"
        "    print('cleaned up', flush=True)\n"
        "    sys.exit(0)\n"
        "def handler(job, ctx):\n"
        "    signal.signal(signal.SIGTERM, clean)\n"
        "    ctx.logger.info('ready')\n"
        "    time.sleep(60)\n"
    )
    with pytest.raises(WorkerTimeoutError):
        await host.run(worker, timeout_ms=1_000, timeouts=Timeouts(term_s=WAIT_S))
    assert await host.logs() == ["ready", "cleaned up"]


async def test_a_timeout_of_a_millisecond_has_one_outcome(host: Host) -> None:
    """Faults 16: racing with the result."""
    runner = host.runner("echo.py", timeouts=QUICK)
    ends = []
    for timeout_ms in (1, 5, *range(20, 80, 5)):
        runner.terms = replace(runner.terms, timeout_ms=timeout_ms)
        job = runner.execute({"id": "1", "data": "x"}, host.service.for_job(SCOPE))
        outcome = await settled(job)
        assert outcome == "x" or type(outcome) is WorkerTimeoutError
        ends.append(outcome)
    if host.process == "spawn":  # a copy may well be as quick as that
        assert type(ends[0]) is WorkerTimeoutError


@pytest.mark.parametrize(
    ("count", "ending"), [(1, "return"), (8, "return"), (2, "fail"), (2, "hang")]
)
async def test_no_process_of_a_job_outlives_it(host: Host, count: int, ending: str) -> None:
    """Faults 12: after success, failure and timeout."""
    timeout_ms = 1_000 if ending == "hang" else 15_000
    job = host.run("starts_processes.py", [count, ending], timeout_ms=timeout_ms, timeouts=QUICK)
    outcome = await settled(job)

    expected: dict[str, Any] = {"fail": HandlerError, "hang": WorkerTimeoutError, "return": str}
    assert type(outcome) is expected[ending]
    pids = [int(pid) for pid in await host.state.all("run1")]
    assert len(pids) == count
    async with asyncio.timeout(WAIT_S):
        while any(map(is_alive, pids)):  # noqa: ASYNC110 dying takes the kernel a moment
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("ending", ["return", "fail", "die", "hang"])
async def test_a_process_that_left_its_group_is_found_and_ended(host: Host, ending: str) -> None:
    """Faults 12: setsid, a double fork and a daemon, after success, failure, crash and timeout."""
    timeout_ms = 1_500 if ending == "hang" else 15_000
    job = host.run("lets_processes_escape.py", ending, timeout_ms=timeout_ms, timeouts=QUICK)
    outcome = await settled(job)

    expected: dict[str, type[Any]] = {
        "return": str,
        "fail": HandlerError,
        "die": WorkerCrashedError,
        "hang": WorkerTimeoutError,
    }
    assert type(outcome) is expected[ending]
    escaped = await host.state.all("run1")
    assert set(escaped) == {"setsid", "double_fork", "daemon"}
    assert {name for name, pid in escaped.items() if is_alive(pid)} == set()


async def test_a_process_that_cleared_its_environment_and_stayed_in_its_group_is_ended(
    host: Host,
) -> None:
    worker = host.folder / "worker.py"
    worker.write_text(
        "import subprocess, sys\n"
        "def handler(job, ctx):\n"
        "    command = [sys.executable, '-S', '-c', 'import time; time.sleep(60)']\n"
        "    return subprocess.Popen(command, env={}).pid\n"
    )
    pid = await host.run(worker, timeouts=QUICK)
    try:
        async with asyncio.timeout(WAIT_S / 4):
            while is_alive(pid):  # noqa: ASYNC110 dying takes the kernel a moment
                await asyncio.sleep(0.005)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("who", ["as we are", "unprivileged"])
async def test_a_daemon_that_hides_its_environment_is_found_and_ended(host: Host, who: str) -> None:
    """Redis overwrites its environment with its title; ssh-agent's cannot be read."""
    worker = host.folder / "starts_daemons.py"
    worker.write_text(HIDES)
    with tempfile.TemporaryDirectory() as folder:  # in a folder that another user can enter
        Path(folder).chmod(0o777)
        await host.run(worker, {"who": who, "folder": folder}, timeouts=QUICK)
    hidden = await host.state.all("run1")
    assert set(hidden) == {"redis-server", "undumpable", "env -i"}
    survivors = {name: pid for name, pid in hidden.items() if is_alive(pid)}
    for pid in survivors.values():  # nothing else would find them either
        os.kill(pid, signal.SIGKILL)
    assert survivors == {}


@pytest.mark.parametrize("ending", ["return", "die"])
async def test_a_process_that_holds_the_pipes_does_not_hold_the_job(
    host: Host, ending: str
) -> None:
    """Faults 13: nothing finds a process of its own session without a mark; the job settles."""
    job = host.run("holds_the_pipes.py", ending, timeouts=QUICK)
    outcome = await settled(job)
    pid = await host.state.get("run1", "pid")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid or 0, signal.SIGKILL)

    if ending == "return":
        assert outcome == "answered"
    else:
        assert type(outcome) is WorkerCrashedError


@pytest.mark.parametrize("what", ["thread", "atexit", "executor"])
async def test_what_lingers_after_the_answer_is_killed_and_the_job_has_completed(
    host: Host, what: str
) -> None:
    """Faults 15."""
    result = await host.run("lingers.py", what, timeouts=QUICK)

    assert result == "answered"
    assert (await host.events("log"))[-1] == {
        "level": "warn",
        "message": "the worker did not exit within 0.3 s of its answer and was killed",
    }
    assert not is_alive(await host.pid())


@pytest.mark.parametrize("how_many", ["one", "too many"])
async def test_a_slow_end_is_waited_for_beside_the_job_and_is_no_fault(
    host: Host, monkeypatch: pytest.MonkeyPatch, how_many: str
) -> None:
    """A healthy process on a busy machine; but only so many at once are not waited for."""
    if how_many == "too many":
        monkeypatch.setattr("nuxt_queue.runner.endings._MOST", 0)
    worker = host.folder / "slow.py"
    worker.write_text(
        "import atexit, os, time\n"
        "def slow():\n"
        "    while not os.path.exists('go'): time.sleep(0.01)\n"
        "    print('late')\n"
        "def handler(job, ctx): atexit.register(slow); return 'answered'\n"
    )
    timeouts = replace(QUICK, beside_s=0.05, exit_s=WAIT_S)
    job = asyncio.create_task(host.run(worker, cwd=host.folder, timeouts=timeouts))
    if how_many == "too many":
        done, _ = await asyncio.wait({job}, timeout=1)
        assert done == set()
    else:
        assert await job == "answered"
        assert is_alive(await host.pid())
    (host.folder / "go").touch()
    assert await job == "answered"
    await host.close()
    assert await host.logs() == ["late"]
    assert not is_alive(await host.pid())


async def test_an_end_that_never_comes_does_not_outlive_its_runner(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nuxt_queue.runner.endings._CLOSE_S", 0.1)
    timeouts = replace(QUICK, beside_s=0.05, exit_s=WAIT_S)
    assert await host.run("lingers.py", "thread", timeouts=timeouts) == "answered"
    await host.close()
    assert not is_alive(await host.pid())


async def test_a_job_that_is_cancelled_takes_its_process_along(host: Host) -> None:
    """Faults 17: one outcome, and nobody is told of a second one."""
    started: asyncio.Queue[int] = asyncio.Queue()
    host.on("log", lambda _data: started.put_nowait(1))
    job = asyncio.create_task(host.run("takes_too_long.py", "sleep", timeouts=QUICK))
    await asyncio.wait_for(started.get(), WAIT_S)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(job, WAIT_S)
    assert not is_alive(await host.pid())
    del job
    gc.collect()  # an exception that nobody has looked at would be reported now


async def test_a_coroutine_that_never_yields_is_heard_while_it_works(host: Host) -> None:
    """Faults 83: lines live, and the timeout on time."""
    heard = asyncio.Event()
    host.on("log", lambda _data: heard.set())
    job = asyncio.create_task(host.run("blocks_the_loop.py", timeout_ms=1_500, timeouts=QUICK))
    await asyncio.wait_for(heard.wait(), WAIT_S)
    assert not job.done()
    with pytest.raises(WorkerTimeoutError):
        await job
    assert await host.state.get("run1", "alive") is True


async def test_tasks_that_a_handler_leaves_are_cancelled_and_named(host: Host) -> None:
    """Faults 86."""
    assert await host.run("leaves_tasks.py") == "result"
    assert await host.logs() == [
        "cancelled 1 task(s) that the handler left running: refresh_forever",
        "cleaned up",
    ]
