"""One job over one process, settled exactly once.

First of: the answer, the end of the process, the end of the channel, the timeout, cancellation.
Without an answer the process and everything that it started are gone when `execute` raises.  After
an answer they are gone too, unless the end takes longer than a moment: then it is waited for beside
the job, and the runner's `close` leaves nothing.
"""

from __future__ import annotations

import asyncio
import errno
import signal
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nuxt_queue.errors import (
    FlowCancelledError,
    HandlerError,
    InternalError,
    JobError,
    MethodNotFoundError,
    PeerClosedError,
    RpcError,
    WorkerCancelledError,
    WorkerCrashedError,
    WorkerStartError,
    WorkerTimeoutError,
)
from nuxt_queue.rpc import methods
from nuxt_queue.rpc.messages import AROUND_A_VALUE, MAX_MESSAGE, check_size
from nuxt_queue.rpc.peer import Peer, Reply
from nuxt_queue.rpc.pieces import LARGE, read_message
from nuxt_queue.runner.endings import Endings
from nuxt_queue.runner.fresh import ProcessSource
from nuxt_queue.runner.launch import Launch
from nuxt_queue.runner.output import Output
from nuxt_queue.runner.process import ChildProcess, Timeouts, describe_exit
from nuxt_queue.services.context import JobContext
from nuxt_queue.services.payloads import encoded, refuse_rounding

__all__ = ["JobRun", "Terms"]

_MAX_VIOLATIONS = 100  # lines that break the protocol; then the worker does not speak it
_EXIT_NEWS_S = 0.25  # between the end of the channel and the news that the process has ended
# What has arrived and waits to be recorded, in bytes: above the first the child has to wait, below
# the second it may go on.
_HIGH_WATER = 1 << 20
_LOW_WATER = 1 << 18
# Descriptors of this process or of the machine, processes, memory, room on a disk.
_SHORT = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT}
)
_ITEM_BYTES = 200  # what one call or line costs beside its text


@dataclass(frozen=True, slots=True)
class Terms:
    """What one job may take.

    Attributes:
        timeout_ms: Milliseconds from the start of its process to its answer.
        max_message: Bytes of the longest line of the protocol.
        max_output: Bytes of stdout, and of stderr, that become log records.
        timeouts: The steps of its process's end.
    """

    timeout_ms: int = 300_000
    max_message: int = MAX_MESSAGE
    max_output: int = 16 * 1024 * 1024
    timeouts: Timeouts = field(default_factory=Timeouts)


