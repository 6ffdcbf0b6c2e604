"""What a job's process prints: how much of it becomes log records, and its last words."""

from __future__ import annotations

from collections import Counter, deque

__all__ = ["Output"]

_TAIL_BYTES = 8 * 1024  # of stderr, kept for the error of a crash
_RECORD_BYTES = 64  # what a record costs beside its text: empty lines are not free


class Output:
    """The printed lines of one job.

    Args:
        limit: How many bytes of each stream become log records; the rest is counted.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0

    @property
    def tail(self) -> str:
        """The end of what came over stderr, 8 KiB at most."""
        whole = b"\n".join(self._tail)[-_TAIL_BYTES:]
        return whole.decode("utf-8", "backslashreplace")

    def take(self, stream: str, line: bytes) -> str | None:
        """Take a line of `stdout` or `stderr`; return its text if it becomes a record."""
        if stream == "stderr":
            self._keep(line)
        if self._used[stream] >= self._limit:
            self._left_out[stream] += len(line) + 1
            return None
        self._used[stream] += len(line) + _RECORD_BYTES
        return line.decode("utf-8", "backslashreplace").rstrip("\r")

    def left_out(self) -> list[str]:
        """Say what has not become a record, a sentence a stream."""
        return [
            f"… truncated {size} bytes of {stream}: a job may print {self._limit}"
            for stream, size in sorted(self._left_out.items())
        ]

    def _keep(self, line: bytes) -> None:
        self._tail.append(line)
        self._tail_size += len(line) + 1
        while len(self._tail) > 1 and self._tail_size - len(self._tail[0]) > _TAIL_BYTES:
            self._tail_size -= len(self._tail.popleft()) + 1
