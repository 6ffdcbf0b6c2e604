"""Enqueuing when Redis is away, and what is refused by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nuxt_queue.errors import QueueError, QueueStorageError, QueueUnreachableError
from nuxt_queue.managers.bullmq import BullMQWorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.redis import RedisLimits, RedisServer
from nuxt_queue.services.state import MemoryStateStore
from tests.managers.redis.conftest import Fleet, echo, ended, said
from tests.redis_server import PrivateRedis

# Faults 59: what a producer waits at most before it fails.
PRODUCER_S = RedisLimits().operation_s


@asynccontextmanager
async def manager_on(url: str, **options: Any) -> AsyncIterator[BullMQWorkerManager]:
    contexts = ContextService(MemoryStateStore(), EventBus())
    async with BullMQWorkerManager(contexts, RedisServer(url), **options) as manager:
        yield manager


async def test_an_enqueue_fails_in_time_and_names_the_server_without_its_password() -> None:
    """Faults 59: within 5 s; BullMQ's own producer takes 350."""
    async with manager_on("redis://:s3cret@127.0.0.1:1/0") as manager:
        with pytest.raises(QueueUnreachableError) as caught:
            async with asyncio.timeout(PRODUCER_S + 1):
                await manager.enqueue("q", "a", 1)

    assert PRODUCER_S == 5
    assert str(caught.value).startswith("cannot reach redis://:***@127.0.0.1:1/0: ")


async def test_an_enqueue_on_a_server_that_hangs_fails_in_time(redis: PrivateRedis) -> None:
    """Faults 59 and 63."""
    async with manager_on(redis.url) as manager:
        await manager.enqueue("q", "a", 1)
        redis.freeze()
        try:
            with pytest.raises(QueueUnreachableError, match="cannot reach redis://127"):
                async with asyncio.timeout(PRODUCER_S + 1):
                    await manager.enqueue("q", "a", 2, {"jobId": "mine"})
        finally:
            redis.thaw()
        # It may have been done all the same: with an id of its own it is not there twice.
        assert await manager.enqueue("q", "a", 2, {"jobId": "mine"}) == "mine"
        assert len(await manager.get_jobs("q")) == 2


async def test_a_producer_goes_on_when_redis_is_back(redis: PrivateRedis) -> None:
    """Faults 62."""
    async with manager_on(redis.url) as manager:
        first = await manager.enqueue("q", "a", 1)
        redis.kill()
        with pytest.raises(QueueUnreachableError):
            await manager.enqueue("q", "a", 2)
        redis.start()

        third = await manager.enqueue("q", "a", 3)

        assert [job.id for job in await manager.get_jobs("q")] == [first, third]


@pytest.mark.parametrize(
    ("queue", "opts", "message"),
    [
        ("a:b", {}, 'a queue name must not contain ":"'),
        ("{a}", {}, 'queue name "{a}" has braces'),
        ("flow", {}, 'queue name "flow": Redis keeps the flows there'),
        ("q", {"jobId": "a:b"}, 'a job id must not contain ":"'),
        ("q", {"jobId": "{x}"}, "braces choose the slot of a cluster"),
        ("q", {"jobId": "wait"}, "which is a key of BullMQ's own"),
        ("q", {"jobId": "17"}, "BullMQ numbers jobs itself"),
    ],
)
async def test_a_name_that_would_be_another_key_is_refused(
    fleet: Fleet, queue: str, opts: dict[str, Any], message: str
) -> None:
    """Faults 97."""
    manager = fleet.manager()

    with pytest.raises(QueueError) as caught:
        await manager.enqueue(queue, "a", None, opts)

    assert message in str(caught.value)
    assert await fleet.asking.keys(f"{fleet.prefix}*") == []
    if not opts:
        with pytest.raises(QueueError) as caught:
            await manager.register_worker(queue, "a", echo)
        assert message in str(caught.value)


async def test_a_name_with_the_signs_of_a_pattern_is_only_a_name(fleet: Fleet) -> None:
    """Faults 96 and 97."""
    manager = fleet.manager()
    for name in ("*", "[a-z]", "../x", "a b", "ü%2e"):
        await manager.register_worker(name, "a", echo)
        job_id = await manager.enqueue(name, "a", name, {"jobId": f"j{name}"})
        assert (await ended(manager, job_id, queue=name)).returnvalue == name


async def test_a_worker_is_refused_where_jobs_cannot_be_kept(redis: PrivateRedis) -> None:
    """Faults 66: at the start, and not at the first job."""
    redis.ask("CONFIG", "SET", "requirepass", "s3cret")
    async with manager_on(redis.url) as manager:
        with pytest.raises(QueueStorageError, match="it refuses the login"):
            await manager.register_worker("q", "a", echo)
    redis.ask("CONFIG", "SET", "requirepass", "''", login="s3cret")
    redis.ask("REPLICAOF", "127.0.0.1", "1")
    async with manager_on(redis.url) as manager:
        with pytest.raises(QueueStorageError, match="it is a read-only replica"):
            await manager.register_worker("q", "a", echo)


async def test_a_server_that_would_throw_jobs_away_is_warned_about(
    redis: PrivateRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Faults 66."""
    redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    async with manager_on(redis.url) as manager:
        await manager.register_worker("q", "a", echo)
        await manager.register_worker("q", "b", echo)
        assert (await ended(manager, await manager.enqueue("q", "b", 1))).returnvalue == 1

    assert caplog.text.count("its maxmemory-policy is allkeys-lru") == 1


async def test_what_somebody_else_stores_under_our_keys_is_said(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """Faults 66: WRONGTYPE; the other queues go on."""
    manager = fleet.manager()
    await fleet.asking.set(f"{fleet.prefix}:odd:wait", "x")
    with pytest.raises(QueueStorageError, match="something else is stored under one of our keys"):
        await manager.enqueue("odd", "a", 1)
    await manager.register_worker("odd", "a", echo)
    await manager.register_worker("q", "a", echo)

    assert (await ended(manager, await manager.enqueue("q", "a", 1))).state == "completed"
    await said(caplog, "queue odd waits for Redis")


async def test_log_lines_that_are_sent_twice_are_kept_once(fleet: Fleet) -> None:
    """As where the answer to the first time is lost; a job that is gone leaves no key behind."""
    manager = fleet.manager()
    job_id = await manager.enqueue("q", "a", 1)
    queue = manager._queue("q", fleet.asking)

    for _ in range(2):
        await queue.add_logs(job_id, ["one", "two"], 10)
    await queue.add_logs(job_id, ["three"], 10)
    assert list(await queue.logs(job_id, 0, -1)) == ["one", "two", "three"]

    await manager.remove_job("q", job_id)
    await queue.add_logs(job_id, ["late"], 10)
    assert await fleet.asking.keys(f"{fleet.prefix}:q:{job_id}*") == []