class JobRun:
    """One job, one process.

    Args:
        launch: What is started.
        processes: Where the process comes from.
        terms: What the job may take.
        job_context: Answers its calls.
        endings: Wait for the end of its process.
    """

    def __init__(
        self,
        launch: Launch,
        processes: ProcessSource,
        terms: Terms,
        job_context: JobContext,
        endings: Endings,
    ) -> None:
        self._launch, self._processes, self._terms = launch, processes, terms
        self._endings = endings
        self._context = job_context
        self._job_id = job_context.scope.job_id
        self._cancelling: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reset()

    def _reset(self) -> None:
        """Be as before the job had a process."""
        self._outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answered = False
        self._phase = "import" if self._launch.announces_start else "run"
        # Calls and printed lines in the order of their arrival; the answer comes behind them.
        self._inbox: asyncio.Queue[tuple[Coroutine[Any, Any, None] | None, int]] = asyncio.Queue()
        self.backlog = 0
        self._paused = False
        # Lines that wait behind a long one, which a thread reads in pieces.
        self._unread: deque[bytes] = deque()
        self._reading: asyncio.Task[None] | None = None
        self._output = Output(self._terms.max_output)
        self._process: ChildProcess | None = None
        self._peer = Peer(self._write, self._serve)

    def cancel(self) -> None:
        """Ask the handler to stop, and end its process when it does not; idempotent."""
        if not self._cancelling.done():
            self._cancelling.set_result(None)

    async def execute(self, job: Mapping[str, Any]) -> Any:
        """Run the job and return its result; raises a JobError, which says how long it took."""
        started = asyncio.get_running_loop().time()
        try:
            while True:
                try:
                    return await self._execute(job)
                except _NotBegunError:
                    self._reset()
        except JobError as error:
            error.duration_ms = round((asyncio.get_running_loop().time() - started) * 1000)
            raise

    @property
    def is_reading(self) -> bool:
        """Whether a thread reads a long line."""
        return self._reading is not None

    def on_line(self, line: bytes) -> None:
        """Take a line of the protocol."""
        if self._reading is None and len(line) <= LARGE:
            self._take(len(line), lambda: self._peer.receive(line))
            return
        self._unread.append(line)
        self._grow(len(line))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())

    def on_oversize(self) -> None:
        """Give up: what comes behind such a line cannot be told from it."""
        limit = self._terms.max_message
        self._crash(
            f"sent a message larger than worker.max_message, which is {limit} bytes; have it write"
            " a file and pass its path"
        )

    def on_output(self, stream: str, line: bytes) -> None:
        """Record a line that the worker printed."""
        text = self._output.take(stream, line)
        if text is not None:
            self._put(self._context.log("info", text, {"stream": stream}), len(line))

    def _take(self, size: int, take: Callable[[], None]) -> None:
        self._line_size = size
        take()
        if self._peer.violations > _MAX_VIOLATIONS:
            self._crash(f"broke the protocol more than {_MAX_VIOLATIONS} times")

    async def _read(self) -> None:
        """Take the lines that wait, in their order; the long ones without holding up the loop."""
        while self._unread:
            line = self._unread.popleft()
            size = len(line)
            if size <= LARGE:
                self._take(size, partial(self._peer.receive, line))
            else:
                try:
                    message = await asyncio.to_thread(read_message, line)
                except RpcError as error:
                    self._take(size, partial(self._peer.refuse, error))
                else:
                    del line  # what was long in it is in the message
                    self._take(size, partial(self._peer.take, message))
                    del message
            self._shrink(size)
        self._reading = None

    async def _execute(self, job: Mapping[str, Any]) -> Any:
        scope = self._context.scope
        # The run of a flow may be cancelled while the process starts.
        confirm = {methods.CONFIRM_START: True} if scope.flow_id is not None else {}
        params = {"job": await self._job(job), "context": scope.to_wire(), **confirm}
        self._process = process = await self._start()
        worker = asyncio.create_task(self._work())
        watcher = asyncio.create_task(self._watch(process))
        try:
            await self._context.service.bus.publish("process.started", scope, {"pid": process.pid})
            self._peer.call(methods.EXECUTE, params, self._on_answer)
            del params  # it may be long
            await self._settled()
            return await self._outcome
        finally:
            within_s = self._terms.timeouts.beside_s if self._answered else None
            await self._endings.see_through(
                self._end(process, worker, watcher), process.kill, within_s
            )

    async def _start(self) -> ChildProcess:
        try:
            return await self._processes.take(self)
        except (OSError, ValueError) as error:  # a variable may hold what no environment can
            reason, is_short = _reason(error, self._launch), _is_shortage(error)
            raise WorkerStartError(
                self._job_id, self._launch.argv, reason, is_shortage=is_short
            ) from None

    async def _settled(self) -> None:
        """Wait for the answer, as long as the job may take and nobody cancels it."""
        first = asyncio.FIRST_COMPLETED
        ends: set[asyncio.Future[Any]] = {self._outcome, self._cancelling}
        await asyncio.wait(ends, timeout=self._terms.timeout_ms / 1000, return_when=first)
        if self._cancelling.done():
            await self._ask_to_cancel()
        if self._outcome.done() or self._answered:
            return
        if self._cancelling.done():
            self._outcome.set_exception(WorkerCancelledError(self._job_id))
        else:
            late = WorkerTimeoutError(
                self._job_id, self._terms.timeout_ms, self._phase, self._output.tail
            )
            self._outcome.set_exception(late)

    async def _ask_to_cancel(self) -> None:
        """Tell the worker, and give the handler time to come to an end of its own."""
        if not self._outcome.done() and not self._answered:
            self._peer.notify(methods.CANCEL, {})
            await asyncio.wait({self._outcome}, timeout=self._terms.timeouts.cancel_s)

    async def _end(
        self, process: ChildProcess, worker: asyncio.Task[None], watcher: asyncio.Task[None]
    ) -> None:
        if not self._outcome.done():  # cancelled from outside: nobody waits for an outcome
            await self._ask_to_cancel()
            self._outcome.cancel()
        answered = self._answered  # one that comes from now on, after SIGTERM, is too late
        if answered:
            process.former.append(self._context)
        as_it_should = await self._processes.give_back(process, answered=answered)
        watcher.cancel()
        if self._reading is not None:
            self._reading.cancel()
        self._peer.close(PeerClosedError("the job has ended"))
        for note in self._output.left_out():
            self._put(self._context.log("warn", note), len(note))
        await self._empty_inbox(worker)
        if not self._outcome.cancelled():
            self._outcome.exception()  # nobody may be there to see it: the job was cancelled
        if answered and process.exited.done():
            await self._judge_exit(process.exited.result(), by_itself=as_it_should)

    async def _judge_exit(self, returncode: int | None, *, by_itself: bool) -> None:
        """Warn of a process that did not end well after its answer; the answer stands."""
        if not by_itself:
            limit = self._terms.timeouts.exit_s
            how = f"did not exit within {limit:g} s of its answer and was killed"
            await self._context.log("warn", f"the worker {how}")
        elif returncode:
            how = f"{describe_exit(returncode)} after its answer"
            await self._context.log("warn", f"the worker {how}")

    async def _empty_inbox(self, worker: asyncio.Task[None]) -> None:
        """Let everything that has arrived be recorded; a call that hangs is given up."""
        self._inbox.put_nowait((None, 0))
        left = -1
        while not worker.done() and left != self._inbox.qsize():
            left = self._inbox.qsize()
            await asyncio.wait({worker}, timeout=self._terms.timeouts.drain_s)
        worker.cancel()
        while not self._inbox.empty():
            item, _ = self._inbox.get_nowait()
            if item is not None:
                item.close()

    def _put(self, item: Coroutine[Any, Any, None], size: int) -> None:
        size += _ITEM_BYTES
        self._inbox.put_nowait((item, size))
        self._grow(size)

    def _grow(self, size: int) -> None:
        self.backlog += size
        if self.backlog > _HIGH_WATER and not self._paused and self._process is not None:
            self._paused = True
            self._process.pause_reading()

    def _shrink(self, size: int) -> None:
        self.backlog -= size
        if self._paused and self.backlog < _LOW_WATER and self._process is not None:
            self._paused = False
            self._process.resume_reading()

    async def _work(self) -> None:
        """Answer calls and record lines, one after the other: program order is kept."""
        while True:
            item, size = await self._inbox.get()
            if item is None:
                return
            await item
            self._shrink(size)

    async def _watch(self, process: ChildProcess) -> None:
        """Settle the job when its process or its channel ends without an answer."""
        exited = process.exited
        ends: tuple[asyncio.Future[Any], ...] = (exited, process.wire_ended)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not exited.done():  # the two come together when a process dies: its end says more
            await asyncio.wait({exited}, timeout=_EXIT_NEWS_S)
        returncode = exited.result() if exited.done() else None
        await process.drain()
        while self._reading is not None:  # the answer may be in what has come
            await asyncio.wait({self._reading})
        if self._answered:
            return
        if returncode is None:
            self._crash("closed the protocol channel")
        else:
            missing = " without a result" if returncode >= 0 else ""
            self._crash(describe_exit(returncode) + missing, returncode)

    def _serve(self, method: str, params: Any, reply: Reply) -> None:
        if method == methods.LEFT_BEHIND:
            self._left_behind(params)
            return
        if self._answered or self._outcome.done():
            raise PeerClosedError("the job has ended")
        self._phase = "run"
        if method == methods.STARTED:
            if self._context.scope.flow_id is not None:
                self._put(self._begin(reply), 0)
            else:
                reply.result(None)
            return
        if not method.startswith("ctx."):
            raise MethodNotFoundError(f"this host has no method {method!r:.80}")
        self._put(self._answer(method, params, reply), self._line_size)

    async def _begin(self, reply: Reply) -> None:
        """Let the handler begin unless its run has been cancelled while the process started."""
        steps = self._context.service.steps
        try:
            if steps is not None:
                await steps.step_begins(self._context.scope)
            reply.result(None)
        except FlowCancelledError as error:
            if not self._outcome.done():
                self._outcome.set_exception(error)
            reply.error(RpcError(str(error)))
        except Exception as error:  # noqa: BLE001 a store that fails must reach the handler
            reply.error(InternalError(f"{methods.STARTED}: {type(error).__name__}: {error}"))

    def _left_behind(self, params: Any) -> None:
        """Record what an earlier job of the process has left behind in the log of that job."""
        owner, message = (params.get("jobId"), params.get("message")) if params else (None, None)
        for context in self._process.former if self._process else ():
            if context.scope.job_id == owner:
                self._put(context.log("warn", str(message)), self._line_size)
                return

    async def _answer(self, method: str, params: Any, reply: Reply) -> None:
        limit = self._terms.max_message
        javascript = self._launch.javascript
        await self._context.answer(method, params, reply, max_message=limit, javascript=javascript)

    async def _job(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Return the job as it is sent; what is too long or too large for the worker is refused."""
        parts = {}
        for name, value in job.items():
            text = await encoded(value, f"job.{name}")
            if self._launch.javascript:
                await refuse_rounding(text, f"job.{name}")
            check_size(f"job.{name}", len(text), self._terms.max_message + AROUND_A_VALUE)
            parts[name] = text
        return parts

    def _on_answer(self, result: Any, error: RpcError | None) -> None:
        if isinstance(error, PeerClosedError):
            return  # settled already
        self._answered = True
        self._put(self._settle(result, error), self._line_size)

    async def _settle(self, result: Any, error: RpcError | None) -> None:
        if self._outcome.done():
            return
        if error is None:
            self._outcome.set_result(result)
        else:
            self._outcome.set_exception(_handler_error(self._job_id, error))

    def _crash(self, reason: str, returncode: int | None = None) -> None:
        if self._outcome.done():
            return
        if self._phase == "import" and self._process is not None and self._process.former:
            # A signal or the system ended a process that waited for this job: it has not begun.
            self._outcome.set_exception(_NotBegunError())
            return
        seconds = self._launch.limits.cpu_seconds
        if returncode == -signal.SIGXCPU and seconds:
            reason += f", for it had used its {seconds} s of processor time"
        error = WorkerCrashedError(self._job_id, reason, returncode, self._output.tail, self._phase)
        self._outcome.set_exception(error)

    def _write(self, line: bytes) -> None:
        if self._process is not None:
            self._process.write(line)


class _NotBegunError(Exception):
    """A process that was used again ended before the handler was called."""


def _handler_error(job_id: str, error: RpcError) -> HandlerError:
    """Make the typed error of what a worker answered, in any language."""
    data = error.data if isinstance(error.data, dict) else {"data": error.data}
    name, text = data.get("type"), data.get("message")
    if isinstance(name, str) and isinstance(text, str):
        return HandlerError(job_id, name, text, data)
    return HandlerError(job_id, "RpcError", str(error), {**data, "code": error.code})


def _is_shortage(error: OSError | ValueError) -> bool:
    return isinstance(error, OSError) and error.errno in _SHORT


def _reason(error: OSError | ValueError, launch: Launch) -> str:
    if isinstance(error, ValueError):
        return f"its environment or arguments cannot be handed over: {error}"
    if error.errno == errno.E2BIG:
        return "its environment or arguments are too large for the system; hand data over as a file"
    if isinstance(error, FileNotFoundError) and not launch.cwd.is_dir():
        return f"its folder {launch.cwd} does not exist"
    return f"{error.strerror or error}"
