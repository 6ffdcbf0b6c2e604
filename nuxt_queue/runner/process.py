"""Starts, watches and ends one child process with everything that it has started.

When `end` has returned, the process is dead and reaped, every member of its group and every
process that carries its mark has been killed, and every descriptor is closed.  Nothing here waits
for the end of a pipe without a bound: a grandchild can hold a pipe open for as long as it likes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from dataclasses import dataclass
from typing import IO, Protocol

from nuxt_queue.runner.leader import Begin, Ends, Leader
from nuxt_queue.runner.lines import Lines
from nuxt_queue.runner.reaper import reaper
from nuxt_queue.runner.sweep import kill_marked, put_mark
from nuxt_queue.services.context import JobContext

__all__ = ["ChildProcess", "Listener", "Timeouts", "describe_exit"]

_FORMER = 32  # jobs of a warm process that can still be told from one another
_POLL_S = 0.01  # between looks at a process on systems without pidfd
_WRITTEN_AT_ONCE = 1 << 20  # bytes
_OUTPUT_LINE = 64 * 1024  # bytes of a printed line; a longer one becomes several log records


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the steps of a child's end may take, in seconds."""

    # After it has been asked to cancel: time for the handler to notice.  Then its end begins.
    cancel_s: float = 2.0
    # After the answer: how long the job waits for the end of its process.
    beside_s: float = 0.25
    # After the answer: time for atexit hooks and open files.  Then the process is told to end.
    exit_s: float = 10.0
    # Between two jobs of one process: time to say that it can take another.
    ready_s: float = 2.0
    # After its stdin was closed without an answer: it ends with its input, or gets SIGTERM.
    close_s: float = 0.2
    # After SIGTERM: time to clean up.  Then SIGKILL.
    term_s: float = 2.0
    # After the exit: the longest silence in which what it wrote last may still arrive.
    drain_s: float = 1.0


class Listener(Protocol):
    """Whoever a child's lines belong to: the job that it runs."""

    @property
    def backlog(self) -> int:
        """How much of what it has been given it has not dealt with."""

    @property
    def is_reading(self) -> bool:
        """Whether it is at work on a long line, and nothing else is read meanwhile."""

    def on_line(self, line: bytes) -> None:
        """Take a line of the protocol."""

    def on_output(self, stream: str, line: bytes) -> None:
        """Take a line that was printed to `stdout` or `stderr`."""

    def on_oversize(self) -> None:
        """Hear, once, that a message exceeds the limit; nothing more comes over the wire."""


