"""Runs one job over one process and settles it exactly once.

First of: the answer, the end of the process, the end of the channel, the timeout, cancellation.
Whichever it was, the process and its group are gone when `execute` returns or raises.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nuxt_queue.errors import (
    ConfigError,
    HandlerError,
    InternalError,
    MethodNotFoundError,
    PeerClosedError,
    RpcError,
    WorkerCrashedError,
    WorkerStartError,
    WorkerTimeoutError,
)
from nuxt_queue.rpc import methods
from nuxt_queue.rpc.peer import Peer, Reply
from nuxt_queue.rpc.values import to_json
from nuxt_queue.runner.fresh import FreshProcesses, ProcessSource
from nuxt_queue.runner.launch import Launch, LaunchOptions
from nuxt_queue.runner.process import ChildProcess, Timeouts, describe_exit
from nuxt_queue.runner.runtimes import make_launch
from nuxt_queue.services.context import JobContext, JobHandler

__all__ = ["ChildProcessRunner"]

_MAX_MESSAGE = 64 * 1024 * 1024  # bytes of one line; more is a mistake, not a message
_MAX_VIOLATIONS = 100  # lines that break the protocol; then the worker does not speak it
_EXIT_NEWS_S = 0.25  # between the end of the channel and the news that the process has ended
_TAIL_BYTES = 8 * 1024  # of stderr, kept for the error of a crash


class ChildProcessRunner:
    """Runs a worker file, each job in a fresh process.

    The runner holds what is the same for all jobs; everything else belongs to one run, so any
    number of jobs may run at once.

    Args:
        worker_path: The worker file.
        runtime: Its name, as `runtimes.make_launch` knows it.
        timeout_ms: How long one job may take, in milliseconds.
        timeouts: The steps of a child's end.
        max_message: The longest line of the protocol, in bytes.
        options: The fields of `LaunchOptions`.

    Raises:
        ConfigError: If the worker, the runtime or the timeout cannot be used.
    """

    def __init__(
        self,
        worker_path: str | Path,
        runtime: str = "python",
        timeout_ms: int = 300_000,
        *,
        timeouts: Timeouts | None = None,
        max_message: int = _MAX_MESSAGE,
        **options: Any,
    ) -> None:
        if isinstance(timeout_ms, bool) or not isinstance(timeout_ms, int) or timeout_ms <= 0:
            raise ConfigError(f"timeout is {timeout_ms!r}; give milliseconds above 0")
        self.launch = make_launch(runtime, Path(worker_path), LaunchOptions(**options))
        self.timeout_ms = timeout_ms
        self.max_message = max_message
        self.timeouts = timeouts or Timeouts()
        self.processes: ProcessSource = FreshProcesses(self.launch, max_message, self.timeouts)

    def create_handler(self) -> JobHandler:
        """Return the handler that a manager registers like any other."""
        return self.execute

    async def execute(self, job: Mapping[str, Any], job_context: JobContext) -> Any:
        """Run one job and return its result.

        Raises:
            HandlerError: If the handler raised, or the file could not be imported.
            WorkerTimeoutError: If it took longer than the timeout.
            WorkerCrashedError: If the process ended or broke the protocol without an answer.
            WorkerStartError: If the process could not be started.
        """
        return await _Run(self, job_context).execute(job)

    async def close(self) -> None:
        """End the processes that wait for jobs; running jobs are not touched."""
        await self.processes.close()


class _Run:
    """One job, one process."""

    def __init__(self, runner: ChildProcessRunner, job_context: JobContext) -> None:
        self._runner, self._context = runner, job_context
        self._job_id = job_context.scope.job_id
        self._loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[Any] = self._loop.create_future()
        self._answered = False
        # Calls and printed lines in the order of their arrival; the answer comes behind them.
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._process: ChildProcess
        self._peer = Peer(self._write, self._serve)

    async def execute(self, job: Mapping[str, Any]) -> Any:
        scope = self._context.scope
        params = {"job": to_json(dict(job), "job"), "context": scope.to_wire()}
        self._process = await self._start()
        worker = asyncio.create_task(self._work())
        watcher = asyncio.create_task(self._watch())
        try:
            await self._context.service.bus.publish(
                "process.started", scope, {"pid": self._process.pid}
            )
            self._peer.call(methods.EXECUTE, params, self._on_answer)
            timeout_s = self._runner.timeout_ms / 1000
            await asyncio.wait({self._outcome}, timeout=timeout_s)
            if not self._outcome.done() and not self._answered:
                error = WorkerTimeoutError(self._job_id, self._runner.timeout_ms)
                self._outcome.set_exception(error)
            return await self._outcome
        finally:
            if not self._outcome.done():
                self._outcome.cancel()  # cancelled from outside: nobody waits for an outcome
            # A job that is cancelled while its process is being ended must still end it.
            await asyncio.shield(self._end(worker, watcher))

    async def _start(self) -> ChildProcess:
        launch = self._runner.launch
        try:
            return await self._runner.processes.take(self)
        except OSError as error:
            raise WorkerStartError(self._job_id, launch.argv, _reason(error, launch)) from None

    async def _end(self, worker: asyncio.Task[None], watcher: asyncio.Task[None]) -> None:
        answered = self._answered  # one that comes from now on, after SIGTERM, is too late
        by_itself = await self._runner.processes.give_back(self._process, answered=answered)
        watcher.cancel()
        self._peer.close(PeerClosedError("the job has ended"))
        await self._empty_inbox(worker)
        if self._outcome.done() and not self._outcome.cancelled():
            self._outcome.exception()  # nobody may be there to see it: the job was cancelled
        how = describe_exit(self._process.exited.result())
        if answered and not by_itself:
            how = f"did not exit within {self._runner.timeouts.exit_s:g} s of its answer"
            await self._context.log("warn", f"the worker {how} and was killed")
        elif answered and self._process.exited.result() != 0:
            await self._context.log("warn", f"the worker {how} after its answer")

    async def _empty_inbox(self, worker: asyncio.Task[None]) -> None:
        """Let everything that has arrived be recorded; a call that hangs is given up."""
        self._inbox.put_nowait(None)
        left = -1
        while not worker.done() and left != self._inbox.qsize():
            left = self._inbox.qsize()
            await asyncio.wait({worker}, timeout=self._runner.timeouts.drain_s)
        worker.cancel()
        while not self._inbox.empty():
            if (item := self._inbox.get_nowait()) is not None:
                item.close()

    async def _work(self) -> None:
        """Answer calls and record lines, one after the other: program order is kept."""
        while (item := await self._inbox.get()) is not None:
            await item

    async def _watch(self) -> None:
        """Settle the job when its process or its channel ends without an answer."""
        exited = self._process.exited
        ends: tuple[asyncio.Future[Any], ...] = (exited, self._process.wire_ended)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not exited.done():  # the two come together when a process dies: its end says more
            await asyncio.wait({exited}, timeout=_EXIT_NEWS_S)
        returncode = exited.result() if exited.done() else None
        await self._process.drain()
        if self._answered:
            return
        if returncode is None:
            self._crash("closed the protocol channel")
        else:
            missing = " without a result" if returncode >= 0 else ""
            self._crash(describe_exit(returncode) + missing, returncode)

    def on_line(self, line: bytes) -> None:
        """Take a line of the protocol."""
        self._peer.receive(line)
        if self._peer.violations > _MAX_VIOLATIONS:
            self._crash(f"broke the protocol more than {_MAX_VIOLATIONS} times")

    def on_oversize(self) -> None:
        """Give up: what comes behind such a line cannot be told from it."""
        limit = self._runner.max_message
        self._crash(f"sent a message larger than the limit of {limit} bytes")

    def on_output(self, stream: str, line: bytes) -> None:
        """Record a line that the worker printed."""
        if stream == "stderr":
            self._tail.append(line)
            self._tail_size += len(line) + 1
            while len(self._tail) > 1 and self._tail_size > _TAIL_BYTES:
                self._tail_size -= len(self._tail.popleft()) + 1
        text = line.decode("utf-8", "backslashreplace").rstrip("\r")
        level = "info" if stream == "stdout" else "warn"
        self._inbox.put_nowait(self._context.log(level, text, {"stream": stream}))

    def _serve(self, method: str, params: Any, reply: Reply) -> None:
        if self._answered or self._outcome.done():
            raise PeerClosedError("the job has ended")
        if not method.startswith("ctx."):
            raise MethodNotFoundError(f"this host has no method {method!r}")
        self._inbox.put_nowait(self._answer(method, params, reply))

    async def _answer(self, method: str, params: Any, reply: Reply) -> None:
        try:
            reply.result(to_json(await self._context.call(method, params), method))
        except RpcError as error:
            reply.error(error)
        except Exception as error:  # noqa: BLE001 a store that fails must reach the handler
            reply.error(InternalError(f"{method}: {type(error).__name__}: {error}"))

    def _on_answer(self, result: Any, error: RpcError | None) -> None:
        if isinstance(error, PeerClosedError):
            return  # settled already
        self._answered = True
        self._inbox.put_nowait(self._settle(result, error))

    async def _settle(self, result: Any, error: RpcError | None) -> None:
        if self._outcome.done():
            return
        if error is None:
            self._outcome.set_result(result)
        else:
            self._outcome.set_exception(_handler_error(self._job_id, error))

    def _crash(self, reason: str, returncode: int | None = None) -> None:
        if not self._outcome.done():
            tail = b"\n".join(self._tail)[-_TAIL_BYTES:].decode("utf-8", "backslashreplace")
            self._outcome.set_exception(WorkerCrashedError(self._job_id, reason, returncode, tail))

    def _write(self, line: bytes) -> None:
        self._process.write(line)


def _handler_error(job_id: str, error: RpcError) -> HandlerError:
    """Make the typed error of what a worker answered, in any language."""
    data = error.data if isinstance(error.data, dict) else {"data": error.data}
    name, text = data.get("type"), data.get("message")
    if isinstance(name, str) and isinstance(text, str):
        return HandlerError(job_id, name, text, data)
    return HandlerError(job_id, "RpcError", str(error), {**data, "code": error.code})


def _reason(error: OSError, launch: Launch) -> str:
    if isinstance(error, FileNotFoundError) and not launch.cwd.is_dir():
        return f"its folder {launch.cwd} does not exist"
    return f"{error.strerror or error}"
