"""Connections to Redis: how many there may be, and the waiting for one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool

__all__ = ["BoundedPool", "Turns", "bounded"]

_limit: ContextVar[asyncio.Timeout | None] = ContextVar("nuxt_queue_redis_limit", default=None)


@contextlib.asynccontextmanager
async def bounded(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError when what is asked inside takes longer.

    The time during which it waits for a free connection does not count: then this process is busy,
    and not Redis slow.
    """
    async with asyncio.timeout(seconds) as limit:
        token = _limit.set(limit)
        try:
            yield
        finally:
            _limit.reset(token)


class Turns:
    """Lets a number of callers in at once, in their order.

    A caller waits for as long as others get answers.

    Args:
        most: How many are in at once.
        patience_s: A caller is refused when nobody has got an answer for so long.
    """

    def __init__(self, most: int, patience_s: float) -> None:
        self._free, self._patience_s = most, patience_s
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._answered_at = 0.0

    async def take(self) -> None:
        """Wait for a turn.

        Raises:
            TimeoutError: Nobody gets answers.
        """
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            with _clock_stopped():
                await self._wait(turn)
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            turn.cancel()
            raise

    def give_back(self, *, answered: bool) -> None:
        """End a turn.

        Args:
            answered: True if the server has answered.
        """
        if answered:
            self._answered_at = time.monotonic()
        self._pass_on()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the block ends; raises TimeoutError as `take` does."""
        await self.take()
        answered = False
        try:
            yield
            answered = True
        finally:
            self.give_back(answered=answered)

    async def _wait(self, turn: asyncio.Future[None]) -> None:
        since = time.monotonic()
        while True:
            since = max(since, self._answered_at)
            left_s = since + self._patience_s - time.monotonic()
            if (await asyncio.wait({turn}, timeout=max(left_s, 0)))[0]:
                return
            if self._answered_at <= since:
                raise TimeoutError

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


@contextlib.contextmanager
def _clock_stopped() -> Iterator[None]:
    """Let the time of `bounded` stand still inside."""
    limit = _limit.get()
    ends_at = None if limit is None else limit.when()
    if limit is None or ends_at is None:
        yield
        return
    loop = asyncio.get_running_loop()
    left_s = ends_at - loop.time()
    with contextlib.suppress(RuntimeError):  # its block has ended: this task outlived it
        limit.reschedule(None)
    try:
        yield
    finally:
        with contextlib.suppress(RuntimeError):
            limit.reschedule(loop.time() + left_s)


class BoundedPool(ConnectionPool):
    """A pool of connections in which a caller waits for a free one.

    The client's own pools fail when all are in use, or count the waiting as Redis' slowness.

    Args:
        most: How many connections there are at most.
        patience_s: How long a caller waits while no other gets an answer.
        options: Those of ConnectionPool.
    """

    def __init__(self, *, most: int, patience_s: float, **options: Any) -> None:
        super().__init__(max_connections=most, **options)
        self._turns = Turns(most, patience_s)
        self._clients = 0

    @property
    def is_over(self) -> bool:
        """True when its last client has been closed."""
        return not self._clients

    def client(self) -> Any:
        """Return a client on this pool; the pool ends with the last of them."""
        self._clients += 1
        return _Client(connection_pool=self)

    async def leave(self) -> None:
        """End the connections if no client is left."""
        self._clients -= 1
        if not self._clients:
            await self.aclose()

    async def get_connection(
        self, command_name: str | None = None, *keys: Any, **options: Any
    ) -> Any:
        """Wait for a connection."""
        del command_name, keys, options  # of older versions of the client
        await self._turns.take()
        try:
            connection: Any = self.get_available_connection()  # type: ignore[no-untyped-call]
        except BaseException:
            self._turns.give_back(answered=False)
            raise
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: Any) -> None:
        """Give a connection back."""
        answered = connection.is_connected
        try:
            await super().release(connection)
        finally:
            self._turns.give_back(answered=answered)


class _Client(Redis):
    """A client that shares its pool with others."""

    _has_left = False

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001
        """Leave the pool."""
        del close_connection_pool
        if not self._has_left:
            self._has_left = True
            pool: Any = self.connection_pool
            await pool.leave()
