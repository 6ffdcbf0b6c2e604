"""How Redis is named, and what its refusals mean to a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from redis import exceptions

from nuxt_queue.errors import ConfigError, QueueStorageError, QueueUnreachableError
from nuxt_queue.services.redis import RedisLimits, RedisServer, RedisStateStore
from tests.redis_server import PrivateRedis, shared_redis


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://localhost", "redis://localhost:6379/0"),
        ("redis://h:7000/3", "redis://h:7000/3"),
        ("redis://:s3cret@h:1/0", "redis://:***@h:1/0"),
        ("rediss://me:s3cret@h:1/0", "rediss://me:***@h:1/0"),
        ("redis://h:1/0?password=s3cret", "redis://:***@h:1/0"),
        ("unix://me:s3cret@/run/redis.sock?db=2", "unix://me:***@/run/redis.sock?db=2"),
    ],
)
def test_a_server_is_named_without_its_password(url: str, name: str) -> None:
    """Faults 59 and 94."""
    assert RedisServer(url).name == name


@pytest.mark.parametrize("url", ["localhost:6379", "http://x:s3cret@h", "redis://h:s3cret"])
def test_an_address_that_is_none_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ConfigError, match="the address of Redis cannot be read") as caught:
        RedisServer(url)

    assert "s3cret" not in str(caught.value)


async def refusal(url: str, *, writes: bool = True) -> str:
    """Return what a store says of a server that refuses it."""
    async with AsyncExitStack() as stack:
        store = RedisStateStore(RedisServer(url))
        stack.push_async_callback(store.close)
        with pytest.raises(QueueStorageError) as caught:
            await (store.set("f", "k", 1) if writes else store.get("f", "k"))
    assert not isinstance(caught.value, QueueUnreachableError)
    return str(caught.value)


@pytest.fixture
def locked() -> Iterator[PrivateRedis]:
    server = PrivateRedis(args=["--requirepass", "s3cret"]).start()
    yield server
    server.stop()


async def test_a_login_that_is_missing_or_wrong_is_said(locked: PrivateRedis) -> None:
    """Faults 66."""
    wrong = locked.url.replace("redis://", "redis://:g0essed@")

    says = f"127.0.0.1:{locked.port}/0: it refuses the login; put user and password into REDIS_URL"
    assert await refusal(locked.url) == f"redis://{says}"
    assert await refusal(wrong) == f"redis://:***@{says}"


async def test_a_replica_a_full_memory_and_a_foreign_key_are_said() -> None:
    """Faults 66."""
    server = PrivateRedis().start()
    try:
        server.ask("RPUSH", "nq:flow:f:k", "1")
        assert "something else is stored under one of our keys" in await refusal(
            server.url, writes=False
        )
        server.ask("CONFIG", "SET", "maxmemory", "1")
        assert "it has no memory left" in await refusal(server.url)
        server.ask("CONFIG", "SET", "maxmemory", "0")
        server.ask("REPLICAOF", "127.0.0.1", "1")
        assert "it is a read-only replica" in await refusal(server.url)
    finally:
        server.stop()


def test_a_server_that_loads_its_data_is_one_that_cannot_be_reached_yet() -> None:
    """Faults 66: LOADING passes by itself."""
    error = RedisServer("redis://h:1").error(exceptions.BusyLoadingError("LOADING"))

    assert str(error) == "cannot reach redis://h:1/0: it is still loading its data"
    assert isinstance(error, QueueUnreachableError)


async def test_a_server_that_is_away_is_said_with_its_address() -> None:
    """Faults 59."""
    store = RedisStateStore(RedisServer("redis://me:s3cret@127.0.0.1:1/0"))
    try:
        with pytest.raises(QueueUnreachableError) as caught:
            await store.get("f", "k")
    finally:
        await store.close()

    assert str(caught.value).startswith("cannot reach redis://me:***@127.0.0.1:1/0: Error 111")


async def test_a_server_that_does_not_answer_is_given_up_in_time() -> None:
    """Faults 59 and 63; the limit is an option."""
    server = PrivateRedis().start()
    store = RedisStateStore(RedisServer(server.url, RedisLimits(operation_s=0.2)))
    try:
        await store.set("f", "k", 1)
        server.freeze()
        with pytest.raises(QueueUnreachableError, match=r"no answer within 0\.2 s|Timeout"):
            await store.get("f", "k")
        server.thaw()
        assert await store.get("f", "k") == 1
    finally:
        await store.close()
        server.stop()


async def test_state_that_something_else_wrote_is_said() -> None:
    server = shared_redis()
    server.ask("SET", "odd:flow:f:k", "{broken")
    store = RedisStateStore(RedisServer(server.url), "odd")
    try:
        with pytest.raises(Exception, match="state 'k' in Redis is not JSON"):
            await store.get("f", "k")
    finally:
        await store.close()
