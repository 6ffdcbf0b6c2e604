"""StateStore in Redis."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from redis.exceptions import ConnectionError, ResponseError  # noqa: A004 the client's own

from nuxt_queue.errors import InvalidParamsError, ParseError
from nuxt_queue.rpc.codec import Encoded, decode
from nuxt_queue.services.payloads import checked
from nuxt_queue.services.redis.server import RedisServer, key_part
from nuxt_queue.services.state import StateStore, check_number, checked_ttl, state_value, sum_of

__all__ = ["RedisStateStore"]

_INT64 = 2**63
_MAX_TTL_MS = 10**15  # 30,000 years: Redis adds the time of day to it and must not overflow

# The value is replaced if nobody else has replaced it since it was read.
_REPLACE = """
local now = redis.call('GET', KEYS[1])
if (ARGV[1] == '' and not now) or now == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
  return 1
end
return 0
"""
_PING_S = (0.0, 0.1, 0.4)  # between looks for a connection that lives


class RedisStateStore(StateStore):
    """A StateStore that any number of machines share, under the keys of the host.

    Args:
        server: The server.
        prefix: What every key begins with.
        ttl_s: How long a value of a flow's run is kept after it was last set, when it does not say
            itself: as long as an ended run.  What belongs to no run is kept for good.
    """

    def __init__(
        self, server: RedisServer, prefix: str = "nq", *, ttl_s: float = 2_592_000
    ) -> None:
        self._server, self._prefix, self._ttl_ms = server, prefix, round(ttl_s * 1000)
        self._client = server.client(repeats=True)
        # What adds is not sent again when its answer is lost: it would add twice.
        self._adding = server.client(repeats=False)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()
        await self._adding.aclose()

    async def read(self, scope_key: str, key: str) -> Encoded | None:
        """Return the value, or None; somebody else may have written what is not JSON."""
        async with self._server.answering():
            line = await self._client.get(self._key(scope_key, key))
        if line is None:
            return None
        try:
            return await checked(line)
        except ParseError as error:
            raise _not_json(key, error) from None

    async def set(
        self, scope_key: str, key: str, value: Any, *, ttl_s: float | None = None
    ) -> None:
        """Store a value."""
        line = (await state_value(value, key)).text
        ttl_ms = self._ttl_ms if scope_key else None
        if ttl_s is not None:
            ttl_ms = min(max(1, round(checked_ttl(ttl_s, key) * 1000)), _MAX_TTL_MS)
        async with self._server.answering():
            await self._client.set(self._key(scope_key, key), line, px=ttl_ms)

    async def delete(self, scope_key: str, key: str) -> bool:
        """Remove a value; say whether there was one."""
        async with self._server.answering():
            return bool(await self._client.delete(self._key(scope_key, key)))

    async def incr(self, scope_key: str, key: str, by: float = 1) -> int | float:
        """Add to a number and return the new one."""
        check_number(by, f"incr of state {key!r}: the step")
        name = self._key(scope_key, key)
        async with self._server.answering():
            if isinstance(by, int) and abs(by) < _INT64:
                try:
                    after, left_ms = await self._once(("INCRBY", name, by), ("PTTL", name))
                except ResponseError as error:
                    # Not a whole number of 64 bits, which is Redis' idea of one: added here.
                    if "not an integer" not in str(error) and "overflow" not in str(error):
                        raise
                else:
                    await self._limit(scope_key, name, left_ms)
                    return int(after)
            return await self._add(scope_key, name, key, by)

    async def all(self, scope_key: str) -> dict[str, Any]:
        """Return every value of a scope by key."""
        found = {}
        async with self._server.answering():
            async for names in self._names(scope_key):
                for name, line in zip(names, await self._client.mget(names), strict=True):
                    if line is not None:
                        key = self._key_of(scope_key, name)
                        found[key] = _value(line, key)
        return found

    async def clear(self, scope_key: str) -> None:
        """Remove every value of a scope."""
        async with self._server.answering():
            async for names in self._names(scope_key):
                await self._client.delete(*names)

    async def _add(self, scope_key: str, name: str, key: str, by: float) -> int | float:
        """Add to what only Python can add to exactly: fractions and large numbers."""
        while True:
            line = await self._client.get(name)
            before = 0 if line is None else _value(line, key)
            check_number(before, f"incr of state {key!r}: its value")
            after: int | float = before + by
            change = ("EVAL", _REPLACE, 1, name, line or b"", sum_of(after, key).text)
            was_replaced, left_ms = await self._once(change, ("PTTL", name))
            if was_replaced:
                await self._limit(scope_key, name, left_ms)
                return after

    async def _once(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Send commands that must not be sent twice, over a connection that has just answered.

        One that the server has closed meanwhile shows only when something is sent.
        """
        async with self._adding.pipeline(transaction=True) as pipe:
            for pause_s in _PING_S:
                try:
                    await pipe.immediate_execute_command("PING")
                    break
                except ConnectionError:
                    if pause_s == _PING_S[-1]:
                        raise
                    await asyncio.sleep(pause_s)
            for command in commands:
                pipe.execute_command(*command)
            return list(await pipe.execute())

    async def _limit(self, scope_key: str, name: str, left_ms: int) -> None:
        """Let a value of a run that has no end of its own end with the run."""
        if scope_key and left_ms < 0:
            await self._client.pexpire(name, self._ttl_ms)

    async def _names(self, scope_key: str) -> AsyncIterator[list[bytes]]:
        """Find the keys of a scope: a walk through the whole database, for tools and clean-up."""
        start = self._key(scope_key, "")
        pattern = re.sub(r"([\\*?\[\]])", r"\\\1", start) + "*"
        cursor, done = 0, False
        while not done:
            cursor, names = await self._client.scan(cursor, match=pattern, count=1000)
            if not scope_key:
                # Without a flow a key has no colon; what has one is a flow's or a queue's.
                names = [name for name in names if b":" not in name[len(start.encode()) :]]
            done = cursor == 0
            if names:
                yield names

    def _key(self, scope_key: str, key: str) -> str:
        if scope_key:
            return f"{self._prefix}:flow:{key_part(scope_key)}:{key}"
        return f"{self._prefix}:{key_part(key)}"

    def _key_of(self, scope_key: str, name: bytes) -> str:
        key = name.decode()[len(self._key(scope_key, "")) :]
        return key if scope_key else key.replace("%3A", ":").replace("%25", "%")


def _value(line: bytes, key: str) -> Any:
    try:
        return decode(line)
    except ParseError as error:
        raise _not_json(key, error) from None


def _not_json(key: str, error: ParseError) -> InvalidParamsError:
    return InvalidParamsError(f"state {key!r} in Redis is not JSON: {error}")
