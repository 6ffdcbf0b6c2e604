"""Cuts the bytes of a pipe into lines; a line that is too long is never kept whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Lines"]


class Lines(asyncio.Protocol):
    """Cuts a stream of bytes at newlines and keeps the rest until its newline comes.

    A line of more than `limit` bytes is handed on in pieces, unless `on_excess` is given: then it
    is called once, and the rest of the stream is dropped.

    Attributes:
        bytes_read: How much has come through the pipe.
        ended: Settles when the pipe has been read to its end or closed.
    """

    def __init__(
        self,
        on_line: Callable[[bytes], None],
        limit: int,
        on_excess: Callable[[], None] | None = None,
    ) -> None:
        self._on_line, self._limit, self._on_excess = on_line, limit, on_excess
        self._head: list[bytes] = []
        self._size = 0
        self._gave_up = False
        self.bytes_read = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Take what the pipe held."""
        self.bytes_read += len(data)
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._add(line)
            self._end_line()
        self._add(rest)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 asyncio's signature
        """Hand on the last line, newline or not."""
        self._end_line()
        if not self.ended.done():
            self.ended.set_result(None)

    def _add(self, piece: bytes) -> None:
        if self._gave_up or not piece:
            return
        self._head.append(piece)
        self._size += len(piece)
        if self._size > self._limit:
            self._overflow()

    def _overflow(self) -> None:
        if self._on_excess is not None:
            self._gave_up = True
            self._head.clear()
            self._on_excess()
            return
        whole = memoryview(b"".join(self._head))
        while len(whole) > self._limit:
            self._on_line(bytes(whole[: self._limit]))
            whole = whole[self._limit :]
        self._head, self._size = [bytes(whole)], len(whole)

    def _end_line(self) -> None:
        if not self._head:
            return
        whole = self._head[0] if len(self._head) == 1 else b"".join(self._head)
        self._head.clear()
        self._size = 0
        if whole.strip():
            self._on_line(whole)
