"""Lines: what happens, one line each, for a pipe, a file or a log."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from nuxt_queue.cli.happenings import Narrator
from nuxt_queue.services.events import Event
from nuxt_queue.text import json_text, one_line

if TYPE_CHECKING:
    from nuxt_queue.app import App

__all__ = ["Lines"]


class Lines:
    """Writes a line for each event: time, name, job and message; or its JSON object.

    When nobody reads any more, the process is told to stop, as `yes | head` is.

    Args:
        as_json: Whether a line is a JSON object.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json, self._narrator, self._is_read = as_json, Narrator(), True

    def hear(self, event: Event) -> None:
        """Write the line of an event."""
        told = self._narrator.tell(event)
        if told is None:
            return
        if self._as_json:
            self._write({"time": _stamp(told.at), "jobId": told.job_id, **event.to_wire()})
        else:
            self._write(f"{_stamp(told.at)} {told.name} {told.job_id}: {told.message}")

    def note(self, message: str, *, is_bad: bool = False) -> None:
        """Write what the server itself has to say."""
        now = _stamp(time.time())
        if self._as_json:
            self._write({"time": now, "type": "nq", "message": message, "isBad": is_bad})
        else:
            self._write(f"{now} nq: {message}")

    @asynccontextmanager
    async def showing(self, app: App) -> AsyncIterator[Self]:  # noqa: ARG002 as a board has it
        """Nothing more is shown than the lines."""
        yield self

    def _write(self, line: str | dict[str, object]) -> None:
        if not self._is_read:
            return
        try:
            text = one_line(line) if isinstance(line, str) else json_text(line, ascii_only=True)
            print(text, flush=True)
        except BrokenPipeError:
            self._is_read = False
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            os.kill(os.getpid(), signal.SIGTERM)
        except OSError:  # a full disk is no reason to stop jobs
            pass


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
