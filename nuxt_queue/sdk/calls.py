"""Calls to the host: written when made, awaited or waited for, drained before the job's reply."""

from __future__ import annotations

import sys
from _thread import allocate_lock

from nuxt_queue.errors import MethodNotFoundError, NotSupportedByHost, RpcError
from nuxt_queue.rpc import methods
from nuxt_queue.rpc.codec import encode
from nuxt_queue.rpc.messages import check_size, success
from nuxt_queue.rpc.peer import Peer
from nuxt_queue.rpc.values import refuse_large_integers, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from nuxt_queue.rpc.codec import Encoded

__all__ = ["UNLIMITED", "WINDOW_BYTES", "Call", "Calls", "loop_is_running"]

# A host that splits its input by chunks loses a line that does not fit the pipe's buffer.
WINDOW_BYTES = 64 * 1024
UNLIMITED = 1 << 62  # bytes of a line, for a host that has not said what it reads
_AROUND_A_RESULT = len(encode(success(1, None))) - len("null")


class Call:
    """One call in flight: `await` it in a coroutine, or `wait()` in a thread.

    It was written when it was made; awaiting it only fetches the answer.
    """

    __slots__ = ("_error", "_gate", "_result", "_wakes", "done", "label", "method", "seen", "size")

    def __init__(self, method: str, label: str) -> None:
        self.method, self.label = method, label
        self.done = self.seen = False
        self.size = 0
        self._result: Any = None
        self._error: RpcError | None = None
        self._wakes: list[Callable[[], None]] = []
        self._gate = allocate_lock()
        self._gate.acquire()

    def __repr__(self) -> str:
        return f"<{self.label}: not awaited; write `await {self.label}` in an async handler>"

    def settle(self, result: Any, error: RpcError | None) -> None:
        """Keep the answer and wake whoever waits; called once, from any thread."""
        self._result, self._error = result, error
        self.done = True
        self._gate.release()
        for wake in self._wakes:
            wake()

    @property
    def error(self) -> RpcError | None:
        """Why it failed; None while it runs or when it succeeded."""
        return self._error

    def wait(self) -> Any:
        """Block until the answer is there and return it.

        Raises:
            RpcError: What the host answered, `NotSupportedByHost` when it lacks the method.
        """
        self.settled()
        return self._outcome()

    def settled(self, timeout_s: float = -1) -> bool:
        """Wait for the answer without looking at it; False when it did not come in time."""
        if not self.done:
            if not self._gate.acquire(timeout=timeout_s):
                return False
            self._gate.release()
        return True

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.done:
            yield from self.arrived().__await__()
        return self._outcome()

    async def arrived(self) -> None:
        """Wait for the answer in an event loop without looking at it."""
        import asyncio

        loop = asyncio.get_running_loop()
        arrival = loop.create_future()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_set_once, arrival)

        self._wakes.append(wake)
        if self.settled(0):  # it came before the line above
            wake()
        await arrival

    def _outcome(self) -> Any:
        self.seen = True
        if isinstance(self._error, MethodNotFoundError):
            what = f"this host has no {self.method}, which {self.label} needs"
            raise NotSupportedByHost(what, self._error.data)
        if self._error is not None:
            raise self._error
        return self._result


class _JobEndedError(RpcError):
    """A call of a job that has its answer."""


