"""Shared state of a flow's jobs: the port, and the store in memory."""

from __future__ import annotations

import heapq
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nuxt_queue.errors import InvalidParamsError
from nuxt_queue.rpc.codec import Encoded
from nuxt_queue.rpc.values import to_text
from nuxt_queue.services.payloads import decoded, encoded

__all__ = ["MemoryStateStore", "StateStore", "check_number", "checked_ttl", "state_value", "sum_of"]

_ZERO = Encoded(b"0")


class StateStore(ABC):
    """Keep JSON values by scope and key.

    A scope key is a flow id, or an empty string for what belongs to no flow.  Values come back
    equal to what was stored and never aliased; 0, False and "" stay what they are.
    """

    async def get(self, scope_key: str, key: str) -> Any | None:
        """Return the value, or None when there is none or its time is over."""
        return await decoded(await self.read(scope_key, key))

    @abstractmethod
    async def read(self, scope_key: str, key: str) -> Encoded | None:
        """Return the value as JSON text, or None when there is none or its time is over."""

    @abstractmethod
    async def set(
        self, scope_key: str, key: str, value: Any, *, ttl_s: float | None = None
    ) -> None:
        """Store a value; a new value has a new lifetime.

        Args:
            scope_key: A flow id or "".
            key: Any string.
            value: Whatever JSON can hold.
            ttl_s: Seconds until the value is gone; None keeps it.

        Raises:
            ValuePathError: JSON cannot hold the value.
            InvalidParamsError: `ttl_s` is not a positive number.
        """

    @abstractmethod
    async def delete(self, scope_key: str, key: str) -> bool:
        """Remove a value; say whether there was one."""

    @abstractmethod
    async def incr(self, scope_key: str, key: str, by: float = 1) -> int | float:
        """Add to a number in one indivisible step and return the new one.

        A missing value counts as 0.  The value's lifetime stays as it was.

        Raises:
            InvalidParamsError: The value, or `by`, is not a number.
        """

    @abstractmethod
    async def all(self, scope_key: str) -> dict[str, Any]:
        """Return every value of a scope by key."""

    @abstractmethod
    async def clear(self, scope_key: str) -> None:
        """Remove every value of a scope."""


@dataclass(slots=True)
class _Entry:
    value: Encoded  # JSON text is the copy: nothing handed out or taken in can be aliased
    expires_at: float | None = None


class MemoryStateStore(StateStore):
    """A StateStore of this process; everything is gone with it.

    Args:
        clock: Seconds on a clock that never goes back.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._scopes: dict[str, dict[str, _Entry]] = {}
        # Values that are never read again would pile up if only a read dropped what is over.
        self._deadlines: list[tuple[float, str, str]] = []

    async def read(self, scope_key: str, key: str) -> Encoded | None:
        """Return the value, or None."""
        entry = self._live(scope_key).get(key)
        return None if entry is None else entry.value

    async def set(
        self, scope_key: str, key: str, value: Any, *, ttl_s: float | None = None
    ) -> None:
        """Store a copy of the value."""
        self._expire()
        expires_at = None if ttl_s is None else self._clock() + checked_ttl(ttl_s, key)
        entry = _Entry(await state_value(value, key), expires_at)
        self._scopes.setdefault(scope_key, {})[key] = entry
        if expires_at is not None:
            heapq.heappush(self._deadlines, (expires_at, scope_key, key))

    async def delete(self, scope_key: str, key: str) -> bool:
        """Remove a value; say whether there was one."""
        return self._live(scope_key).pop(key, None) is not None

    async def incr(self, scope_key: str, key: str, by: float = 1) -> int | float:
        """Add to a number and return the new one."""
        # No await between the read and the write: that is what makes it indivisible here.
        check_number(by, f"incr of state {key!r}: the step")
        self._expire()
        entry = self._scopes.setdefault(scope_key, {}).setdefault(key, _Entry(_ZERO))
        before = entry.value.value()
        check_number(before, f"incr of state {key!r}: its value")
        after: int | float = before + by
        entry.value = sum_of(after, key)
        return after

    async def all(self, scope_key: str) -> dict[str, Any]:
        """Return every value of a scope by key."""
        return {key: entry.value.value() for key, entry in self._live(scope_key).items()}

    async def clear(self, scope_key: str) -> None:
        """Remove every value of a scope."""
        self._scopes.pop(scope_key, None)

    def _live(self, scope_key: str) -> dict[str, _Entry]:
        self._expire()
        return self._scopes.get(scope_key, {})

    def _expire(self) -> None:
        now = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, scope_key, key = heapq.heappop(self._deadlines)
            entry = self._scopes.get(scope_key, {}).get(key)
            if entry is not None and entry.expires_at == deadline:
                del self._scopes[scope_key][key]


async def state_value(value: Any, key: str) -> Encoded:
    """Return a value as JSON text; raises ValuePathError for what JSON cannot hold."""
    return await encoded(value, f"state[{key!r}]")


def sum_of(number: float, key: str) -> Encoded:
    """Return what a value has been added up to; raises ValuePathError when it is no number."""
    return Encoded(to_text(number, f"state[{key!r}]"))


def checked_ttl(ttl_s: float, key: str) -> float:
    """Return a lifetime in seconds; raises InvalidParamsError when it is none."""
    check_number(ttl_s, f"state {key!r}: the ttl")
    if not (math.isfinite(ttl_s) and ttl_s > 0):
        raise InvalidParamsError(f"state {key!r}: the ttl is {ttl_s}; give seconds above 0")
    return ttl_s


def check_number(value: Any, what: str) -> None:
    """Raise InvalidParamsError unless a value can be added to."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidParamsError(f"{what} is {type(value).__name__}, not a number")
