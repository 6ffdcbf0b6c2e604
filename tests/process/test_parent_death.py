"""A parent that is killed takes along every process of every job (faults 18, performance D9)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nuxt_queue.runner import sweep
from nuxt_queue.runner.reaper import Reaper, marked, reaper
from tests.process.conftest import SCOPE, WAIT_S, Host, is_alive, settled

PARENT = Path(__file__).parent / "parent_with_jobs.py"


async def survivors_of_a_killed_parent(
    *args: str, count: int = 12, with_its_group: bool = False
) -> list[int]:
    """Start a parent, kill it when it has so many processes, and return those that are left."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PARENT),
        *args,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=with_its_group,
    )
    assert parent.stdout is not None
    try:
        mark = (await asyncio.wait_for(parent.stdout.readline(), WAIT_S)).decode().strip()
        async with asyncio.timeout(WAIT_S):
            while len(carrying(mark)) < count:  # noqa: ASYNC110 one is still being started
                await asyncio.sleep(0.005)
    finally:
        if with_its_group:
            os.killpg(parent.pid, signal.SIGKILL)
        parent.kill()
        parent._transport.close()  # type: ignore[attr-defined]
    try:
        async with asyncio.timeout(2):  # the promise
            while carrying(mark):  # noqa: ASYNC110 nobody tells us of processes that are not ours
                await asyncio.sleep(0.005)
    except TimeoutError:
        pass
    return carrying(mark)


def reaper_pid() -> int:
    """Return the process id of this process's reaper."""
    pid = reaper().pid
    assert pid is not None
    return pid


def carrying(mark: str) -> list[int]:
    """List the processes that carry a mark."""
    return sweep._look(mark.encode())[0]


async def test_nothing_survives_a_parent_that_is_killed() -> None:
    """Faults 18: 20 of 20, stuck in C, stopped, deaf, each with a child and one that left."""
    for _ in range(5):
        found = await asyncio.gather(*(survivors_of_a_killed_parent("1") for _ in range(4)))
        assert found == [[]] * 4


async def test_nothing_survives_a_parent_that_is_killed_with_its_group() -> None:
    """A supervisor or a shell kills the whole group; the reaper is not in it."""
    assert await survivors_of_a_killed_parent("1", with_its_group=True) == []


async def test_no_node_survives_a_parent_that_is_killed() -> None:
    """Faults 18: stuck in JavaScript, deaf, each with a process that left."""
    assert await survivors_of_a_killed_parent("3", "--node", count=6) == []


async def test_a_copy_of_the_parent_that_lives_on_does_not_keep_its_jobs(tmp_path: Path) -> None:
    """A forked copy holds every pipe open, so that the end of stdin never comes."""
    try:
        assert await survivors_of_a_killed_parent("1", "--fork", str(tmp_path)) == []
    finally:
        os.kill(int((tmp_path / "copy").read_text()), signal.SIGKILL)


async def test_a_reaper_that_was_killed_is_replaced_by_the_next_job(host: Host) -> None:
    first = reaper_pid()
    os.kill(first, signal.SIGKILL)
    assert await host.run("echo.py", 1) == 1  # it may be dying while this job starts
    assert await host.run("echo.py", 1) == 1
    assert reaper_pid() != first
    assert is_alive(reaper_pid())


async def test_a_reaper_does_not_mind_the_signals_of_a_stop(host: Host) -> None:
    """Faults 55: a service is stopped with a signal to each of its processes."""
    assert await host.run("echo.py", 1) == 1
    pid = reaper_pid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    assert await host.run("echo.py", 1) == 1
    assert reaper_pid() == pid
    assert is_alive(pid)


def test_a_reaper_ends_with_its_owner_and_kills_nobody() -> None:
    one = Reaper()
    one.start()
    pid = one.pid
    assert pid is not None
    one.close()
    one.close()
    assert not is_alive(pid)
    assert one.pid is None


@pytest.mark.parametrize("pgid", [0, 1, -1])
def test_a_group_that_is_not_a_job_s_is_never_signalled(
    pgid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults 14: neither our own group nor everybody."""
    sent: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pgid, _number: sent.append(pgid))
    sweep.kill_group(pgid)
    assert sent == []


def test_a_group_that_is_gone_is_no_error() -> None:
    """Faults 14."""
    sweep.kill_group(2**22 + 1)
    assert sweep.kill_marked("nobody carries this") == 0


def test_a_mark_is_found_whole_inside_other_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker may run workers itself: its own and its host's mark are both on them."""
    monkeypatch.setenv("NQ_COOKIE", "outer.1")
    assert marked("inner.1") == {"NQ_COOKIE": "outer.1:inner.1"}
    environment = b"A=1\0NQ_COOKIE=outer.1:inner.12\0NQ=inner.1\0"
    for mark, carries in (
        (b"outer.1", True),
        (b"outer", True),
        (b"inner.12", True),
        (b"inner.1", False),
        (b"oute", False),
        (b"nner.12", False),
    ):
        assert sweep._names(environment, mark) is carries


def test_a_process_without_an_environment_holds_nothing_up() -> None:
    """Half-way through `exec` a process has none; one that never gets one is looked at once."""
    bare = subprocess.Popen([sys.executable, "-S", "-c", "input()"], env={}, stdin=subprocess.PIPE)
    try:
        for _ in range(3):
            assert sweep.kill_marked("nobody carries this") == 0
        assert {which.split()[0] for which in sweep._known_blank} >= {str(bare.pid)}
        assert bare.poll() is None
    finally:
        bare.communicate(b"\n")


async def test_jobs_run_where_the_loop_is_not_in_the_main_thread(host: Host) -> None:
    """Faults 19 and 58: the thread that started a job's process may end; the process does not."""
    runner = host.runner("echo.py")

    def in_another_thread() -> object:
        context = host.service.for_job(SCOPE)
        return asyncio.run(runner.execute({"id": "1", "data": 5}, context))

    assert await asyncio.to_thread(in_another_thread) == 5


async def test_a_host_that_ignores_sigchld_gets_its_results(host: Host) -> None:
    """Faults 58: exit codes are lost then, results are not."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert await host.run("echo.py", 1) == 1
        outcome = await settled(host.run("dies_by_signal.py", "kill"))
        assert "worker process" in str(outcome)
    finally:
        signal.signal(signal.SIGCHLD, before)
