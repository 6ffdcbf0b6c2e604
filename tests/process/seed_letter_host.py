"""A host that is the specification's ChildProcessRunner to the letter, for real children.

It runs plain `python3 worker.py`, sends bare data as the job, registers five methods, splits what
arrives chunk by chunk, and takes any line with a result for the result.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from tests.process.conftest import WAIT_S, WORKERS

Method = Callable[[dict[str, Any]], Any]

CONTEXT = {
    "jobId": "j1",
    "queue": "q",
    "flowId": "f1",
    "flowName": "ml-flow",
    "stepName": "train",
    "stepId": "f1__train__attempt-1",
    "attempt": 1,
}


class JobFailedError(Exception):
    """What `json-rpc-2.0` rejects with: the message of the error object."""


class SeedLetterHost(asyncio.SubprocessProtocol):
    """`ChildProcessRunner` of the specification, defects included; a new one for each job.

    Args:
        execute_id: The id of its `execute`; the specification counts from 1.
        patient: Close stdin after the answer and wait, instead of sending SIGTERM at once.
        framed: Announce line framing and keep the carry between chunks, as this project's does.
        withholds: Do what the child asks, and keep the answers until `acknowledge`.
        python: The interpreter and its options.
        env: What the child's environment has beside this one's.

    Attributes:
        methods: What it answers; take one away for a host that lacks it.
        requests: Every message with a method that the child has sent.
        answers: Every other message that the child has sent.
        lost: Pieces of lines that were cut by the end of a chunk.
        wire: Every byte that the child has sent.
    """

    def __init__(
        self,
        *,
        execute_id: int = 1,
        patient: bool = False,
        framed: bool = False,
        withholds: bool = False,
        python: tuple[str, ...] = (sys.executable,),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.execute_id, self.patient, self.framed = execute_id, patient, framed
        self.withholds, self.python, self.env = withholds, python, env or {}
        self.state: dict[str, Any] = {}
        self.logs: list[dict[str, Any]] = []
        self.emitted: list[dict[str, Any]] = []
        self.console: list[str] = []
        self.lost: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.wire = bytearray()
        self.unacknowledged = self.most_unacknowledged = 0
        self.methods: dict[str, Method] = {
            "ctx.state.get": lambda p: self.state.get(p["key"]),
            "ctx.state.set": self._set,
            "ctx.state.delete": lambda p: self.state.pop(p["key"], None) is not None,
            "ctx.logger.log": self.logs.append,
            "ctx.flow.emit": self._emit,
        }
        self.exited = asyncio.get_running_loop().create_future()
        self._carry = b""
        self._withheld: list[tuple[dict[str, Any], int]] = []
        self._news = asyncio.Event()
        self._transport: asyncio.SubprocessTransport | None = None
        self._answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def execute(self, worker: str, data: Any, context: dict[str, Any] | None = None) -> Any:
        """Run one job as the specification does."""
        await self.start(worker, data, context)
        try:
            return await self.answer()
        finally:
            await self.cleanup()

    async def start(self, worker: str, data: Any, context: dict[str, Any] | None = None) -> None:
        """Start the child and send it the job."""
        await self.spawn(worker)
        given = {"flowId": "f1"} if context is None else context
        self.ask("execute", {"job": data, "context": given}, self.execute_id)

    async def answer(self) -> Any:
        """Wait for the job's answer."""
        async with asyncio.timeout(WAIT_S):
            return await self._answer

    async def spawn(self, worker: str) -> None:
        """Start `python3 worker.py` with the whole of this environment."""
        framing = {"NQ_RPC_FRAMING": "lines"} if self.framed else {}
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.subprocess_exec(
            lambda: self,
            *self.python,
            str(WORKERS / worker),
            env={**os.environ, **self.env, **framing, "NUXT_QUEUE_CHILD_PROCESS": "1"},
        )

    def ask(self, method: str, params: Any, request_id: Any) -> None:
        """Send a request."""
        self.send({"jsonrpc": "2.0", "method": method, "params": params, "id": request_id})

    def send(self, message: dict[str, Any]) -> None:
        """Write one line."""
        self.stdin.write(json.dumps(message).encode() + b"\n")

    @property
    def stdin(self) -> asyncio.WriteTransport:
        """The child's stdin."""
        assert self._transport is not None
        pipe = self._transport.get_pipe_transport(0)
        assert isinstance(pipe, asyncio.WriteTransport)
        return pipe

    async def until(self, happened: Callable[[], Any]) -> None:
        """Wait until something that the child sends has made it true."""
        async with asyncio.timeout(WAIT_S):
            while not happened():
                self._news.clear()
                await self._news.wait()

    async def round_trip(self) -> None:
        """Ask the child for something that it does not have, and wait for its answer."""
        before = len(self.answers)
        self.ask("ping", {}, f"ping-{before}")
        await self.until(lambda: len(self.answers) > before)

    def acknowledge(self) -> None:
        """Send every answer that was withheld."""
        withheld, self._withheld = self._withheld, []
        for message, size in withheld:
            self.unacknowledged -= size
            self.send(message)

    async def end(self) -> int:
        """Close stdin and return the exit code that the child comes to."""
        self.stdin.close()
        return int(await asyncio.wait_for(asyncio.shield(self.exited), WAIT_S))

    async def cleanup(self) -> None:
        """Send SIGTERM, to the process only; nothing to do a second time."""
        if self._transport is None:
            return
        if self.patient:
            await self.end()
        elif self._transport.get_returncode() is None:
            self._transport.terminate()
        await asyncio.wait_for(self.exited, WAIT_S)
        self._transport.close()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Split a chunk at newlines, forget about the rest of the line before."""
        if fd == 2:
            self.console.append(data.decode())
            return
        self.wire += data
        if self.framed:
            whole, newline, self._carry = (self._carry + data).rpartition(b"\n")
            data = whole + newline
        for line in data.decode("utf-8", "replace").split("\n"):
            if not line.strip():
                continue
            try:
                message = json.loads(line)
            except ValueError:
                self.lost.append(line)
                continue
            if "method" in message:
                self._serve(message, len(line) + 1)
            elif "result" in message or "error" in message:
                self._settle(message)
        self._news.set()

    def process_exited(self) -> None:
        """Note the end; the specification does not listen."""
        assert self._transport is not None
        self.exited.set_result(self._transport.get_returncode())

    def _serve(self, message: dict[str, Any], size: int) -> None:
        self.requests.append(message)
        method = self.methods.get(message["method"])
        if method is None:
            outcome: dict[str, Any] = {"error": {"code": -32601, "message": "Method not found"}}
        else:
            try:
                outcome = {"result": method(message["params"])}
            except Exception as error:  # noqa: BLE001 as the library does, whatever it is
                outcome = {"error": {"code": 0, "message": str(error)}}
        if "id" not in message:
            return
        self.unacknowledged += size
        self.most_unacknowledged = max(self.most_unacknowledged, self.unacknowledged)
        self._withheld.append(({"jsonrpc": "2.0", "id": message["id"], **outcome}, size))
        if not self.withholds:
            self.acknowledge()

    def _settle(self, message: dict[str, Any]) -> None:
        self.answers.append(message)
        if message["id"] != self.execute_id or self._answer.done():
            return
        if "error" in message:
            self._answer.set_exception(JobFailedError(message["error"]["message"]))
        else:
            self._answer.set_result(message["result"])

    def _set(self, params: dict[str, Any]) -> None:
        self.state[params["key"]] = params["value"]

    def _emit(self, params: dict[str, Any]) -> list[Any]:
        self.emitted.append(params)
        return []
