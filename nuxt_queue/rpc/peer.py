"""One side of a JSON-RPC conversation: ids, pending calls, dispatch.

A peer knows no thread, loop or pipe.  It is given a function that takes a line away and is fed the
lines that arrive; whoever owns the channel decides where that happens.  `call` may be used from
any thread while another feeds `receive`.
"""

from __future__ import annotations

from itertools import count

from nuxt_queue.errors import (
    InternalError,
    InvalidRequestError,
    ParseError,
    PeerClosedError,
    RpcError,
)
from nuxt_queue.rpc import messages
from nuxt_queue.rpc.codec import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Done = Callable[[Any, RpcError | None], None]
    Serve = Callable[[str, Any, "Reply"], None]

__all__ = ["Peer", "Reply"]


class Reply:
    """Answers one request, once; for a notification it swallows the answer.

    A second answer is ignored: the first one is on the wire already.
    """

    __slots__ = ("_id", "_open", "_send", "wanted")

    def __init__(self, send: Callable[[dict[str, Any]], None], message: dict[str, Any]) -> None:
        self._send, self._id = send, message.get("id")
        self.wanted = self._open = "id" in message

    def result(self, value: Any) -> None:
        """Answer with a result.

        Raises:
            ValueError, TypeError: If JSON cannot hold it; the request stays open.
        """
        if self._open:
            self._send(messages.success(self._id, value))
            self._open = False

    def error(self, error: RpcError) -> None:
        """Answer with an error."""
        if self._open:
            self._send(messages.failure(self._id, error))
            self._open = False


class _Batch:
    """Collects the answers to one batch and sends them as one array."""

    def __init__(self, send: Callable[[Any], None], expected: int) -> None:
        self._send, self._missing = send, expected
        self._answers: list[dict[str, Any]] = []

    def add(self, answer: dict[str, Any]) -> None:
        self._answers.append(answer)
        self._missing -= 1
        if self._missing:
            return
        try:
            self._send(self._answers)
        except PeerClosedError:
            raise
        except RpcError as error:  # too long for this host
            count = len(self._answers)
            self._send([messages.failure(None, RpcError(f"{count} answers to a batch: {error}"))])


