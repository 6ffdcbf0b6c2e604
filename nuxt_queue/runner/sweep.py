"""Finds the processes of a job by a mark in their environment, and kills them.

A process group ends at `setsid`, a parent's children at a double fork; the environment is handed
down through both.  Every worker is started with a mark of its own in `NQ_COOKIE`, and what carries
the mark belongs to the job.  Linux only: elsewhere nothing is found.

Run as a script this is the reaper: it waits for its parent to die, however it dies, and then kills
whatever carries the parent's mark.  Standard library only, and little of it: it stays in memory as
long as its parent.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import time

__all__ = ["kill_group", "kill_marked"]

_COOKIE = b"NQ_COOKIE="
_END = b"."  # what a parent says that ends in good order
_KERNEL_THREAD = 0x0020_0000  # PF_KTHREAD in the flags of /proc/<pid>/stat
_BLANK_S = 0.05  # how long a process may take to get its environment; one that has none is known
_known_blank: set[str] = set()
_ROUND_S = 0.002  # between two looks: a process that was killed takes a moment to go


def kill_marked(mark: str, within_s: float = 2.0) -> int:
    """Kill every process that carries a mark, and what they start meanwhile.

    Args:
        mark: One worker's, or the part before the dot that all workers of a parent share.
        within_s: Seconds to look again for, until none is left.

    Returns:
        How many there were.
    """
    killed: set[int] = set()
    blank: set[str] = set()
    begun = time.monotonic()
    while True:
        is_whole = True
        try:
            found, blank = _look(mark.encode())
            for pid in found:
                _kill(pid, mark.encode())
            killed.update(found)
        except _ShortError:  # what was not seen may carry the mark
            is_whole = False
        passed = time.monotonic() - begun
        if passed > _BLANK_S:
            _known_blank.update(blank)
        if passed > within_s or (is_whole and not (found or blank - _known_blank)):
            return len(killed)
        time.sleep(_ROUND_S)


def kill_group(pgid: int) -> None:
    """Kill what is left of a process group."""
    if pgid > 1:  # 0 is our own group, -1 everybody
        try:
            os.killpg(pgid, signal.SIGKILL)
        except OSError:
            return


def _look(mark: bytes) -> tuple[list[int], set[str]]:
    """Return the processes that carry a mark, and those of which it cannot be told yet."""
    try:
        names = os.listdir("/proc")  # noqa: PTH208 pathlib would stay in memory with the reaper
    except OSError as error:  # no such thing here
        _raise_if_short(error)
        return [], set()
    found: list[int] = []
    blank: set[str] = set()
    for name in names:
        if name.isdigit():
            environment = _read(f"/proc/{name}/environ")
            if environment and _COOKIE in environment and _names(environment, mark):
                found.append(int(name))
            elif environment == b"" and (which := _starting(name)):
                blank.add(which)
    return found, blank


def _names(environment: bytes, mark: bytes) -> bool:
    return any(
        one == mark or one.startswith(mark + b".")
        for entry in environment.split(b"\0")
        if entry.startswith(_COOKIE)
        for one in entry[len(_COOKIE) :].split(b":")
    )


def _starting(name: str) -> str | None:
    """Say which process has no environment, unless it is a zombie or the kernel's.

    Half-way through `exec` a process has none; it will, or it was started without one.
    """
    stat = _read(f"/proc/{name}/stat")
    if not stat:
        return None
    state, *fields = stat.rpartition(b")")[2].split()
    flags, started = int(fields[5]), fields[18]
    if state in b"ZX" or flags & _KERNEL_THREAD:
        return None
    return f"{name} {started.decode()}"


def _read(path: str) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError as error:  # gone, or not ours
        _raise_if_short(error)
        return None
    try:
        return os.read(fd, 1 << 20)
    except OSError:
        return None
    finally:
        os.close(fd)


class _ShortError(Exception):
    """No descriptor is left to look with."""


def _raise_if_short(error: OSError) -> None:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        raise _ShortError


def _kill(pid: int, mark: bytes) -> None:
    """Kill a process that still carries the mark; its number may have passed to another."""
    try:
        handle = os.pidfd_open(pid)
    except OSError as error:
        _raise_if_short(error)
        return
    try:
        environment = _read(f"/proc/{pid}/environ")
        if pid != os.getpid() and environment and _names(environment, mark):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:  # gone, or another user's
        pass
    finally:
        os.close(handle)


def _wait_for_end(parent: int, groups: set[int]) -> None:
    """Keep the list of groups that the parent tells, until it is gone or says that it ends."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    with contextlib.suppress(AttributeError, OSError):  # gone already, or no such thing here
        # Not only the end of stdin: a copy that the parent forked may hold that open.
        poll.register(os.pidfd_open(parent), select.POLLIN)
    rest = b""
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if 0 not in ready:  # nothing more has been told, and the parent is dead
            return
        chunk = os.read(0, 1 << 16)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line == _END:
                return
            (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))


def _main() -> None:
    # A stop of the whole service signals every process of it: this one ends with its parent.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    _wait_for_end(int(sys.argv[1]), groups)
    for pgid in groups:
        kill_group(pgid)
    kill_marked(sys.argv[2])


if __name__ == "__main__":
    _main()
