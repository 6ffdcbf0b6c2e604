"""A host in a few lines: what a context sends, and what it is answered."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from typing import Any

from nuxt_queue.errors import PeerClosedError
from nuxt_queue.rpc import methods
from nuxt_queue.rpc.peer import Peer, Reply
from nuxt_queue.sdk.calls import Calls
from nuxt_queue.sdk.context import RunContext

WAIT_S = 10.0

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def result(value: Any) -> Answer:
    """Answer with a result."""
    return lambda _params: {"result": value}


def error(code: int, message: str, **more: Any) -> Answer:
    """Answer with an error."""
    return lambda _params: {"error": {"code": code, "message": message, **more}}


def nothing(_method: str, _params: Any, _reply: Reply) -> None:
    """Serve nothing."""


class FakeHost:
    """Answers from a table of methods: at once, or later from a thread of its own.

    Attributes:
        table: What answers each method; every other one is answered with -32601.
        said: Every message that arrived, in order.
        ctx: A context whose calls come here.
        unacknowledged: Bytes that wait for their answer; `most` is the highest it has been.
    """

    def __init__(self, *, framed: bool = True, later: bool = False) -> None:
        self.table: dict[str, Answer] = {}
        self.said: list[dict[str, Any]] = []
        self.unacknowledged = self.most = 0
        self._mutex = threading.Lock()
        self._inbox: queue.Queue[bytes | None] = queue.Queue()
        self.peer = Peer(self._take, nothing, 1_000_001)
        self.calls = Calls(self.peer, framed=framed)
        self.ctx = RunContext(self.calls, {"jobId": "j1", "flowName": "f"})
        self._thread: threading.Thread | None = None
        if later:
            self._thread = threading.Thread(target=self._answer_all)
            self._thread.start()

    def params(self, method: str) -> list[Any]:
        """Return the parameters of every message of a method."""
        return [each["params"] for each in self.said if each["method"] == method]

    @property
    def logs(self) -> list[Any]:
        """The parameters of every log line."""
        return self.params(methods.LOG)

    def close(self) -> None:
        """Hang up."""
        self._inbox.put(None)
        if self._thread is not None:
            self._thread.join(WAIT_S)
        self.peer.close(PeerClosedError("the host closed the channel"))

    def _take(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        message = json.loads(line)
        with self._mutex:
            self.said.append(message)
            if "id" in message:
                self.unacknowledged += len(line)
                self.most = max(self.most, self.unacknowledged)
        if self._thread is None:
            self._answer(line)
        else:
            self._inbox.put(line)

    def _answer_all(self) -> None:
        while (line := self._inbox.get()) is not None:
            self._answer(line)

    def _answer(self, line: bytes) -> None:
        message = json.loads(line)
        if "id" not in message:
            return
        answer = self.table.get(message["method"]) or error(-32601, "Method not found")
        with self._mutex:
            self.unacknowledged -= len(line)
        body = {"jsonrpc": "2.0", "id": message["id"], **answer(message["params"])}
        self.peer.receive(json.dumps(body).encode())