class Calls:
    """Makes calls over a peer and remembers what is outstanding.

    Args:
        peer: Carries the calls.
        framed: Whether the host reads lines of any length.  If not, at most 64 KiB stay
            unacknowledged, and every log line is a call that is acknowledged.
        longest: Bytes of the longest line that the host reads, if it has said so.
    """

    def __init__(self, peer: Peer, *, framed: bool, longest: int = UNLIMITED) -> None:
        self.peer, self.framed, self.longest = peer, framed, longest
        self._outstanding: dict[int, Call] = {}
        self._failed: list[Call] = []
        self._lacking: set[str] = set()  # methods that the host has been asked for in vain
        self._unacknowledged = 0
        self._mutex = allocate_lock()
        self._speaking = allocate_lock()  # held from the look at `_closed` until a line is written
        self._closed = False

    def close(self) -> None:
        """Refuse further calls: what a job has left running must not speak for the next."""
        with self._speaking:
            self._closed = True

    def plain(self, value: Any, path: str) -> Any:
        """Return a value of the user's as JSON data that this host reads as it is.

        A host that has not announced line framing is the specification's, which is JavaScript.

        Raises:
            ValuePathError: If JSON, or JavaScript, cannot hold it; names the place.
        """
        plain = to_json(value, path)
        if not self.framed:
            refuse_large_integers(plain, path)
        return plain

    def make(
        self,
        method: str,
        params: dict[str, Any],
        label: str,
        fallback: tuple[str, dict[str, Any]] | None = None,
    ) -> Call:
        """Write a call now; `fallback` is sent instead when the host lacks the method."""
        if fallback and method in self._lacking:
            (method, params), fallback = fallback, None
        call = Call(method, label)

        def before(size: int) -> None:
            self._reserve(call, size)

        def done(result: Any, error: RpcError | None) -> None:
            if fallback and isinstance(error, MethodNotFoundError):
                self._lacking.add(method)
                self._again(call, fallback)
            else:
                self._settle(call, result, error)

        try:
            self.peer.call(method, params, done, before, self._send)
        except BaseException as error:
            self._forget(call)
            if isinstance(error, _JobEndedError):
                raise RpcError(f"{label}: {error}") from None
            raise
        return call

    def answer(self, call: Call) -> Any:
        """Return the call itself where it can be awaited, its answer everywhere else.

        In a coroutine one awaits; in a thread without a running loop the value simply comes back.
        """
        return call if loop_is_running() else call.wait()

    def log(self, params: dict[str, Any]) -> None:
        """Write a log line; a host that must acknowledge it gets a call."""
        if self.framed:
            try:
                self.peer.notify(
                    methods.LOG, params, lambda size: self.check("a log line", size), self._send
                )
            except _JobEndedError:
                return
        else:
            self.make(methods.LOG, params, "ctx.logger").seen = True

    def check(self, what: str, size: int) -> None:
        """Raise ValuePathError for a line, its newline included, that the host does not read."""
        check_size(what, size - 1, self.longest)

    def check_result(self, result: Encoded) -> None:
        """Raise ValuePathError for a result that a host would not read."""
        self.check("result", len(result) + _AROUND_A_RESULT)

    def drain(self, log_timeout_s: float = 5.0) -> list[Call]:
        """Wait for everything outstanding; return the failed calls that nobody looked at.

        Waits for log lines `log_timeout_s` at most, for all together: they must not keep a result
        back.
        """
        from time import monotonic

        deadline = monotonic() + log_timeout_s
        for call in list(self._outstanding.values()):
            call.settled(max(deadline - monotonic(), 0) if call.method == methods.LOG else -1)
        return self._unseen()

    async def drained(self) -> list[Call]:
        """Do as `drain` does, in an event loop that answers the calls."""
        for call in list(self._outstanding.values()):
            await call.arrived()
        return self._unseen()

    def _send(self, line: bytes) -> None:
        """Write a line unless the job has ended, which a thread that waits for its turn learns."""
        with self._speaking:
            if self._closed:
                raise _JobEndedError("the job that it belongs to has ended")
            self.peer.send(line)

    def _unseen(self) -> list[Call]:
        return [c for c in self._failed if not c.seen and c.method != methods.LOG]

    def _again(self, call: Call, fallback: tuple[str, dict[str, Any]]) -> None:
        # Runs where answers arrive, so it must not wait for other answers: no reservation.
        method, params = fallback
        try:
            self.peer.call(method, params, lambda r, e: self._settle(call, r, e), send=self._send)
        except RpcError as error:
            self._settle(call, None, error)

    def _reserve(self, call: Call, size: int) -> None:
        with self._mutex:
            self._outstanding[id(call)] = call
        if self.framed:
            self.check(call.label, size)
            return
        if size > WINDOW_BYTES:
            raise RpcError(
                f"{call.label} is a message of {size} bytes, and this host loses lines over"
                f" {WINDOW_BYTES}; send less, or a path to a file"
            )
        while (oldest := self._fill(call, size)) is not None:
            oldest.settled()

    def _fill(self, call: Call, size: int) -> Call | None:
        """Take the room for a call; return the one to wait for when there is none."""
        with self._mutex:
            if self._unacknowledged + size > WINDOW_BYTES:
                for oldest in self._outstanding.values():
                    if oldest.size:
                        return oldest
            call.size = size
            self._unacknowledged += size
            return None

    def _settle(self, call: Call, result: Any, error: RpcError | None) -> None:
        if error is not None:
            self._failed.append(call)
        self._forget(call)
        call.settle(result, error)

    def _forget(self, call: Call) -> None:
        with self._mutex:
            self._unacknowledged -= call.size
            self._outstanding.pop(id(call), None)
            call.size = 0


def _set_once(future: Any) -> None:
    if not future.done():
        future.set_result(None)


def loop_is_running() -> bool:
    """Tell whether an event loop runs in this thread; never loads asyncio to find out."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    # The public function raises where there is no loop, which is the usual case here.
    return asyncio._get_running_loop() is not None  # noqa: SLF001
