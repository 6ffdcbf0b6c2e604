"""The log lines of a job, kept with it: their form, and how many are kept."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from nuxt_queue.errors import ParseError
from nuxt_queue.rpc.codec import decode, encode
from nuxt_queue.rpc.methods import LOG_LEVELS
from nuxt_queue.services.events import Event

__all__ = ["MAX_LOG_BYTES", "MAX_TEXT", "LogRecord", "LogWindow", "page_of"]

MAX_LOG_BYTES = 1 << 20
"""How many bytes of one attempt's lines are kept."""
MAX_TEXT = 8_192
"""How many characters of one message, and of its metadata as JSON, are kept."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STREAMS = ("stdout", "stderr")
_HEAD = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z #(\d{1,9}) (\w+)(?: \((\w+)\))?: ", re.ASCII
)


@dataclass(frozen=True, slots=True)
class LogRecord:
    r"""One line that a job logged or that its process printed.

    As text, which is what BullMQ's own tools show, it is
    `2026-11-27T16:55:25.123456Z #1 info: trained`, a printed line
    `2026-11-27T16:55:25.123456Z #1 warn (stderr): no GPU`; metadata follow behind a tab, as JSON.

    Attributes:
        message: The text.
        level: `debug`, `info`, `warn` or `error`.
        attempt: 1 for the first attempt; None in a line that another program has added.
        id: Microseconds of unix time; no two lines of one process have the same.  0 where the
            time is not known.
        stream: `stdout` or `stderr` for a line that was printed, None for one that was logged.
        metadata: What was logged with it.
    """

    message: str
    level: str = "info"
    attempt: int | None = None
    id: int = 0
    stream: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, event: Event) -> Self:
        """Return the record of an event of the type `log`."""
        metadata = dict(event.data)
        level, message = metadata.pop("level"), metadata.pop("message")
        stream = metadata.get("stream")
        if stream in _STREAMS:
            del metadata["stream"]
        else:
            stream = None
        return cls(message, level, event.attempt, event.id, stream, metadata)

    def to_text(self) -> str:
        """Return the record as one text, shortened to what is kept."""
        at = (_EPOCH + timedelta(microseconds=self.id)).isoformat(timespec="microseconds")
        printed = f" ({self.stream})" if self.stream else ""
        message = _shortened(self.message)
        tail = ""
        if self.metadata or "\t" in message:
            tail = "\t" + encode(self.metadata).decode("ascii").rstrip("\n")
            if len(tail) > MAX_TEXT:
                tail = f'\t{{"leftOut":"{len(tail) - 1} characters of metadata"}}'
        text = f"{at[:26]}Z #{self.attempt or 0} {self.level}{printed}: {message}{tail}"
        return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the record of a text; one in another form is a message of its own."""
        head = _HEAD.match(text)
        if head is None or head[3] not in LOG_LEVELS:
            return cls(text)
        message, tab, tail = text[head.end() :].rpartition("\t")
        try:
            at = datetime.fromisoformat(f"{head[1]}+00:00") - _EPOCH
            metadata = decode(tail.encode()) if tab else {}
        except (ValueError, ParseError):
            return cls(text)
        if not isinstance(metadata, dict):
            return cls(text)
        moment = at // timedelta(microseconds=1)
        message = message if tab else tail
        return cls(message, head[3], int(head[2]) or None, moment, head[4], metadata)

    def to_wire(self) -> dict[str, Any]:
        """Return the record for programs, in camelCase; what is not known is left out."""
        wire = {
            "id": self.id or None,
            "ts": self.id / 1e6 if self.id else None,
            "attempt": self.attempt,
            "level": self.level,
            "stream": self.stream,
            "message": self.message,
            "metadata": self.metadata or None,
        }
        return {name: value for name, value in wire.items() if value is not None}


class LogWindow:
    """Which of the lines of one attempt are kept: the newest, by number and by bytes.

    Args:
        keep: How many lines.
        max_bytes: How many bytes, as UTF-8.
    """

    def __init__(self, keep: int, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._keep, self._left = keep, max_bytes
        self._sizes: deque[int] = deque()
        self._is_full = False

    @property
    def keep(self) -> int:
        """How many of the newest lines of the job are kept."""
        return len(self._sizes) if self._is_full else self._keep

    def take(self, text: str) -> None:
        """Count a line in, and out what has to give way to it."""
        size = len(text) if text.isascii() else len(text.encode())
        self._sizes.append(size)
        self._left -= size
        while self._left < 0 and len(self._sizes) > 1:
            self._left += self._sizes.popleft()
            self._is_full = True
        while len(self._sizes) > self._keep:
            self._left += self._sizes.popleft()


def page_of(lines: Sequence[str], start: int, end: int) -> list[LogRecord]:
    """Return a part of the lines of a job, as `get_job_logs` counts them."""
    first = max(0, len(lines) + start) if start < 0 else start
    last = len(lines) + end if end < 0 else end
    return [LogRecord.read(line) for line in lines[first : max(0, last + 1)]]


def _shortened(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}… {len(text)} characters"
