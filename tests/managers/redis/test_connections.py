"""Many queues and many jobs at once over few connections, and what dashboards see of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Self

import pytest
import redis as raw

from nuxt_queue.managers.bullmq import BullMQWorkerManager
from nuxt_queue.managers.bullmq.markers import BLOCK_S, Markers, worker_name
from nuxt_queue.services.context import JobContext
from nuxt_queue.services.redis import RedisLimits, RedisServer, RedisStateStore
from tests.managers.redis.conftest import WAIT_S, Fleet, echo, ended
from tests.managers.redis.node import peer
from tests.redis_server import PrivateRedis

FEW = RedisLimits(shared=2, waiting=2)


@pytest.fixture
async def few(redis: PrivateRedis) -> AsyncIterator[Fleet]:
    """Managers with few connections, on a server of their own."""
    made = Fleet(redis.url, FEW)
    yield made
    await made.close()


class Census:
    """Counts the connections to a server, again and again, until it is left.

    Attributes:
        most: The most there were at a time, without its own.
        names: How many had each name, the last time.
    """

    def __init__(self, redis: PrivateRedis) -> None:
        self._redis, self.most, self.names = redis, 0, Counter[str]()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._count())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._look()

    async def _count(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(0.02)

    def _look(self) -> None:
        with raw.Redis.from_url(self._redis.url) as client:
            told = [each for each in client.client_list() if each["cmd"] != "client|list"]
        self.most, self.names = max(self.most, len(told)), Counter(each["name"] for each in told)


async def test_many_enqueues_and_many_jobs_at_once_need_few_connections(
    redis: PrivateRedis, few: Fleet
) -> None:
    """None fails, and every job runs once: state is counted right."""
    manager = few.manager()
    state = RedisStateStore(few.server, few.prefix)

    async def count(_job: dict[str, Any], _context: JobContext) -> Any:
        return [await state.incr("", "n") for _ in range(4)]

    async with Census(redis) as census:
        ids = await asyncio.gather(*(manager.enqueue("q", "a", n) for n in range(100)))
        await manager.register_worker("q", "a", count, {"concurrency": 40})
        jobs = await asyncio.gather(*(ended(manager, job_id) for job_id in ids))
        counted = await state.get("", "n")
        await state.close()

    assert {(job.state, job.attempts_made) for job in jobs} == {("completed", 1)}
    assert counted == 400
    # The stores of an app are three; here there is one, and the fleet's own client.
    assert census.most <= FEW.connections


async def test_many_queues_share_the_connections_on_which_jobs_are_waited_for(
    redis: PrivateRedis, few: Fleet
) -> None:
    manager = few.manager()
    queues = [f"q{n}" for n in range(12)]
    heard = list[str]()
    for queue in queues:
        await manager.register_worker(queue, "a", echo)
        manager.on(queue, "completed", lambda event: heard.append(event.queue))

    async with Census(redis) as census:
        for turn in range(3):  # after the first, all of them wait
            ids = await asyncio.gather(*(manager.enqueue(q, "a", turn) for q in queues))
            jobs = await asyncio.gather(
                *(ended(manager, i, queue=q) for q, i in zip(queues, ids, strict=True))
            )
            assert [job.returnvalue for job in jobs] == [turn] * 12
        async with asyncio.timeout(WAIT_S):
            while len(heard) < 36:  # noqa: ASYNC110 the last of them, from any queue
                await asyncio.sleep(0.01)

    assert Counter(heard) == dict.fromkeys(queues, 3)
    assert census.most <= FEW.connections
    named = {name for name in census.names if name != "nuxt-queue"}
    assert named == {worker_name(few.prefix, queue) for queue in queues[:2]}


async def test_a_mark_for_a_queue_that_is_busy_is_left_to_other_workers(few: Fleet) -> None:
    """Both wait; one takes a job and cannot take the next, which the other does at once."""
    managers: list[BullMQWorkerManager] = [few.manager(), few.manager()]
    release, began = asyncio.Event(), asyncio.Queue[int]()

    async def hold(job: dict[str, Any], _context: JobContext) -> None:
        began.put_nowait(job["data"])
        await release.wait()

    for manager in managers:
        await manager.register_worker("q", "a", hold)
        for other in ("r", "s", "t"):  # so that the connections are shared
            await manager.register_worker(other, "a", echo)
    async with asyncio.timeout(4):  # less than an idle queue's own look takes
        for n in range(2):
            await managers[0].enqueue("q", "a", n)
            assert await began.get() == n
    release.set()


async def test_bullmqs_dashboards_see_a_worker_of_each_queue(few: Fleet) -> None:
    """Node's `getWorkers`; as many queues as connections wait for jobs, busy ones too."""
    manager, release, began = few.manager(), asyncio.Event(), asyncio.Event()

    async def hold(_job: dict[str, Any], _context: JobContext) -> None:
        began.set()
        await release.wait()

    await manager.enqueue("b\u00fcsy", "a")
    await manager.register_worker("b\u00fcsy", "a", hold)
    await manager.register_worker("idle", "a", echo)
    async with asyncio.timeout(WAIT_S):
        await began.wait()
        for queue in ("b\u00fcsy", "idle"):
            seen: list[Any] = []
            while not seen:
                seen = await peer(few, "workers", 0, queue=queue, wait_s=WAIT_S)
            assert seen == [{"name": queue, "rawname": worker_name(few.prefix, queue)}]
    release.set()


async def until_blocked(redis: PrivateRedis) -> None:
    """Wait until a connection waits for marks in the server."""
    with raw.Redis.from_url(redis.url) as client:
        async with asyncio.timeout(WAIT_S):
            while client.info("clients")["blocked_clients"] == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_queue_that_joins_a_connection_in_use_is_waited_for_at_once(
    redis: PrivateRedis, few: Fleet
) -> None:
    """One connection, which waits for another queue already."""
    server = RedisServer(redis.url, RedisLimits(waiting=1))
    markers = Markers(server, few.prefix, few.asking)
    first = asyncio.create_task(markers.wait("a", BLOCK_S))
    try:
        await until_blocked(redis)
        second = asyncio.create_task(markers.wait("b", 2 * BLOCK_S))
        await asyncio.sleep(0)
        await few.asking.zadd(f"{few.prefix}:b:marker", {"0": 0})
        async with asyncio.timeout(0.8 * BLOCK_S):  # sooner than the connection comes back
            await second
        assert not first.done()
    finally:
        first.cancel()
        await markers.close()


async def test_a_mark_that_nobody_here_waits_for_any_more_is_put_back(
    redis: PrivateRedis, few: Fleet
) -> None:
    """The time of the queue is over, and the connection still waits."""
    markers, key = Markers(few.server, few.prefix, few.asking), f"{few.prefix}:a:marker"
    try:
        waiting = asyncio.create_task(markers.wait("a", 1.0))
        await until_blocked(redis)
        await waiting
        await few.asking.zadd(key, {"0": 0})  # which the connection gets
        async with asyncio.timeout(0.8 * BLOCK_S):
            while await few.asking.zcard(key) == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        await markers.close()
