"""The parent's side of a fork server: asks it for copies of itself, and for their exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nuxt_queue.rpc import methods
from nuxt_queue.runner.launch import Launch, Limits
from nuxt_queue.runner.leader import Ends, Leader, spawn
from nuxt_queue.runner.output import Output
from nuxt_queue.runner.process import ChildProcess, Timeouts, describe_exit

__all__ = ["ForkServer"]

_log = logging.getLogger(__name__)

_READY_S = 120.0  # to import what jobs need, on a slow disk too; then it has hung
_ANSWER_S = 20.0  # to make a copy, or to reap one; then it is stuck, and is killed
# What a fork server is not told, and each of its copies is.
_OF_A_WORKER = (methods.ENV_CHILD, methods.ENV_FRAMING, methods.ENV_MAX_MESSAGE)
_MESSAGE_BYTES = 1 << 17
_TIMEOUTS = Timeouts(exit_s=1.0, close_s=0.1, term_s=0.1, drain_s=0.1)  # it has nothing to save


class ForkServer:
    """A process that makes copies of itself; start it with `ForkServer.start`.

    One question at a time: it does one thing after another, and the descriptors of a question have
    to stay open until it has them.

    Attributes:
        is_up: Whether it can be asked.
    """

    def __init__(self, process: ChildProcess, control: socket.socket) -> None:
        self._process, self._control = process, control
        self._ending: asyncio.Task[bool] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self.is_up = True
        control.setblocking(False)
        asyncio.get_running_loop().add_reader(control, self._hear)
        # What it says first, unasked, once it has imported everything.
        self._ready = _Question(b"")
        self._questions = deque([self._ready])

    @classmethod
    async def start(cls, launch: Launch) -> ForkServer:
        """Start one and wait until it has imported what jobs need.

        Raises:
            OSError: If it cannot be started, or ends meanwhile.
        """
        words = _LastWords()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.ExitStack() as stack:
            stack.enter_context(ours)
            with theirs:
                begin = partial(_begin, launch, theirs.fileno())
                process = await ChildProcess.start(
                    begin, words, max_message=_MESSAGE_BYTES, timeouts=_TIMEOUTS
                )
            stack.pop_all()
        self = cls(process, ours)
        try:
            async with asyncio.timeout(_READY_S):
                hello = await self._ready.answer
        except TimeoutError:
            await self.end()
            problem = f"its fork server was not ready within {_READY_S:g} s"
            raise ChildProcessError(problem) from None
        except OSError:
            await self.end()
            how = describe_exit(process.exited.result())
            raise ChildProcessError(f"its fork server {how}{words}") from None
        except BaseException:
            await asyncio.shield(self.end())
            raise
        for problem in hello["problems"]:
            _log.warning("fork server %d: %s", process.pid, problem)
        return self

    async def fork(self, launch: Launch, ends: Ends) -> Leader:
        """Have a copy made that runs a worker once it has been sent a byte.

        Raises:
            OSError: If it could not be made.
        """
        env = {name: launch.env[name] for name in _OF_A_WORKER if name in launch.env}
        told = {"worker": launch.argv[-1], "cwd": str(launch.cwd), "env": env}
        pipes = (ends.requests, ends.answers, ends.printed, ends.complaints)
        answer = await self._ask(told, *(pipe.fileno() for pipe in pipes))
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        return _Copy(answer["pid"], self)

    def reap(self, pid: int) -> asyncio.Future[int | None]:
        """Have a copy reaped that has ended; its exit code is lost if the server is."""
        reaped: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

        def answered(answer: asyncio.Future[dict[str, Any]]) -> None:
            reaped.set_result(None if answer.exception() else answer.result()["returncode"])

        self._ask({"reap": pid}).add_done_callback(answered)
        return reaped

    async def end(self) -> None:
        """End it; its copies go on."""
        self._hang_up()
        assert self._ending is not None
        await asyncio.shield(self._ending)

    def _ask(self, what: Mapping[str, Any], *descriptors: int) -> asyncio.Future[dict[str, Any]]:
        question = _Question(json.dumps(what).encode(), descriptors)
        self._questions.append(question)
        if not self.is_up:
            self._hang_up()
        elif len(self._questions) == 1:
            self._send()
        return question.answer

    def _send(self) -> None:
        """Send the next question that somebody still waits for."""
        while self._questions and self._questions[0].answer.done():
            self._questions.popleft()
        if self._questions:
            question = self._questions[0]
            later = asyncio.get_running_loop().call_later
            self._patience = later(_ANSWER_S, self._lose_patience)
            try:
                socket.send_fds(self._control, [question.message], question.descriptors)
            except OSError:
                self._hang_up()

    def _lose_patience(self) -> None:
        """Kill a server that does not answer: others wait for it as well."""
        self._process.kill()
        self._hang_up(f"its fork server did not answer within {_ANSWER_S:g} s")

    def _hear(self) -> None:
        try:
            message = self._control.recv(_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._hang_up()
            return
        if self._patience is not None:
            self._patience.cancel()
        question, answer = self._questions.popleft(), json.loads(message)
        if not question.answer.done():
            question.answer.set_result(answer)
        elif "pid" in answer:  # made for a job that has been cancelled meanwhile
            with contextlib.suppress(ProcessLookupError):
                os.killpg(answer["pid"], signal.SIGKILL)
            self.reap(answer["pid"])
        self._send()

    def _hang_up(self, why: str = "its fork server has ended") -> None:
        """Close the socket, at whose end the server ends; what was asked gets no answer."""
        if self._patience is not None:
            self._patience.cancel()
        if self.is_up:
            self.is_up = False
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._control)
            self._control.close()
            self._ending = loop.create_task(self._process.end(gently=True))
        for question in self._questions:
            if not question.answer.done():
                question.answer.set_exception(ChildProcessError(why))
        self._questions.clear()


class _Question:
    """What the server is asked, with the descriptors that go along."""

    def __init__(self, message: bytes, descriptors: tuple[int, ...] = ()) -> None:
        self.message, self.descriptors = message, descriptors
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()


@dataclass(slots=True)
class _Copy:
    """A leader that is the server's child."""

    pid: int
    server: ForkServer
    is_reaped: bool = False

    def has_ended(self) -> bool:
        try:
            status = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return True
        return status.rpartition(")")[2].split()[0] == "Z"

    def reap(self) -> asyncio.Future[int | None]:
        self.is_reaped = True
        return self.server.reap(self.pid)


class _LastWords:
    """Whom the server's own lines belong to: what it printed last may say why it ended."""

    backlog = 0
    is_reading = False

    def __init__(self) -> None:
        self._output = Output(0)

    def __str__(self) -> str:
        return f"; its last words: {self._output.tail}" if self._output.tail else ""

    def on_line(self, line: bytes) -> None:
        """Drop it: it has no business on a wire that it closes."""

    def on_output(self, stream: str, line: bytes) -> None:
        """Keep it for a while."""
        self._output.take(stream, line)

    def on_oversize(self) -> None:
        """Drop it."""


async def _begin(launch: Launch, control: int, ends: Ends) -> Leader:
    """Start the server's process."""
    server = replace(
        launch,
        argv=(*launch.argv[:-1], str(control), *(launch.preload or ())),
        env={name: value for name, value in launch.env.items() if name not in _OF_A_WORKER},
        limits=Limits(),
        private_wire=True,
    )
    return await spawn(server, ends, (control,))
