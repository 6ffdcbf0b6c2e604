"""Where a job's process comes from when it is used again: a warm one, or a new one if all are busy.

A process has one job at a time, so there are as many as jobs run at once.  One that crashed, ran
out of time or was cancelled is thrown away; one that waits for a while ends, and so does one whose
worker file has changed.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nuxt_queue.errors import RpcError
from nuxt_queue.rpc import methods
from nuxt_queue.rpc.peer import Peer, Reply
from nuxt_queue.runner.fresh import FreshProcesses
from nuxt_queue.runner.launch import Launch
from nuxt_queue.runner.process import ChildProcess, Listener, Timeouts

__all__ = ["Nobody", "WarmProcesses"]

_log = logging.getLogger(__name__)

_IDLE_S = 60.0  # a process that waits costs memory; a new one costs a start


class WarmProcesses:
    """Lends a process to one job after another.

    Args:
        launch: What is started; its last argument is the worker file.
        max_message: The longest line of the protocol, in bytes.
        timeouts: The steps of a process's end.
        idle_s: How long a process waits for a job before it ends, in seconds.
    """

    def __init__(
        self, launch: Launch, max_message: int, timeouts: Timeouts, idle_s: float = _IDLE_S
    ) -> None:
        self._fresh = FreshProcesses(launch, max_message, timeouts)
        self._worker, self._timeouts, self._idle_s = Path(launch.argv[-1]), timeouts, idle_s
        self._idle: list[_Waiting] = []
        self._versions: dict[ChildProcess, object] = {}
        self._endings: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def take(self, listener: Listener) -> ChildProcess:
        """Return a process that waits, the one that waited least; else start one."""
        while self._idle:
            waiting = self._idle.pop()  # the warmest; the others get a chance to end
            waiting.timer.cancel()
            process = waiting.process
            if await self._is_fit(process):
                process.listener = listener
                return process
            await self._end(process, gently=True)
        version = self._version()
        process = await self._fresh.take(listener)
        self._versions[process] = version
        return process

    async def give_back(self, process: ChildProcess, *, answered: bool) -> bool:
        """Keep a process that is ready for another job; end any other."""
        if not answered:
            return await self._end(process, gently=False)
        if self._closed:
            return await self._end(process, gently=True)
        between = _Between(process)
        if await between.is_ready(self._timeouts.ready_s):
            self._keep(process)
            return True
        return await self._end(process, gently=between.refused or process.wire_ended.done())

    async def close(self) -> None:
        """End the processes that wait, and from now on each one with its job."""
        self._closed = True
        for waiting in self._idle:
            waiting.timer.cancel()
            self._end_later(waiting.process)
        self._idle.clear()
        if self._endings:
            await asyncio.wait(self._endings)

    async def _is_fit(self, process: ChildProcess) -> bool:
        """Ask a process once more: it may have died, and the news of that take a while."""
        if self._versions[process] != self._version():
            return False
        process.resume_reading()  # its last job may have made it wait
        try:
            return await _Between(process).is_ready(self._timeouts.ready_s)
        except BaseException:  # the job was cancelled before it began
            self._end_later(process)
            raise

    def _keep(self, process: ChildProcess) -> None:
        process.listener = Nobody()
        timer = asyncio.get_running_loop().call_later(self._idle_s, self._let_go, process)
        self._idle.append(_Waiting(process, timer))

    def _let_go(self, process: ChildProcess) -> None:
        self._idle = [waiting for waiting in self._idle if waiting.process is not process]
        self._end_later(process)

    def _end_later(self, process: ChildProcess) -> None:
        ending = asyncio.get_running_loop().create_task(self._end(process, gently=True))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _end(self, process: ChildProcess, *, gently: bool) -> bool:
        self._versions.pop(process, None)
        return await process.end(gently=gently)

    def _version(self) -> object:
        """Tell one state of the worker file from another; None when it is gone."""
        try:
            status = self._worker.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


@dataclass(frozen=True, slots=True)
class _Waiting:
    process: ChildProcess
    timer: asyncio.TimerHandle


class _Between:
    """Listens after a job: what is still printed belongs to it, what comes over the wire to us.

    Attributes:
        refused: Whether the worker has said that it takes no other job.
    """

    def __init__(self, process: ChildProcess) -> None:
        self._process, self._last = process, process.listener
        self._answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._peer = Peer(process.write, self._serve)
        self.refused = False

    async def is_ready(self, within_s: float) -> bool:
        """Ask for the next job's sake; the answer comes behind all that the last one printed."""
        process, self._process.listener = self._process, self
        self._peer.call(methods.NEXT, {}, self._on_answer)
        ends: set[asyncio.Future[Any]] = {self._answer, process.exited, process.wire_ended}
        backlog = None
        # A job whose lines are recorded slowly keeps its process waiting, which is not its fault.
        while not any(end.done() for end in ends) and backlog != (backlog := self.backlog):
            await asyncio.wait(ends, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        ready = self._answer.done() and self._answer.result()
        await asyncio.sleep(0)  # the pipes were ready together: now each of them has been read
        process.listener = self._last
        return ready

    @property
    def backlog(self) -> int:
        """What the last job has not dealt with."""
        return self._last.backlog

    @property
    def is_reading(self) -> bool:
        """Whether the last job is at work on a long line."""
        return self._last.is_reading

    def on_line(self, line: bytes) -> None:
        """Take the answer."""
        self._peer.receive(line)

    def on_output(self, stream: str, line: bytes) -> None:
        """Hand on what the last job has printed."""
        self._last.on_output(stream, line)

    def on_oversize(self) -> None:
        """Give the process up."""
        self._on_answer(False, None)

    def _serve(self, method: str, _params: Any, _reply: Reply) -> None:
        raise RpcError(f"{method}: no job is running")

    def _on_answer(self, result: Any, error: RpcError | None) -> None:
        self.refused = error is not None
        if not self._answer.done():
            self._answer.set_result(error is None and result is True)


class Nobody:
    """Whom the lines of a process belong to that waits for a job."""

    backlog = 0
    is_reading = False

    def on_line(self, line: bytes) -> None:
        """Drop what no job has asked for."""

    def on_output(self, stream: str, line: bytes) -> None:
        """Note what a job has left running and is still printing."""
        _log.info("a worker without a job wrote to %s: %r", stream, line[:200])

    def on_oversize(self) -> None:
        """Drop it."""
