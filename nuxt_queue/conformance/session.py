"""One process of the command, with a host that says exactly what a probe wants, byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nuxt_queue.errors import InternalError, InvalidParamsError, ParseError, RpcError
from nuxt_queue.rpc import messages, methods
from nuxt_queue.rpc.codec import decode
from nuxt_queue.rpc.values import to_json
from nuxt_queue.runner import Launch, Timeouts
from nuxt_queue.runner.leader import spawn
from nuxt_queue.runner.process import ChildProcess, describe_exit
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

__all__ = ["Arrival", "Session", "open_session", "same_id", "shown"]

_MAX_MESSAGE = 8 * 1024 * 1024  # nothing that is asked for is longer
_SHOWN = 100  # characters of a message in a verdict
_MAX_ARRIVALS = 10_000  # and nothing makes a worker say more than this
_TIMEOUTS = Timeouts(exit_s=0.0, close_s=0.0, term_s=0.2, drain_s=0.5)
_SCOPE = Scope("conformance-1", "conformance", "conformance", "conformance", "probe", "probe")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One line of the worker.

    Attributes:
        raw: Its bytes, without the newline.
        value: What it says; None if it is not JSON.
        is_json: Whether it is.
    """

    raw: bytes
    value: Any
    is_json: bool

    @property
    def messages(self) -> list[Any]:
        """What it holds: one message, or those of a batch."""
        return self.value if isinstance(self.value, list) else [self.value]


@dataclass(slots=True)
class Ending:
    """How the process came to its end.

    Attributes:
        hung_up: Whether it had closed the wire before its input was closed.
        by_itself: Whether it had ended by then.
        with_input: Whether it ended by the time that it is given after that.
        returncode: Its exit code, negative for a signal.
    """

    hung_up: bool = False
    by_itself: bool = False
    with_input: bool = False
    returncode: int | None = None


