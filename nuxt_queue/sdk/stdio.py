"""Takes the wire off stdin and stdout, so that nothing the user's code does can touch it.

After `claim`, descriptor 0 is empty and descriptor 1 leads to the parent's capture (or to stderr):
`print`, C code and subprocesses write there, `input()` sees the end of the file.  The wire itself
lives on private descriptors that no subprocess inherits and that a forked copy closes.
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock, get_ident, start_new_thread

from nuxt_queue.errors import PeerClosedError, RpcError, ValuePathError
from nuxt_queue.rpc import methods
from nuxt_queue.sdk.records import is_standard, send_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["StdioChannel", "claim", "claimed"]

_CHUNK_BYTES = 1 << 16  # what a pipe holds by default: one read empties it
_LONGEST_RECORD = 1 << 20  # characters; a longer one is printed while the file is imported

_claimed: StdioChannel | None = None


class StdioChannel:
    """Lines over two descriptors: written under a lock by any thread, read by one of its own.

    Attributes:
        framed: Whether the host has said that it reads lines of any length.
        reused: Whether the host has said that one job may follow another.
        longest: Bytes of the longest line that the host has said it reads; None if it has not.
        on_record: Takes a log line and returns False if it belongs to no job; None until the
            worker has a conversation with its host.
    """

    def __init__(
        self,
        reads_fd: int,
        writes_fd: int,
        *,
        framed: bool = False,
        reused: bool = False,
        longest: int | None = None,
    ) -> None:
        self._reads_fd, self._writes_fd = reads_fd, writes_fd
        self.framed, self.reused, self.longest = framed, reused, longest
        self._writing = allocate_lock()
        self._writer = 0  # the thread that holds it
        self.on_record: Callable[[dict[str, Any]], bool] | None = None
        self._pid = os.getpid()

    @property
    def is_forked_copy(self) -> bool:
        """Whether this process is a copy that `os.fork()` made of the worker."""
        return os.getpid() != self._pid

    def write(self, line: bytes) -> None:
        """Write one line whole, whichever thread asks.

        Raises:
            PeerClosedError: If the host no longer reads, or in a forked copy of the worker.
        """
        if self._writes_fd < 0:
            raise PeerClosedError("a forked copy of the worker has no host to talk to")
        with self._writing:
            self._writer = get_ident()
            view = memoryview(line)
            try:
                while view:
                    view = view[os.write(self._writes_fd, view) :]
            except OSError as error:
                raise PeerClosedError(f"the host closed the channel: {error.strerror}") from None
            finally:
                self._writer = 0

    def record(self, level: str, message: str, metadata: dict[str, Any]) -> bool:
        """Send a record of `logging` or a warning; False when it has to be printed instead."""
        if self._writer == get_ident():  # in a signal handler or a finalizer, amid another line
            return False
        text = message.encode("utf-8", "backslashreplace").decode("utf-8")
        line = {"level": level, "message": text, "metadata": metadata}
        try:
            if self.on_record is not None:
                return self.on_record(line)
            if not self.framed or len(text) > _LONGEST_RECORD:
                return False
            from nuxt_queue.rpc import codec, messages  # the file is being imported

            self.write(codec.encode(messages.notification(methods.LOG, line)))
        except (RpcError, ValuePathError):  # the host is gone, or takes no line of this length
            return False
        return True

    def listen(self, on_line: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """Read in a thread of its own: a handler that blocks must still get its answers."""
        start_new_thread(self._read, (on_line, on_end))

    def lines(self) -> Iterator[bytes]:
        """Read in the calling thread, line by line, until the host hangs up."""
        head: list[bytes] = []  # the pieces of a line whose newline has not come yet
        while chunk := self._chunk():
            *lines, rest = chunk.split(b"\n")
            for line in lines:
                whole = b"".join((*head, line)) if head else line
                head.clear()
                if whole.strip():
                    yield whole
            if rest:
                head.append(rest)

    def _read(self, on_line: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        try:
            for line in self.lines():
                on_line(line)
        except PeerClosedError:
            pass  # an answer that nobody reads any more: the same as the end
        finally:
            on_end()

    def _chunk(self) -> bytes:
        try:
            return os.read(self._reads_fd, _CHUNK_BYTES)
        except OSError:
            return b""

    def _forget(self) -> None:
        """Close both ends in a forked copy, so that it can neither speak nor keep the pipe open."""
        for fd in (self._reads_fd, self._writes_fd):
            try:
                os.close(fd)
            except OSError:
                continue
        self._reads_fd = self._writes_fd = -1


def claim() -> StdioChannel | None:
    """Take the wire if this process was started as a worker; None if it was not, or when taken.

    The first call decides, which is the import of `nuxt_queue` by the worker file.  The mark in the
    environment is removed, so that the worker's own subprocesses are ordinary processes.
    """
    global _claimed  # noqa: PLW0603 there is one stdin
    if _claimed is None and os.environ.pop(methods.ENV_CHILD, None) == "1":
        # Private copies first: after this nothing can reach the wire through 0 and 1.
        framed = os.environ.pop(methods.ENV_FRAMING, "") == "lines"
        reused = os.environ.pop(methods.ENV_REUSE, "") == "1"
        said = os.environ.pop(methods.ENV_MAX_MESSAGE, "")
        longest = int(said) if framed and said.isascii() and said.isdecimal() else None
        _claimed = StdioChannel(os.dup(0), os.dup(1), framed=framed, reused=reused, longest=longest)
        os.register_at_fork(after_in_child=_claimed._forget)  # noqa: SLF001 its own module
        capture = int(os.environ.pop(methods.ENV_STDOUT_FD, "2"))
        os.dup2(capture, 1)
        if capture > 2:  # noqa: PLR2004 not one of the standard streams
            os.close(capture)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        # A line that is printed is seen at once, not when the job has ended.
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and hasattr(stream, "reconfigure"):
                stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
        send_records(_claimed.record, is_standard)
    return _claimed


def claimed() -> StdioChannel | None:
    """Return the channel that `claim` took, if any."""
    return _claimed
