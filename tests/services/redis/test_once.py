"""What adds is done once: when its answer is lost, nobody knows whether to do it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nuxt_queue.errors import QueueUnreachableError
from nuxt_queue.services.redis import RedisServer, RedisStateStore
from tests.redis_server import PrivateRedis

CHUNK = 1 << 16


@asynccontextmanager
async def losing_answers(port: int, command: bytes) -> AsyncIterator[str]:
    """Stand before a server; cut the connection when it answers a command."""
    talks: list[asyncio.Task[None]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, to_them = await asyncio.open_connection("127.0.0.1", port)
        asked = False

        async def ask() -> None:
            nonlocal asked
            while data := await reader.read(CHUNK):
                asked = asked or command in data
                to_them.write(data)
            to_them.write_eof()

        asking = asyncio.create_task(ask())
        while (data := await theirs.read(CHUNK)) and not asked:
            writer.write(data)
        asking.cancel()
        for end in (writer, to_them):
            end.close()
            await end.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.create_task(talk(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        host, proxy_port = server.sockets[0].getsockname()
        yield f"redis://{host}:{proxy_port}/0"
        await asyncio.gather(*talks)


@pytest.mark.parametrize(("by", "command"), [(1, b"INCRBY"), (0.5, b"EVAL")])
async def test_an_increment_whose_answer_was_lost_is_not_made_twice(
    by: float, command: bytes
) -> None:
    redis = PrivateRedis().start()
    try:
        async with losing_answers(redis.port, command) as url:
            state = RedisStateStore(RedisServer(url))
            with pytest.raises(QueueUnreachableError):
                await state.incr("f1", "n", by)
            await state.close()
        straight = RedisStateStore(RedisServer(redis.url))
        made = await straight.get("f1", "n")
        await straight.close()
    finally:
        redis.stop()

    assert made == by