@dataclass(slots=True)
class Session:
    """A conversation; everything that the worker said is kept.

    Attributes:
        wait_s: How long to wait for what a worker has to say.
        arrivals: Its lines on the wire.
        sent: The ids of the requests that it was sent, in order.
        held: Its calls that have not been answered, while `hold` is set.
        hold: Keeps its calls unanswered.
        refusal: Answers all its calls with this error.
        wrong_calls: What was wrong with its calls.
        flood: What it wrote too much of.
        output: What it printed, by stream; the last lines.
        ending: How it ended.
    """

    wait_s: float
    arrivals: list[Arrival] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)
    hold: bool = False
    refusal: RpcError | None = None
    wrong_calls: list[str] = field(default_factory=list)
    flood: str = ""
    output: dict[str, deque[str]] = field(default_factory=dict)
    ending: Ending = field(default_factory=Ending)
    service: ContextService = field(
        default_factory=lambda: ContextService(MemoryStateStore(), EventBus())
    )
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _calls: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    process: ChildProcess = field(init=False)

    # --- what the host says

    def send(self, *values: Any) -> None:
        """Write messages, each a line of its own, in one go."""
        self.send_raw(b"".join(_line(value) for value in values))
        for value in values:
            for message in value if isinstance(value, list) else [value]:
                if isinstance(message, dict) and "method" in message and "id" in message:
                    self.sent.append(message["id"])

    def send_raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.process.write(data)

    def release(self) -> None:
        """Answer the calls that are held, and those that come from now on."""
        self.hold = False
        self.answer_held()

    def answer_held(self) -> None:
        """Answer the calls that are held so far."""
        held, self.held = self.held, []
        for call in held:
            self._calls.put_nowait(call)

    # --- what the worker said

    def answers(self, request_id: Any) -> list[dict[str, Any]]:
        """Return the answers to a request; an id of another type counts when nothing else fits."""
        exact = [m for m in self.all_answers() if "id" in m and same_id(m["id"], request_id)]
        return exact or [
            m for m in self.all_answers() if "id" in m and str(m["id"]) == str(request_id)
        ]

    def all_answers(self) -> list[dict[str, Any]]:
        """Return everything that is an object and no call."""
        return [m for m in self._objects() if "method" not in m]

    def strangers(self) -> list[dict[str, Any]]:
        """Return the answers that belong to none of the requests that were sent."""
        known = {str(request_id) for request_id in self.sent}
        return [m for m in self.all_answers() if str(m.get("id")) not in known]

    def calls(self) -> list[dict[str, Any]]:
        """Return its calls, notifications among them; that it has started is no call."""
        return [m for m in self._objects() if m.get("method", methods.STARTED) != methods.STARTED]

    async def answer(self, request_id: Any) -> dict[str, Any] | None:
        """Wait for the answer to a request; None if it does not come."""
        await self.until(lambda: bool(self.answers(request_id)))
        return next(iter(self.answers(request_id)), None)

    async def until(self, seen: Callable[[], bool], wait_s: float | None = None) -> bool:
        """Wait for something to be seen, for a bounded time, or for the worker's end."""
        try:
            async with asyncio.timeout(self.wait_s if wait_s is None else wait_s):
                while not seen() and not self.is_over:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass
        return seen()

    async def ended(self, wait_s: float) -> bool:
        """Wait for the process to end."""
        if not self.process.exited.done():
            await asyncio.wait([self.process.exited], timeout=wait_s)
        return self.process.exited.done()

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come."""
        return bool(self.flood) or self.process.wire_ended.done()

    @property
    def silence(self) -> str:
        """Say why an answer did not come."""
        if self.flood:
            return self.flood
        code = self.ending.returncode
        if self.ending.by_itself and code is not None:
            words = next((lines[-1] for lines in self.output.values() if lines), "")
            return f"the process {describe_exit(code)}" + (f"; it said: {words}" if words else "")
        if self.ending.hung_up:
            return "it closed the wire"
        return f"no answer within {self.wait_s:g} s"

    def _objects(self) -> list[dict[str, Any]]:
        return [m for a in self.arrivals for m in a.messages if isinstance(m, dict)]

    # --- the listener of the process

    @property
    def backlog(self) -> int:
        """Nothing: a line is dealt with when it arrives."""
        return 0

    @property
    def is_reading(self) -> bool:
        """Never: a line is dealt with when it arrives."""
        return False

    def on_line(self, line: bytes) -> None:
        """Keep a line, and answer it if it is a call."""
        if self.flood:
            return
        try:
            arrival = Arrival(line, decode(line), is_json=True)
        except ParseError:
            arrival = Arrival(line, None, is_json=False)
        self.arrivals.append(arrival)
        if len(self.arrivals) >= _MAX_ARRIVALS:
            self._give_up(f"it wrote more than {_MAX_ARRIVALS} lines")
        for message in arrival.messages:
            if not isinstance(message, dict) or not isinstance(message.get("method"), str):
                continue
            if message["method"] != methods.STARTED:
                self.held.append(message)
            elif "id" in message:  # whether it may begin, which is not refused
                self.send_raw(_line(messages.success(message["id"], None)))
        if not self.hold:
            self.answer_held()
        self._news.set()

    def on_output(self, stream: str, line: bytes) -> None:
        """Keep what it prints."""
        kept = self.output.setdefault(stream, deque(maxlen=20))
        kept.append(line.decode("utf-8", "replace").rstrip()[:200])

    def on_oversize(self) -> None:
        """Give up."""
        self._give_up(f"it wrote a line of more than {_MAX_MESSAGE // 2**20} MiB")

    def _give_up(self, why: str) -> None:
        self.flood = why
        self.process.kill()
        self._news.set()

    async def serve(self) -> None:
        """Answer its calls, one after the other."""
        context = self.service.for_job(_SCOPE)
        while True:
            call = await self._calls.get()
            try:
                answer = messages.success(call.get("id"), await _result(context, call))
            except RpcError as error:
                if isinstance(error, InvalidParamsError):
                    self.wrong_calls.append(f"{call['method']}: {error}")
                answer = messages.failure(call.get("id"), error)
            if self.refusal is not None:
                answer = messages.failure(call.get("id"), self.refusal)
            if "id" in call:
                self.send_raw(_line(answer))
            self._calls.task_done()

    async def served(self) -> None:
        """Wait until what it has called is done."""
        await self._calls.join()

    def news(self, _: object) -> None:
        """Let whoever waits look again."""
        self._news.set()


@asynccontextmanager
async def open_session(
    launch: Launch, *, wait_s: float, exit_s: float, hold: bool = False
) -> AsyncIterator[Session]:
    """Start the command; when the block is done, close its input and see how it ends.

    Args:
        launch: The command.
        wait_s: How long to wait for what it has to say.
        exit_s: How long it is given to end.
        hold: Keep its calls unanswered.

    Raises:
        OSError: If it cannot be started.
    """
    session = Session(wait_s, hold=hold)
    session.process = process = await ChildProcess.start(
        partial(spawn, launch), session, max_message=_MAX_MESSAGE, timeouts=_TIMEOUTS
    )
    process.wire_ended.add_done_callback(session.news)
    serving = asyncio.create_task(session.serve())
    try:
        yield session
        ending = session.ending
        ending.hung_up = process.wire_ended.done()
        ending.by_itself = await session.ended(exit_s if ending.hung_up else 0)
        process.close_input()
        ending.with_input = await session.ended(exit_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await session.served()
    finally:
        serving.cancel()
        await asyncio.shield(process.end(gently=False))
    if ending.with_input:
        ending.returncode = process.exited.result()


async def _result(context: JobContext, call: dict[str, Any]) -> Any:
    params = call.get("params", {})
    if not isinstance(params, dict | list):
        raise InvalidParamsError("params is neither an object nor an array")
    try:
        return to_json(await context.call(call["method"], params), "result")
    except RpcError:
        raise
    except Exception as error:  # noqa: BLE001 whatever a worker sends, it is answered
        raise InternalError(f"{type(error).__name__}: {error}") from None


def same_id(one: Any, other: Any) -> bool:
    """Tell whether two ids are the same value of the same type."""
    numbers = (int, float)
    if type(one) in numbers and type(other) in numbers:
        return bool(one == other)
    return type(one) is type(other) and bool(one == other)


def _line(value: Any) -> bytes:
    """Write a message as most hosts do: UTF-8, nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def shown(value: Any) -> str:
    """Return a message as a person reads it, short."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
