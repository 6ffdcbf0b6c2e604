"""What holds for the whole session: no process of ours outlives it."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_server import stop_shared

# Under `nohup` a hang-up is ignored, which what a test starts inherits; a handler it does not.
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)

# A variable of the allow-list's prefix, so that workers and what they start carry it too.
_COOKIE = "XDG_NQ_TEST_SESSION"
_GRACE_S = 5.0  # for what is ending while the session ends


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left_over() -> Iterator[None]:
    """Fail the session if a worker, or a process that a worker started, is alive at its end."""
    cookie = uuid.uuid4().hex
    os.environ[_COOKIE] = cookie
    yield
    stop_shared()
    deadline = time.monotonic() + _GRACE_S
    while (left := _marked(cookie)) and time.monotonic() < deadline:
        time.sleep(0.05)  # the kernel has no event for "none of these is left"
    assert not left, f"processes left over: {left}"


def _marked(cookie: str) -> list[str]:
    """List the processes of this session that are workers, theirs, or zombies of ours."""
    mark = f"{_COOKIE}={cookie}".encode()
    left = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            status = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            environ = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended, or is not ours to look at
            continue
        is_zombie = status[0] == "Z" and int(status[1]) == os.getpid()
        if is_zombie or (mark in environ and "ipykernel" not in command):
            left.append(f"{entry.name} {command or '(zombie)'}")
    return left
