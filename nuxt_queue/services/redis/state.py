"""StateStore in Redis."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

from redis.exceptions import ResponseError

from nuxt_queue.errors import InvalidParamsError, ParseError
from nuxt_queue.rpc.codec import Encoded, decode
from nuxt_queue.services.payloads import checked
from nuxt_queue.services.redis.server import RedisServer, key_part
from nuxt_queue.services.state import StateStore, check_number, checked_ttl, state_value, sum_of

__all__ = ["RedisStateStore"]

_INT64 = 2**63
_MAX_TTL_MS = 10**15  # 30,000 years: Redis adds the time of day to it and must not overflow

# Adds once, however often it is sent: what the caller's last call came to is kept for a while.
#
# KEYS: the value, the memory of this caller.  ARGV: the number of the call; what to add, or "" to
# replace; the value that is to be replaced, "" for none; the new one; milliseconds that a value
# without a lifetime gets, or ""; milliseconds that the memory is kept.  Returns the new value, or
# nothing when somebody else has changed it.
_ADD = """
local last = redis.call('HMGET', KEYS[2], 'call', 'after')
if last[1] == ARGV[1] then return last[2] end
if ARGV[2] ~= '' then
  local failure = redis.pcall('INCRBY', KEYS[1], ARGV[2])
  if type(failure) == 'table' then return failure end
elseif (redis.call('GET', KEYS[1]) or '') == ARGV[3] then
  redis.call('SET', KEYS[1], ARGV[4], 'KEEPTTL')
else
  return false
end
local after = redis.call('GET', KEYS[1])
if ARGV[5] ~= '' and redis.call('PTTL', KEYS[1]) < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
redis.call('HSET', KEYS[2], 'call', ARGV[1], 'after', after)
redis.call('PEXPIRE', KEYS[2], ARGV[6])
return after
"""
_REMEMBERED_MS = 60_000  # longer than a call is tried


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
        self._add_once = self._client.register_script(_ADD)
        self._caller, self._calls = uuid.uuid4().hex, itertools.count(1)
        self._places, self._free_places = itertools.count(1), list[int]()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def read(self, scope_key: str, key: str) -> Encoded | None:
        """Return the value, or None; a string of the host's is kept as it is."""
        async with self._server.answering():
            line = await self._client.get(self._key(scope_key, key))
        if line is None:
            return None
        try:
            return await checked(line)
        except ParseError as error:
            text = await asyncio.to_thread(_bare_text, line, key, error)
            return await state_value(text, key)

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
        async with self._server.answering():
            if isinstance(by, int) and abs(by) < _INT64:
                try:
                    return int(await self._change(scope_key, key, by=by) or 0)
                except ResponseError as error:
                    # Not a whole number of 64 bits, which is Redis' idea of one: added here.
                    if "not an integer" not in str(error) and "overflow" not in str(error):
                        raise
            return await self._add(scope_key, key, by)

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

    async def _add(self, scope_key: str, key: str, by: float) -> int | float:
        """Add to what only Python can add to exactly: fractions and large numbers."""
        while True:
            line = await self._client.get(self._key(scope_key, key))
            before = 0 if line is None else _value(line, key)
            check_number(before, f"incr of state {key!r}: its value")
            after: int | float = before + by
            new = sum_of(after, key).text
            if await self._change(scope_key, key, old=line or b"", new=new) is not None:
                return after

    async def _change(
        self, scope_key: str, key: str, *, by: int | str = "", old: bytes = b"", new: bytes = b""
    ) -> bytes | None:
        """Change a value once, although the command may be sent again when its answer is lost."""
        # As many keys as there are calls at the same time: each is one caller's memory.
        place = self._free_places.pop() if self._free_places else next(self._places)
        memory = f"{self._prefix}:flow::incr:{self._caller}:{place}"
        lifetime = self._ttl_ms if scope_key else ""
        try:
            changed: bytes | None = await self._add_once(
                keys=[self._key(scope_key, key), memory],
                args=[next(self._calls), by, old, new, lifetime, _REMEMBERED_MS],
            )
        finally:
            self._free_places.append(place)
        return changed

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
    """Return a value as we or the host wrote it: the host writes a string as it is.

    Raises:
        InvalidParamsError: It is neither JSON of the wire nor text.
    """
    try:
        return decode(line)
    except ParseError as error:
        return _bare_text(line, key, error)


def _bare_text(line: bytes, key: str, error: ParseError) -> str:
    """Return a text that no reader takes for JSON; else raise InvalidParamsError."""
    try:
        text = line.decode("utf-8")
        json.loads(text, parse_constant=_refuse)
    except (UnicodeDecodeError, RecursionError):
        pass
    except ValueError:
        return text
    # It is JSON that the wire refuses, such as half of a surrogate pair, or no text at all.
    raise InvalidParamsError(f"state {key!r} in Redis cannot be read: {error}") from None


def _refuse(_constant: str) -> None:
    raise ValueError  # NaN and Infinity are names in Python only