class ChildProcess:
    """One running child.

    Attributes:
        pid: Its process id, which is its group's id too.
        mark: What it and everything it starts carries.
        exited: Settles with the exit code, negative for a signal, None if nobody knows it, once the
            child has ended; its group, and whatever carries its mark, has been killed by then.
        listener: Who gets its lines; a process that runs one job after another changes it.
        former: The last jobs that it has answered.
    """

    def __init__(self, leader: Leader, mark: int, listener: Listener, timeouts: Timeouts) -> None:
        self._leader, self._timeouts = leader, timeouts
        self.listener = listener
        self.former: deque[JobContext] = deque(maxlen=_FORMER)
        self.pid, self.mark = leader.pid, mark
        self.exited: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._requests: asyncio.WriteTransport | None = None
        self._reads: list[tuple[asyncio.ReadTransport, Lines]] = []
        self._drained = False
        self._watch()

    @classmethod
    async def start(
        cls,
        begin: Begin,
        listener: Listener,
        *,
        max_message: int,
        timeouts: Timeouts,
    ) -> ChildProcess:
        """Start a child in a process group of its own.

        Args:
            begin: Starts it with its ends of the pipes.
            listener: Who gets its lines.
            max_message: The longest line of the protocol, in bytes.
            timeouts: The steps of its end.

        Raises:
            OSError: If the command cannot be started.
        """
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            requests, to_child = _pipe(theirs, ours)
            wire, answers = _pipe(ours, theirs)
            stdout, printed = _pipe(ours, theirs)
            stderr, complaints = _pipe(ours, theirs)
            reaper().start()  # before there is a child, which must not be left when this fails
            mark = reaper().new_mark()
            leader = await begin(Ends(requests, answers, printed, complaints))
            put_mark(leader.pid, mark)
            theirs.close()
            self = cls(leader, mark, listener, timeouts)
            try:
                reaper().add(leader.pid)
                await self._connect(
                    to_child,
                    (wire, Lines(self._line, max_message, self._oversize)),
                    (stderr, Lines(lambda line: self._output("stderr", line), _OUTPUT_LINE)),
                    (stdout, Lines(lambda line: self._output("stdout", line), _OUTPUT_LINE)),
                )
            except BaseException:  # cancelled half-way, or out of descriptors
                self._signal_group(signal.SIGKILL)
                await asyncio.shield(self.end(gently=False))
                raise
            ours.pop_all()  # the transports close them
        return self

    @property
    def wire_ended(self) -> asyncio.Future[None]:
        """Settles when nothing more can come over the protocol's pipe."""
        return self._reads[0][1].ended

    def has_ended(self) -> bool:
        """Tell whether it has ended, also before the loop has heard of it."""
        return self.exited.done() or self._leader.has_ended()

    def write(self, line: bytes) -> None:
        """Send a line; one that a dead child never reads is dropped."""
        if self._requests is not None and not self._requests.is_closing():
            # Piece by piece: of what the pipe does not take, the transport makes two copies.
            for start in range(0, len(line), _WRITTEN_AT_ONCE):
                self._requests.write(line[start : start + _WRITTEN_AT_ONCE])

    def close_input(self) -> None:
        """Tell it that nothing more comes, behind what has been written."""
        if self._requests is not None:
            self._requests.close()

    def pause_reading(self) -> None:
        """Read nothing for now: what the child writes fills its pipes, and then it waits."""
        for transport, _ in self._reads:
            transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        for transport, _ in self._reads:
            if not transport.is_closing():
                transport.resume_reading()

    async def drain(self) -> None:
        """Wait, once, until everything the child wrote has been read and dealt with.

        Ends as well when nothing has moved for a while: what left the group and cleared its
        environment can hold a pipe open for ever.
        """
        if self._drained:
            return
        moved = None
        while self._open_ends() and (
            self.listener.is_reading
            or moved != (moved := (self._bytes_read, self.listener.backlog))
        ):
            await asyncio.wait(self._open_ends(), timeout=self._timeouts.drain_s)
        self._drained = self.exited.done()

    async def end(self, *, gently: bool) -> bool:
        """End the child and all that it started; return whether it ended by itself.

        Args:
            gently: Wait for it to end by itself first, as it should after its answer.
        """
        timeouts = self._timeouts
        self._hang_up()
        by_itself = await self._ended_within(timeouts.exit_s if gently else timeouts.close_s)
        if not by_itself:
            self._signal_group(signal.SIGTERM)
            self._signal_group(signal.SIGCONT)  # a stopped process cannot act on SIGTERM
            if not await self._ended_within(timeouts.term_s):
                self._signal_group(signal.SIGKILL)
                await self.exited
        await self.drain()
        for transport, _ in self._reads:
            transport.close()
        return by_itself

    def kill(self) -> None:
        """Kill it at once; `end` still has to be called."""
        self._signal_group(signal.SIGKILL)

    def _hang_up(self) -> None:
        """Close its stdin; what has not been written to it is dropped."""
        if self._requests is not None and not self._requests.is_closing():
            self._requests.abort()

    def _open_ends(self) -> list[asyncio.Future[None]]:
        return [lines.ended for _, lines in self._reads if not lines.ended.done()]

    @property
    def _bytes_read(self) -> int:
        return sum(lines.bytes_read for _, lines in self._reads)

    def _line(self, line: bytes) -> None:
        self.listener.on_line(line)

    def _output(self, stream: str, line: bytes) -> None:
        self.listener.on_output(stream, line)

    def _oversize(self) -> None:
        self.listener.on_oversize()

    async def _connect(self, to_child: IO[bytes], *reads: tuple[IO[bytes], Lines]) -> None:
        loop = asyncio.get_running_loop()
        self._requests, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, to_child)
        for pipe, lines in reads:
            await self._read(pipe, lines)

    async def _read(self, pipe: IO[bytes], lines: Lines) -> None:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: lines, pipe)
        self._reads.append((transport, lines))

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            fd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not Linux, or an old one
            loop.call_later(_POLL_S, self._look)
            return

        def on_exit() -> None:
            loop.remove_reader(fd)
            os.close(fd)
            self._reap()

        loop.add_reader(fd, on_exit)

    def _look(self) -> None:
        if self._leader.has_ended():
            self._reap()
        else:
            asyncio.get_running_loop().call_later(_POLL_S, self._look)

    def _reap(self) -> None:
        # The group first: until its leader is reaped, its number cannot belong to anybody else.
        self._signal_group(signal.SIGKILL)
        reaped = self._leader.reap()
        reaped.add_done_callback(lambda _: reaper().remove(self.pid))
        # In a thread: what has been killed may take its time to go.
        mark = range(self.mark, self.mark + 1)
        try:
            swept: asyncio.Future[int] = asyncio.get_running_loop().run_in_executor(
                None, kill_marked, mark
            )
        except RuntimeError:  # the system has no thread left
            swept = asyncio.get_running_loop().create_future()
            swept.set_result(kill_marked(mark))

        def ended(_: object) -> None:
            if not self.exited.done():
                self.exited.set_result(reaped.result())

        asyncio.gather(reaped, swept, return_exceptions=True).add_done_callback(ended)

    def _signal_group(self, number: signal.Signals) -> None:
        if not self._leader.is_reaped:  # else the number may be somebody else's by now
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def _ended_within(self, seconds: float) -> bool:
        if not self.exited.done() and seconds > 0:
            await asyncio.wait([self.exited], timeout=seconds)
        return self.exited.done()


def _pipe(
    readers: contextlib.ExitStack, writers: contextlib.ExitStack
) -> tuple[IO[bytes], IO[bytes]]:
    """Open a pipe; each stack closes its end of it."""
    read, write = os.pipe()
    return (
        readers.enter_context(os.fdopen(read, "rb", 0)),
        writers.enter_context(os.fdopen(write, "wb", 0)),
    )


def describe_exit(returncode: int | None) -> str:
    """Say in words how a process ended, for example `was killed by SIGSEGV (11)`."""
    if returncode is None:
        return "ended, nobody knows how"
    if returncode >= 0:
        return f"exited with code {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = "signal"
    return f"was killed by {name} ({-returncode})"
