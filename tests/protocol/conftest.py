"""Each side of the wire, as something that takes a line and says what came back."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from nuxt_queue.errors import MethodNotFoundError
from nuxt_queue.rpc.peer import Peer, Reply
from nuxt_queue.runner.nodejs import NODE_BOOTSTRAP
from nuxt_queue.runner.runtimes import BOOTSTRAP

WORKERS = Path(__file__).parent.parent / "samples" / "workers"
WAIT_S = 10.0


def subtract(params: Any) -> Any:
    if isinstance(params, list):
        return params[0] - params[1]
    return params["minuend"] - params["subtrahend"]


# The methods of the examples in section 7 of the specification, and one that returns what it got.
METHODS: dict[str, Callable[[Any], Any]] = {
    "subtract": subtract,
    "sum": sum,
    "get_data": lambda _: ["hello", 5],
    "update": lambda _: None,
    "notify_hello": lambda _: None,
    "notify_sum": lambda _: None,
    "echo": lambda params: params,
}


class Child:
    """A real child process on a pair of pipes, spoken to in raw lines."""

    def __init__(self, worker: str, *, framed: bool = True) -> None:
        env = {**os.environ, "NUXT_QUEUE_CHILD_PROCESS": "1"}
        if framed:
            env["NQ_RPC_FRAMING"] = "lines"
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(BOOTSTRAP), str(WORKERS / worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
            bufsize=0,
        )
        self._speak_over(self.process.stdin, self.process.stdout)

    def _speak_over(self, requests: IO[bytes] | None, answers: IO[bytes] | None) -> None:
        assert requests is not None
        assert answers is not None
        self._requests, self._answers = requests, answers
        self._rest = b""
        self._fences = 0

    def send(self, line: bytes | dict[str, Any] | list[Any]) -> None:
        """Send one line, raw or as JSON."""
        raw = line if isinstance(line, bytes) else json.dumps(line).encode()
        self._requests.write(raw + b"\n")

    def write(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self._requests.write(raw)

    def read(self) -> Any:
        """Return the next message; fail when none comes in time."""
        deadline = time.monotonic() + WAIT_S
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], deadline - time.monotonic())
            assert ready, "the child said nothing in time"
            chunk = os.read(self._answers.fileno(), 1 << 16)
            assert chunk, f"the child closed its channel after {self._rest!r}"
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def exchange(self, line: bytes | dict[str, Any] | list[Any]) -> list[Any]:
        """Send a line and return what it was answered with: the answers before a fence's."""
        self._fences += 1
        fence = f"fence {self._fences}"
        self.send(line)
        self.send({"jsonrpc": "2.0", "method": "no such method", "id": fence})
        answers = []
        while not isinstance(answer := self.read(), dict) or answer.get("id") != fence:
            answers.append(answer)
        return answers

    def close(self) -> int:
        """End the conversation as a host does, and return the exit code."""
        self._requests.close()
        try:
            return self.process.wait(WAIT_S)
        finally:
            self.process.kill()
            for pipe in (self._answers, self.process.stdout, self.process.stderr):
                assert pipe is not None
                pipe.close()


class NodeChild(Child):
    """A real Node, spoken to over descriptors of its own; its arguments are a script and more."""

    def __init__(self, *argv: str | Path) -> None:
        reads, requests = os.pipe()
        answers, writes = os.pipe()
        self.process = subprocess.Popen(
            ["node", *map(str, argv)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(reads, writes),
            env={**os.environ, "NUXT_QUEUE_CHILD_PROCESS": "1", "NQ_WIRE_FDS": f"{reads},{writes}"},
            start_new_session=True,
        )
        os.close(reads)
        os.close(writes)
        self._speak_over(os.fdopen(requests, "wb", 0), os.fdopen(answers, "rb", 0))


class ParentSide:
    """`Peer` as a parent uses it: no channel, no loop."""

    known = "echo"

    def __init__(self) -> None:
        self._answers: list[bytes] = []
        self.peer = Peer(self._answers.append, self._serve)

    def _serve(self, method: str, params: Any, reply: Reply) -> None:
        if method not in METHODS:
            raise MethodNotFoundError(f"no method {method!r}")
        reply.result(METHODS[method](params))

    def exchange(self, line: bytes | dict[str, Any] | list[Any]) -> list[Any]:
        """Feed a line and return what it was answered with."""
        self._answers.clear()
        self.peer.receive(line if isinstance(line, bytes) else json.dumps(line).encode())
        return [json.loads(answer) for answer in self._answers]

    def was_understood(self, answer: dict[str, Any], params: Any) -> bool:
        """Tell whether an answer to a call of `known` shows that it reached the method."""
        return "result" in answer and answer["result"] == params

    def close(self) -> None:
        """Nothing to close."""


class ChildSide:
    """A worker process with a job in flight: it knows `execute`, and that it is busy."""

    known = "execute"

    def __init__(self) -> None:
        self.child = self._start()
        job = {"id": "1", "name": "n", "data": None}
        params = {"job": job, "context": {"jobId": "1"}}
        self.child.send({"jsonrpc": "2.0", "method": "execute", "params": params, "id": "job"})
        while (call := self.child.read())["method"] == "started":
            pass
        self.call = call
        assert self.call["method"] == "ctx.state.get"
        self.exchange = self.child.exchange

    def _start(self) -> Child:
        return Child("waits_for_go.py")

    def was_understood(self, answer: dict[str, Any], params: Any) -> bool:  # noqa: ARG002 see ParentSide
        """Tell whether an answer to a call of `known` shows that it reached the method."""
        return bool(answer.get("error", {}).get("code") == -32001)

    def close(self) -> None:
        """Let the job end, and the process with it."""
        self.child.send({"jsonrpc": "2.0", "result": "yes", "id": self.call["id"]})
        answer = self.child.read()
        assert answer == {"jsonrpc": "2.0", "id": "job", "result": {"go": "yes", "data": None}}
        assert self.child.close() == 0


def node_peer() -> NodeChild:
    """Start a Node that has the methods of the specification's examples, and `echo`."""
    return NodeChild(WORKERS / "node" / "speaks_json_rpc.mjs", NODE_BOOTSTRAP.parent)


class NodeSide(ChildSide):
    """The same of Node."""

    def _start(self) -> Child:
        return NodeChild(NODE_BOOTSTRAP, WORKERS / "node" / "waits_for_go.mjs")


Side = ParentSide | ChildSide
SIDES: dict[str, type[Side]] = {"parent": ParentSide, "child": ChildSide, "node": NodeSide}


@pytest.fixture(scope="module", params=SIDES)
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """Each side of the wire; the child's conversation goes on from test to test."""
    made = SIDES[request.param]()
    yield made
    made.close()