class Peer:
    """Send calls and match their answers; hand incoming requests to `serve`.

    Args:
        send: Takes one encoded line.  What it raises reaches the caller of `call`.
        serve: Called with (method, params, reply) for each incoming request or notification;
            may answer now or later.  An RpcError that it raises becomes the answer.
        first_id: Where this side's ids start; the two sides need not agree.
        write: Returns a call as a line.

    Attributes:
        send: Takes one encoded line.
        violations: How many lines broke the protocol.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        serve: Serve,
        first_id: int = 1,
        write: Callable[[dict[str, Any]], bytes] = encode,
    ) -> None:
        self.send, self._serve, self._write = send, serve, write
        self._ids = count(first_id)
        self._pending: dict[Any, Done] = {}
        self._closed: RpcError | None = None
        self.violations = 0

    @property
    def pending(self) -> int:
        """The number of calls that wait for an answer."""
        return len(self._pending)

    def call(
        self,
        method: str,
        params: Any,
        done: Done,
        before: Callable[[int], None] | None = None,
        send: Callable[[bytes], None] | None = None,
    ) -> None:
        """Write a request.

        `done(result, error)` is called exactly once, by whoever feeds `receive` or calls `close`;
        `before(size)` is called with the size of the line in bytes before it is written; `send`
        takes the line instead of the peer's own function.

        Raises:
            PeerClosedError: If the peer is closed already.
            ValueError, TypeError: If JSON cannot hold the parameters; nothing was written.
        """
        self._raise_if_closed()
        request_id = next(self._ids)
        line = self._write(messages.request(request_id, method, params))
        if before is not None:
            before(len(line))
        self._pending[request_id] = done
        try:
            (send or self.send)(line)
        except BaseException:
            self._pending.pop(request_id, None)
            raise
        self._raise_if_closed(request_id)  # closed while it was being written: nobody will answer

    def notify(
        self,
        method: str,
        params: Any,
        before: Callable[[int], None] | None = None,
        send: Callable[[bytes], None] | None = None,
    ) -> None:
        """Write a call that is not answered; `before` and `send` as for `call`."""
        self._raise_if_closed()
        line = self._write(messages.notification(method, params))
        if before is not None:
            before(len(line))
        (send or self.send)(line)

    def receive(self, line: bytes) -> None:
        """Take one line that has arrived; never raises for what the line holds."""
        try:
            message = decode(line)
        except ParseError as error:
            self.refuse(error)
        else:
            self.take(message)

    def take(self, message: Any) -> None:
        """Take what a line holds: a message, or the list of those of a batch."""
        if type(message) is not list:
            self._take(message, self._send)
        elif not message:
            self.refuse(InvalidRequestError("an empty batch"))
        elif len(message) > messages.MAX_BATCH:
            self.refuse(InvalidRequestError(f"a batch of more than {messages.MAX_BATCH} messages"))
        else:
            self._take_batch(message)

    def refuse(self, error: RpcError) -> None:
        """Answer a line that holds no message."""
        self._refuse(error, None, self._send)

    def close(self, reason: RpcError) -> None:
        """Settle every pending call with `reason`; later calls raise it."""
        if self._closed is None:
            self._closed = reason
        while self._pending:
            try:
                _, done = self._pending.popitem()
            except KeyError:  # another thread took the last one
                break
            done(None, reason)

    def _raise_if_closed(self, request_id: int | None = None) -> None:
        if self._closed is not None and (
            request_id is None or self._pending.pop(request_id, None) is not None
        ):
            raise self._closed

    def _send(self, message: Any) -> None:
        self.send(encode(message))

    def _take_batch(self, items: list[Any]) -> None:
        # Responses and notifications get no answer; everything else, valid or not, gets one.
        expected = sum(1 for item in items if not _is_response(item) and not _is_silent(item))
        batch = _Batch(self._send, expected)
        for item in items:
            self._take(item, batch.add)

    def _take(self, message: Any, send: Callable[[dict[str, Any]], None]) -> None:
        if _is_response(message):
            self._settle(message)
            return
        if type(message) is not dict:
            self._refuse(InvalidRequestError("a message must be an object"), None, send)
            return
        try:
            messages.check_request(message)
        except InvalidRequestError as error:
            self._refuse(error, messages.id_to_repeat(message), send)
            return
        reply = Reply(send, message)
        try:
            self._serve(message["method"], message.get("params", {}), reply)
        except RpcError as error:
            reply.error(error)
        except Exception as error:  # noqa: BLE001 one bad request must not end the conversation
            reply.error(InternalError(f"{type(error).__name__}: {error}"))

    def _settle(self, message: dict[str, Any]) -> None:
        try:
            messages.check_response(message)
        except InvalidRequestError:
            self.violations += 1
            return
        done = self._pending.pop(message["id"], None)
        if done is None:  # unknown, or answered already: the first answer won
            self.violations += 1
        elif "error" in message:
            done(None, messages.error_from_wire(message["error"]))
        else:
            done(message["result"], None)

    def _refuse(self, error: RpcError, echo: Any, send: Callable[[dict[str, Any]], None]) -> None:
        self.violations += 1
        send(messages.failure(echo, error))


def _is_response(message: Any) -> bool:
    return (
        type(message) is dict
        and "method" not in message
        and ("result" in message or "error" in message)
    )


def _is_silent(message: Any) -> bool:
    """Tell whether a message is a valid notification, which is never answered."""
    if type(message) is not dict or "id" in message:
        return False
    try:
        messages.check_request(message)
    except InvalidRequestError:
        return False
    return True
