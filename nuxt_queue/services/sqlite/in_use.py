"""What this process has open, which SQLite's locks and a fork depend on.

The locks on a file belong to the process.  So closing a second descriptor of it, opened beside
SQLite, ends them all (https://www.sqlite.org/howtocorrupt.html, 2.2); and a forked process, which
inherits none of them, finds them in SQLite's memory and believes that it has them.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from pathlib import Path

__all__ = [
    "Identity",
    "close_in_forks",
    "closed",
    "forget_descriptor",
    "holder_of",
    "identity_of",
    "is_inherited",
    "is_open_here",
    "opened",
]

Identity = tuple[int, int]
"""Device and inode: the file, whatever it is called."""

_open: Counter[Identity] = Counter()
_inherited: set[Identity] = set()
_locks: set[int] = set()


def identity_of(path: Path) -> Identity | None:
    """Return which file a path is; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def opened(path: Path) -> Identity | None:
    """Note that SQLite has a file open here once more."""
    identity = identity_of(path)
    if identity is not None:
        _open[identity] += 1
    return identity


def closed(identity: Identity | None) -> None:
    """Note that SQLite has it open once less."""
    if identity is not None:
        _open[identity] -= 1


def is_open_here(path: Path) -> bool:
    """Tell whether SQLite has a file open in this process."""
    identity = identity_of(path)
    return identity is not None and _open[identity] > 0


def is_inherited(path: Path) -> bool:
    """Tell whether the process that this one was forked from had a file open at that time."""
    return identity_of(path) in _inherited


def close_in_forks(descriptor: int) -> None:
    """Have a lock's descriptor closed in forked processes: a copy would go on holding the lock."""
    _locks.add(descriptor)


def forget_descriptor(descriptor: int) -> None:
    """Leave a descriptor alone, which is closed here."""
    _locks.discard(descriptor)


def holder_of(path: Path) -> int | None:
    """Return the process that holds the lock on a file, where the kernel tells."""
    try:
        inode = path.stat().st_ino
        lines = Path("/proc/locks").read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if words[1:2] == ["FLOCK"] and words[-3].endswith(f":{inode}"):
            return int(words[-4])
    return None


def _after_fork() -> None:
    _inherited.update(identity for identity, times in _open.items() if times > 0)
    _open.clear()
    for descriptor in _locks:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _locks.clear()


os.register_at_fork(after_in_child=_after_fork)
