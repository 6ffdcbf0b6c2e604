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
from nuxt_queue.runner.reaper import Reaper, reaper
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
        first = int(await asyncio.wait_for(parent.stdout.readline(), WAIT_S))
        marks = range(first, first + len(reaper().marks))
        async with asyncio.timeout(WAIT_S):
            while len(sweep.marked(marks)) < count:  # noqa: ASYNC110 one is still being started
                await asyncio.sleep(0.005)
    finally:
        if with_its_group:
            os.killpg(parent.pid, signal.SIGKILL)
        parent.kill()
        parent._transport.close()  # type: ignore[attr-defined]
    try:
        async with asyncio.timeout(2):  # the promise
            while sweep.marked(marks):  # noqa: ASYNC110 nobody tells us of processes that are not ours
                await asyncio.sleep(0.005)
    except TimeoutError:
        pass
    return sweep.marked(marks)


def reaper_pid() -> int:
    """Return the process id of this process's reaper."""
    pid = reaper().pid
    assert pid is not None
    return pid


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
    assert sweep.kill_marked(range(2**52, 2**52 + 1)) == 0


NESTED = """
import os, sys
from nuxt_queue.runner.sweep import marked, marks_of, new_marks, put_mark

def level(depth, given):
    assert marks_of(os.getpid()) == set(given), depth
    for mark in given:
        assert os.getpid() in marked(range(mark, mark + 1)), depth
    if depth == 0:
        return
    ready, is_ready = os.pipe()
    mark = new_marks()[5]
    pid = os.fork()
    if pid == 0:
        os.read(ready, 1)
        level(depth - 1, [mark, *given])
        os._exit(0)
    put_mark(pid, mark)
    os.write(is_ready, b"1")
    assert os.waitpid(pid, 0)[1] == 0, depth

if "unprivileged" in sys.argv and os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
level(3, sorted(marks_of(os.getpid())))
"""


@pytest.mark.parametrize("who", ["as we are", "unprivileged"])
def test_a_job_in_a_job_has_the_marks_of_both(who: str) -> None:
    """A worker may run workers itself, and those again."""
    subprocess.run([sys.executable, "-c", NESTED, who], check=True, timeout=WAIT_S)


OTHER_GROUP = """
import os, resource, signal, time
from nuxt_queue.runner.sweep import kill_marked, marked, marks_of, new_marks, put_mark
ready, is_ready = os.pipe()
mark = new_marks()[5]
pid = os.fork()
if pid == 0:
    os.setgid(65533)
    os.setuid(65534)
    os.write(is_ready, b"1")
    time.sleep(60)
put_mark(pid, mark)
os.read(ready, 1)
os.setgid(65534)
os.setuid(65534)
try:
    resource.prlimit(pid, resource.RLIMIT_RSS)
    raise SystemExit("the test tests nothing")
except PermissionError:
    assert marks_of(pid) == {mark, *marks_of(os.getpid())}
assert kill_marked(range(mark, mark + 1)) == 1
assert os.waitpid(pid, 0)[1] == signal.SIGKILL
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another group")
def test_the_marks_of_a_process_with_another_group_are_read() -> None:
    """`ssh-agent` is one: its user may kill it, and not ask for its limits."""
    subprocess.run([sys.executable, "-c", OTHER_GROUP], check=True, timeout=WAIT_S)


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
