"""Finds the processes of a job by a mark in their resource limits, and kills them.

A process group ends at `setsid`, a parent's children at a double fork; an environment can be
cleared, overwritten (`setproctitle`) or unreadable.  Resource limits are inherited through all of
these and can be read of every process that we may kill.  Two of them are no longer enforced by
Linux: the number of file locks and the size in memory.  Each worker gets a number of its own there,
its mark, and every process that has the mark belongs to the job.  Linux only: elsewhere nothing is
found.

Run as a script this is the reaper: it waits for its parent to die, however it dies, and then kills
whatever carries one of the parent's marks.  Standard library only, and little of it: it stays in
memory as long as its parent.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import signal
import sys
import time

__all__ = ["kill_group", "kill_marked", "marks_of", "new_marks", "put_mark"]

_RLIMIT_LOCKS = 10  # which the module has no name for
_CARRIERS = (
    {_RLIMIT_LOCKS: b"Max file locks", resource.RLIMIT_RSS: b"Max resident set"}
    if hasattr(resource, "prlimit")
    else {}
)
_MARKS = 1 << 26  # of one process
_LOWEST = 1 << 50  # below it a limit is somebody's limit
_HIGHEST = 1 << 62
_END = b"."  # what a parent says that ends in good order
_ROUND_S = 0.002  # between two looks: a process that was killed takes a moment to go


def new_marks() -> range:
    """Return the marks for this process's workers: lower than those that it has itself.

    A job may run jobs of its own, whose processes have the marks of both; a limit can be lowered
    and not raised.
    """
    ceiling = min(marks_of(os.getpid()), default=_HIGHEST) // _MARKS
    block = ceiling // 2 + int.from_bytes(os.urandom(8), "big") % (ceiling - ceiling // 2)
    return range(block * _MARKS, (block + 1) * _MARKS)


def put_mark(pid: int, mark: int) -> None:
    """Mark a process that has just been started, and everything that it starts from now on.

    It also gets the marks of this process.  Nothing happens if it has ended or is another user's.
    """
    marks = [mark, *sorted(marks_of(os.getpid()))]
    for carrier in _CARRIERS:
        with contextlib.suppress(OSError, ValueError):
            ceiling = resource.prlimit(pid, carrier)[1]
            if marks and (ceiling == resource.RLIM_INFINITY or ceiling > _LOWEST):
                soft, *rest = marks[:2]
                resource.prlimit(pid, carrier, (soft, rest[0] if rest else ceiling))
                del marks[:2]


def marks_of(pid: int) -> set[int]:
    """Return a process's marks; none if it has ended or we may not kill it."""
    try:
        limits = [limit for carrier in _CARRIERS for limit in resource.prlimit(pid, carrier)]
    except PermissionError:  # another user's, or set-group-id as ssh-agent is
        limits = _read_limits(pid)
    except OSError:
        return set()
    return {limit for limit in limits if limit > _LOWEST}


def kill_marked(marks: range, within_s: float = 2.0) -> int:
    """Kill every process that carries one of the marks, and what they start meanwhile.

    Args:
        marks: One worker's, or all that a parent gives.
        within_s: Seconds to look again for, until none is left.

    Returns:
        How many there were.
    """
    killed: set[int] = set()
    begun = time.monotonic()
    while True:
        try:
            found = marked(marks)
            for pid in found:
                _kill(pid, marks)
            killed.update(found)
            is_over = not found
        except _ShortError:  # what was not seen may be marked
            is_over = False
        if is_over or time.monotonic() - begun > within_s:
            return len(killed)
        time.sleep(_ROUND_S)


def marked(marks: range) -> list[int]:
    """Return the processes that carry one of the marks, but for those that have ended."""
    try:
        names = os.listdir("/proc")  # noqa: PTH208 pathlib would stay in memory with the reaper
    except OSError as error:  # no such thing here
        _raise_if_short(error)
        return []
    return [
        int(name)
        for name in names
        if name.isdigit() and _carries(int(name), marks) and not _has_ended(name)
    ]


def kill_group(pgid: int) -> None:
    """Kill what is left of a process group."""
    if pgid > 1:  # 0 is our own group, -1 everybody
        try:
            os.killpg(pgid, signal.SIGKILL)
        except OSError:
            return


def _carries(pid: int, marks: range) -> bool:
    return any(mark in marks for mark in marks_of(pid))


def _read_limits(pid: int) -> list[int]:
    """Read the limits of a process that we may kill, though it has another group or user too."""
    try:
        os.kill(pid, 0)
    except OSError:
        return []
    lines = _read(f"/proc/{pid}/limits").splitlines()
    return [
        int(word)
        for line in lines
        for name in _CARRIERS.values()
        if line.startswith(name)
        for word in line[len(name) :].split()
        if word.isdigit()
    ]


def _has_ended(name: str) -> bool:
    """Tell whether a process is gone, but for an entry that its parent has not removed."""
    return _read(f"/proc/{name}/stat").rpartition(b")")[2].split()[:1] in ([], [b"Z"], [b"X"])


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError as error:  # gone, or not ours
        _raise_if_short(error)
        return b""
    try:
        return os.read(fd, 1 << 16)
    except OSError:
        return b""
    finally:
        os.close(fd)


class _ShortError(Exception):
    """No descriptor is left to look with."""


def _raise_if_short(error: OSError) -> None:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        raise _ShortError


def _kill(pid: int, marks: range) -> None:
    """Kill a process that still carries a mark; its number may have passed to another."""
    try:
        handle = os.pidfd_open(pid)
    except OSError as error:
        _raise_if_short(error)
        return
    try:
        if pid != os.getpid() and _carries(pid, marks):
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
    first = int(sys.argv[2])
    kill_marked(range(first, first + _MARKS))


if __name__ == "__main__":
    _main()
