"""Time as managers see it, so that a test can be its master."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "LoopClock", "ManualClock", "Timer"]


class Timer(Protocol):
    """A call that has been planned."""

    def cancel(self) -> None:
        """Forget the call."""


class Clock(Protocol):
    """The time of day, and calls planned for later."""

    def now_ms(self) -> int:
        """Return unix time in milliseconds."""

    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> Timer:
        """Call back once, `delay_ms` from now, on the running loop."""


class LoopClock:
    """The clock of the machine and the timers of the running event loop."""

    def now_ms(self) -> int:
        """Return unix time in milliseconds."""
        return time.time_ns() // 1_000_000

    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> Timer:
        """Call back once, `delay_ms` from now."""
        return asyncio.get_running_loop().call_later(delay_ms / 1_000, callback)


class ManualClock:
    """A clock for tests: it stands still until `advance`.

    Args:
        start_ms: Unix time in milliseconds.
    """

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._now_ms: float = start_ms
        self._order = itertools.count()
        self._planned: list[tuple[float, int, _ManualTimer]] = []

    def now_ms(self) -> int:
        """Return unix time in milliseconds."""
        return int(self._now_ms)

    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> Timer:
        """Call back when `advance` gets there."""
        timer = _ManualTimer(callback)
        heapq.heappush(self._planned, (self._now_ms + delay_ms, next(self._order), timer))
        return timer

    def advance(self, ms: float) -> None:
        """Let time pass; what falls due on the way is called, in order."""
        end = self._now_ms + ms
        while self._planned and self._planned[0][0] <= end:
            self._now_ms, _order, timer = heapq.heappop(self._planned)
            timer.fire()
        self._now_ms = end


class _ManualTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self._callback = None

    def fire(self) -> None:
        if self._callback is not None:
            self._callback()
