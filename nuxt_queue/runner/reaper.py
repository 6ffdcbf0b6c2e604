"""Sees to it that no worker outlives this process, however this process ends.

One small process watches this one and knows its workers' groups; when this one is gone, by
`kill -9` too, it kills them.  A worker that reads the end of its stdin ends by itself, but one that
is inside C code, stopped, or has started others does not.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

from nuxt_queue.runner.sweep import new_marks

__all__ = ["Reaper", "reaper"]

_END_S = 5.0  # for the reaper to end; it does so at once
_SCRIPT = Path(__file__).with_name("sweep.py")


class Reaper:
    """This process's workers, as told to the process that outlives it.

    The reaper is started with the first worker, and again if somebody has killed it.

    Attributes:
        marks: What its workers are marked with, all of them.
    """

    def __init__(self, inherited: Reaper | None = None) -> None:
        self._inherited = inherited  # of the process that this one is a copy of; not ours to end
        self._pid = os.getpid()
        self.marks = new_marks()
        self._unused = itertools.cycle(self.marks)
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def is_mine(self) -> bool:
        """Whether it is this process's, and not that of the one which forked it."""
        return self._pid == os.getpid()

    @property
    def pid(self) -> int | None:
        """The reaper's process id; None when it does not run."""
        return self._process.pid if self._process else None

    def new_mark(self) -> int:
        """Return a mark for one worker."""
        return next(self._unused)

    def start(self) -> None:
        """Start the reaper now; the first worker would."""
        with self._lock:
            if self._process is None:
                self._start()

    def add(self, pgid: int) -> None:
        """Have a process group killed when this process is gone.

        Raises:
            OSError: If the reaper has to be started and cannot be.
        """
        with self._lock:
            self._groups.add(pgid)
            if not self._tell(b"+%d\n" % pgid):
                self._start()

    def remove(self, pgid: int) -> None:
        """Forget a group that has ended; a reaper that was killed is replaced for the others."""
        with self._lock:
            self._groups.discard(pgid)
            if not self._tell(b"-%d\n" % pgid) and self._groups:
                with contextlib.suppress(OSError):  # the next job's start needs one, and will say
                    self._start()

    def close(self) -> None:
        """Let the reaper go; nothing is killed that has been removed."""
        with self._lock:
            if self._process is not None and self.is_mine:
                self._end(self._process)
            self._process = None

    def _tell(self, line: bytes) -> bool:
        """Write to the reaper; say whether there is one."""
        if self._process is None:
            return False
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
        except OSError:  # it was killed
            dead, self._process = self._process, None
            self._end(dead)
        return self._process is not None

    def _start(self) -> None:
        self._process = process = subprocess.Popen(  # noqa: S603 this package's own file
            [sys.executable, "-I", "-S", str(_SCRIPT), str(self._pid), str(self.marks[0])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"NQ_REAPER_OF": str(self._pid)},  # no secret stays in memory with it
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
        assert process.stdin is not None
        process.stdin.write(b"".join(b"+%d\n" % pgid for pgid in self._groups))

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError), process.stdin as stdin:
            stdin.write(b".\n")
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_mine: Reaper | None = None


def reaper() -> Reaper:
    """Return the one reaper of this process; a forked copy gets one of its own."""
    global _mine  # noqa: PLW0603 it is the process's
    if _mine is None or not _mine.is_mine:
        _mine = Reaper(_mine)
        atexit.register(_mine.close)
    return _mine
