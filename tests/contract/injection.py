"""Raises an error at one place of the package: where a coroutine begins, or where one waits."""

from __future__ import annotations

import asyncio
import dis
import inspect
import sys
from collections.abc import Coroutine, Generator
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, NamedTuple, Self

import nuxt_queue

__all__ = ["Injector", "Place"]

_HOME = Path(nuxt_queue.__file__).parent
_ROOMS = tuple(str(_HOME / room) for room in ("managers", "services"))


class Place(NamedTuple):
    """Where a coroutine begins, or the line on which it waits and goes on.

    Attributes:
        module: The file, without its folder.
        function: The coroutine function.
        line: Its first line, or the one on which it waits.
        what: `begins` or `goes on`.
    """

    module: str
    function: str
    line: int
    what: str


class Injector:
    """Finds the places that tasks of the package come through, and raises at one of them once.

    Every task that is made inside has its steps watched.  The error comes up at the innermost
    await, as one from below does; or at the beginning of a coroutine, as if its first line raised.

    Attributes:
        seen: The places so far, in the order in which they were come through.
        hit: Whether the error has been raised.
    """

    def __init__(self, *also: str) -> None:
        self._files = (*_ROOMS, *also)
        self._me: asyncio.Task[Any] | None = None
        self._target: Place | None = None
        self._error: BaseException | None = None
        self.seen: dict[Place, None] = {}
        self.hit = False

    def arm(self, place: Place, error: BaseException) -> None:
        """Raise an error when a place is come through next."""
        self._target, self._error, self.hit = place, error, False

    def __enter__(self) -> Self:
        self._me = asyncio.current_task()
        loop = asyncio.get_running_loop()
        loop.set_task_factory(self._task)
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_exception: object) -> None:
        sys.settrace(None)
        asyncio.get_running_loop().set_task_factory(None)

    def at(self, place: Place) -> BaseException | None:
        """Take note of a place; return what is to be raised there."""
        self.seen.setdefault(place)
        if place != self._target or self.hit:
            return None
        self.hit = True
        return self._error

    def is_ours(self, code: CodeType) -> bool:
        """Return True if a function is one of the package's that are watched."""
        return code.co_filename.startswith(self._files)

    def _task(self, loop: asyncio.AbstractEventLoop, coro: Any, **named: Any) -> asyncio.Task[Any]:
        watched = _Watched(self, coro) if inspect.iscoroutine(coro) else coro
        return asyncio.Task(watched, loop=loop, **named)

    def _trace(self, frame: FrameType, event: str, _arg: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_flags & inspect.CO_COROUTINE or not self.is_ours(code):
            return
        if not _is_beginning(frame) or asyncio.current_task() is self._me:
            return
        place = Place(Path(code.co_filename).stem, code.co_qualname, code.co_firstlineno, "begins")
        error = self.at(place)
        if error is not None:
            asyncio.get_running_loop().call_soon(sys.settrace, self._trace)  # raising ends it
            raise error


class _Watched(Coroutine[Any, Any, Any]):
    """A coroutine into which an error can be thrown where it waits."""

    def __init__(self, injector: Injector, inner: Any) -> None:
        self._injector, self._inner = injector, inner

    def send(self, value: Any) -> Any:
        place = _waits_at(self._inner, self._injector)
        error = None if place is None else self._injector.at(place)
        return self._inner.send(value) if error is None else self._inner.throw(error)

    def throw(
        self,
        kind: Any,
        value: BaseException | object = None,
        trace: TracebackType | None = None,
    ) -> Any:
        if value is None and trace is None:
            return self._inner.throw(kind)
        return self._inner.throw(kind, value, trace)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from self._inner.__await__())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _waits_at(coro: Any, injector: Injector) -> Place | None:
    """Return where the innermost coroutine of the package waits."""
    found = None
    while inspect.iscoroutine(coro) and coro.cr_frame is not None:
        code, waiting = coro.cr_code, coro.cr_await
        if waiting is not None and injector.is_ours(code):
            line = coro.cr_frame.f_lineno
            found = Place(Path(code.co_filename).stem, code.co_qualname, line, "goes on")
        coro = waiting
    return found


def _is_beginning(frame: FrameType) -> bool:
    """Return True for the first step of a coroutine, as against one that goes on."""
    code, at = frame.f_code.co_code, frame.f_lasti
    return dis.opname[code[at]] == "RESUME" and code[at + 1] & 3 == 0
