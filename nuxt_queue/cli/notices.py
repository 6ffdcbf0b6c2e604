"""What libraries and this package log while a command runs: one line a record."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

__all__ = ["warnings_to"]

_QUIET_S = 10.0  # for which a line is not shown again
_MOST_LINES = 1_000  # that are remembered


class Note(Protocol):
    """Shows a line."""

    def __call__(self, message: str, *, is_bad: bool = False) -> object:
        """Show it."""


@contextmanager
def warnings_to(note: Note) -> Iterator[None]:
    """Pass warnings and errors that are logged to `note` until the block ends.

    An outer block of the same kind is silent meanwhile.
    """
    root, handler = logging.getLogger(), _Handler(note)
    outer: list[logging.Handler] = [each for each in root.handlers if isinstance(each, _Handler)]
    root.handlers[:] = [*(each for each in root.handlers if each not in outer), handler]
    try:
        yield
    finally:
        root.handlers[:] = [*(each for each in root.handlers if each is not handler), *outer]
        handler.close()


@dataclass(slots=True)
class _Said:
    """A line that was shown: whether it is an error, when, and how often it came again since."""

    is_bad: bool
    at: float
    again: int = 0


class _Handler(logging.Handler):
    """Shows a line once in a while, however often it comes, and says how often that was."""

    def __init__(self, note: Note) -> None:
        super().__init__(logging.WARNING)
        self._note = note
        self._said: dict[str, _Said] = {}
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:  # under the handler's lock
        error = record.exc_info[1] if record.exc_info else None
        why = f": {type(error).__name__}: {error}" if error else ""
        line = f"{record.levelname.lower()}: {record.getMessage()}{why}"
        said = self._said.get(line)
        if said is not None and time.monotonic() < said.at + _QUIET_S:
            said.again += 1
            self._tell_later()
            return
        self._tell_repeated(only_due=True)
        is_bad = record.levelno >= logging.ERROR
        self._said[line] = _Said(is_bad, time.monotonic())
        while len(self._said) > _MOST_LINES:
            del self._said[next(iter(self._said))]
        self._note(line, is_bad=is_bad)

    def tell_repeated(self, *, only_due: bool = False) -> None:
        """Say of each line that came again how often it did."""
        self.acquire()
        try:
            self._timer = None
            self._tell_repeated(only_due=only_due)
            if any(said.again for said in self._said.values()):
                self._tell_later()
        finally:
            self.release()

    def _tell_repeated(self, *, only_due: bool) -> None:
        now = time.monotonic()
        for line, said in list(self._said.items()):
            if only_due and now < said.at + _QUIET_S:
                continue
            del self._said[line]
            if said.again:
                times = f"{said.again:,} time{'' if said.again == 1 else 's'}"
                self._note(f"{line} (repeated {times})", is_bad=said.is_bad)
                if only_due:
                    self._said[line] = _Said(said.is_bad, now)

    def _tell_later(self) -> None:
        if self._timer is None:
            timer = threading.Timer(_QUIET_S, partial(self.tell_repeated, only_due=True))
            timer.daemon = True
            with contextlib.suppress(RuntimeError):  # no thread left: it is said with the next line
                timer.start()
                self._timer = timer

    def close(self) -> None:
        """Say what has not been said."""
        if self._timer is not None:
            self._timer.cancel()
        self.tell_repeated()
        super().close()
