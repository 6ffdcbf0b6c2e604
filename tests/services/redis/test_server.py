"""How Redis is named, and what its refusals mean to a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
import redis as raw
from redis import exceptions

from nuxt_queue.errors import InvalidParamsError, QueueStorageError, QueueUnreachableError
from nuxt_queue.services.redis import RedisLimits, RedisServer, RedisStateStore
from tests.redis_server import PrivateRedis, shared_redis


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
    store = RedisStateStore(RedisServer("redis://me:s3cret@127.0.0.1:1/0", RedisLimits(retries=1)))
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


@pytest.mark.parametrize(
    ("kept", "read"),
    [
        ("Hello", "Hello"),
        ("{broken", "{broken"),
        ("a b\u00fc", "a b\u00fc"),
        ("", ""),
        ("NaN", "NaN"),
        ("-", "-"),
        ("1.5", 1.5),
        ('"quoted"', "quoted"),
        ("null", None),
    ],
)
async def test_a_string_of_the_host_is_read_as_text(kept: str, read: object) -> None:
    """The host stores strings as they are, and everything else as JSON."""
    store = RedisStateStore(RedisServer(shared_redis().url), "odd")
    with raw.Redis.from_url(shared_redis().url) as client:
        client.set("odd:flow:f:k", kept)
    try:
        assert await store.get("f", "k") == read
        assert await store.all("f") == {"k": read}
    finally:
        await store.close()


async def test_a_string_cannot_be_counted_and_what_is_no_text_is_refused() -> None:
    store = RedisStateStore(RedisServer(shared_redis().url), "odd")
    with raw.Redis.from_url(shared_redis().url) as client:
        client.set("odd:flow:f:greeting", "Hello")
        client.set("odd:flow:f:bytes", b"\xff\xfe")
        client.set("odd:flow:f:deep", "[" * 600 + "]" * 600)
    try:
        with pytest.raises(InvalidParamsError, match="'greeting': its value is str, not a number"):
            await store.incr("f", "greeting")
        for key in ("bytes", "deep"):
            with pytest.raises(InvalidParamsError, match=f"state '{key}' in Redis cannot be read"):
                await store.get("f", key)
    finally:
        await store.close()
