"""How many connections there are, and how one is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis as raw
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection

from nuxt_queue.errors import QueueUnreachableError
from nuxt_queue.services.redis import RedisLimits, RedisServer, RedisStateStore
from nuxt_queue.services.redis.pool import Turns, bounded
from tests.redis_server import PrivateRedis

FEW = RedisLimits(shared=2, waiting=2)


@pytest.fixture
async def server() -> AsyncIterator[PrivateRedis]:
    """A server that nobody else has a connection to."""
    made = PrivateRedis().start()
    yield made
    made.stop()


def connections(server: PrivateRedis) -> list[str]:
    """Return the names of the connections to a server, without the one that asks."""
    with raw.Redis.from_url(server.url) as client:
        return [each["name"] for each in client.client_list() if each["cmd"] != "client|list"]


def test_the_bound_of_a_process_is_below_fifty() -> None:
    assert RedisLimits().connections <= 50


async def test_many_calls_at_once_share_few_connections(server: PrivateRedis) -> None:
    """None fails for want of a connection."""
    store = RedisStateStore(RedisServer(server.url, FEW))
    try:
        counts = await asyncio.gather(*(store.incr("f", "n") for _ in range(300)))
        assert sorted(counts) == list(range(1, 301))
        assert connections(server) == ["nuxt-queue"] * 2
    finally:
        await store.close()
    assert connections(server) == []


async def test_the_wait_for_a_connection_is_not_counted_as_slowness_of_redis(
    server: PrivateRedis,
) -> None:
    """Answers come all the time, each later than one operation may take in all."""
    one = RedisServer(server.url, RedisLimits(operation_s=1.0, shared=1))
    client = one.client(repeats=False)

    async def slow() -> None:
        async with one.answering():
            await client.bzpopmin("nothing", 0.15)

    try:
        await asyncio.gather(*(slow() for _ in range(12)))
    finally:
        await client.aclose()


async def test_who_waits_for_a_connection_is_refused_when_nobody_gets_an_answer(
    server: PrivateRedis,
) -> None:
    store = RedisStateStore(RedisServer(server.url, RedisLimits(operation_s=0.3, shared=1)))
    try:
        await store.set("f", "n", 0)
        server.freeze()
        calls = [asyncio.create_task(store.get("f", "n")) for _ in range(5)]
        async with asyncio.timeout(5):
            ends = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(end) for end in ends} == {QueueUnreachableError}
        server.thaw()
        assert await store.get("f", "n") == 0
    finally:
        await store.close()


async def test_turns_are_taken_in_order_and_a_cancelled_caller_leaves_none_behind() -> None:
    turns, order = Turns(1, 5.0), list[int]()

    async def caller(number: int) -> None:
        async with turns.turn():
            order.append(number)
            await asyncio.sleep(0)

    await turns.take()
    callers = [asyncio.create_task(caller(number)) for number in range(4)]
    await asyncio.sleep(0)
    callers[1].cancel()
    turns.give_back(answered=True)
    callers[0].cancel()  # its turn has come, and it has not heard of it
    await asyncio.gather(*callers, return_exceptions=True)

    assert order == [2, 3]
    async with asyncio.timeout(1), turns.turn():
        pass


async def test_a_task_that_outlives_its_bound_still_gets_its_turn() -> None:
    turns = Turns(1, 5.0)
    await turns.take()

    async def later() -> None:
        async with turns.turn():
            pass

    async with bounded(5):
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    turns.give_back(answered=True)
    async with asyncio.timeout(1):
        await task


async def test_a_count_whose_answer_was_lost_is_not_added_twice(
    server: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole numbers and fractions: the call is sent again and answered from memory."""
    store = RedisStateStore(RedisServer(server.url))
    read, loses = Connection.read_response, list[bool]()

    async def read_response(connection: Connection, *args: Any, **options: Any) -> Any:
        answer = await read(connection, *args, **options)
        if loses and answer in (b"2", b"1.0"):
            loses.clear()
            await connection.disconnect()
            raise raw.ConnectionError("lost")
        return answer

    monkeypatch.setattr(Connection, "read_response", read_response)
    try:
        await store.incr("f", "n")
        await store.incr("f", "x", 0.5)
        for key, by, after in (("n", 1, 2), ("x", 0.5, 1.0)):
            loses.append(True)
            assert await store.incr("f", key, by) == after
            assert loses == []
            assert await store.get("f", key) == after
    finally:
        await store.close()


async def test_state_waits_for_a_redis_that_is_away_for_a_moment(server: PrivateRedis) -> None:
    """Each call, as a producer does: what was read in memory is gone with this server."""
    store = RedisStateStore(RedisServer(server.url))
    try:
        await store.set("f", "n", 7)
        server.kill()
        calls: list[Any] = [store.get("f", "n"), store.incr("f", "i"), store.set("f", "s", 1)]
        calls += [store.incr("f", "i", 0.5), store.delete("f", "n"), store.all("g")]
        tasks = [asyncio.ensure_future(call) for call in calls]
        done, _ = await asyncio.wait(tasks, timeout=1.0)
        assert done == set()
        server.start()
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*tasks)
        assert (answers[0], answers[2], answers[4], answers[5]) == (None, None, False, {})
        assert await store.get("f", "i") == 1.5
    finally:
        await store.close()


def test_what_is_used_of_the_client_beside_its_documentation_is_there() -> None:
    """These are overridden, so a release without them would go its own way in silence."""
    for name in ("get_connection", "get_available_connection", "ensure_connection", "release"):
        assert hasattr(ConnectionPool, name)
    for kind in (Connection, SSLConnection):
        for name in ("_connect", "read_response", "on_connect", "is_connected"):
            assert hasattr(kind, name)
