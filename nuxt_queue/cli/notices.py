"""What libraries and this package log while a command runs: one line a record."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["warnings_to"]


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


class _Handler(logging.Handler):
    def __init__(self, note: Note) -> None:
        super().__init__(logging.WARNING)
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        why = f": {type(error).__name__}: {error}" if error else ""
        self._note(
            f"{record.levelname.lower()}: {record.getMessage()}{why}",
            is_bad=record.levelno >= logging.ERROR,
        )
