"""Under which keys state, timelines and runs are, for the host beside us, and how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import redis as raw

from nuxt_queue.services.events import EventBus
from nuxt_queue.services.flow_definition import FlowDefinition, Step
from nuxt_queue.services.flow_runs import RunRecord
from nuxt_queue.services.redis import (
    RedisEventStream,
    RedisFlowStore,
    RedisServer,
    RedisStateStore,
)
from nuxt_queue.services.scope import Scope
from tests.redis_server import PrivateRedis

DAY_S = 24 * 60 * 60


@pytest.fixture
def redis() -> Iterator[PrivateRedis]:
    """A server without any key, which keeps what it has acknowledged."""
    server = PrivateRedis(appendonly=True).start()
    yield server
    server.stop()


@pytest.fixture
async def state(redis: PrivateRedis) -> AsyncIterator[RedisStateStore]:
    """State on it, under the host's default prefix."""
    store = RedisStateStore(RedisServer(redis.url))
    yield store
    await store.close()


def left_s(redis: PrivateRedis, key: str) -> int:
    """Return for how many seconds a key is kept; -1 is for good."""
    with raw.Redis.from_url(redis.url) as client:
        return int(client.ttl(key))


async def test_state_is_where_the_host_looks_for_it(
    redis: PrivateRedis, state: RedisStateStore
) -> None:
    """host-contract 2: `nq:flow:<flowId>:<key>`, and `nq:<key>` of a job of no flow."""
    await state.set("f1", "model:best", {"a": 1})
    await state.incr("f1", "count", 2)
    await state.set("", "last", "Ada")

    with raw.Redis.from_url(redis.url, decode_responses=True) as client:
        keys = {"nq:flow:f1:count", "nq:flow:f1:model:best", "nq:last"}
        memory = set(client.scan_iter("nq:flow::incr:*"))
        assert set(client.scan_iter("*")) - memory == keys
        assert 0 < client.pttl(memory.pop()) <= 60_000
        assert client.get("nq:flow:f1:model:best") == '{"a":1}'
        client.set("nq:flow:f1:theirs", "[1, 2]")
    assert await state.get("f1", "theirs") == [1, 2]


async def test_state_of_a_run_is_kept_as_long_as_the_run(
    redis: PrivateRedis, state: RedisStateStore
) -> None:
    """host-contract 2: metadataTTL; a lifetime of its own comes first, in seconds."""
    await state.set("f1", "set", 1)
    await state.incr("f1", "whole")
    await state.incr("f1", "fraction", 0.5)
    await state.set("f1", "own", 1, ttl_s=60)
    await state.incr("f1", "own")
    await state.set("", "none", 1)
    await state.incr("", "counted")

    for key in ("set", "whole", "fraction"):
        assert 30 * DAY_S - 60 <= left_s(redis, f"nq:flow:f1:{key}") <= 30 * DAY_S
    assert 0 < left_s(redis, "nq:flow:f1:own") <= 60
    assert (left_s(redis, "nq:none"), left_s(redis, "nq:counted")) == (-1, -1)


async def test_a_timeline_is_kept_for_a_week_and_an_ended_run_for_thirty_days(
    redis: PrivateRedis,
) -> None:
    """host-contract 2 and 3: eventTTL, metadataTTL; the stream is `nq:flow:<runId>`."""
    server = RedisServer(redis.url)
    stream, runs = RedisEventStream(server), RedisFlowStore(server)
    try:
        await EventBus(stream).publish("step.started", Scope("j", "q", flow_id="f1"), {"jobId": 1})
        assert 7 * DAY_S - 60 <= left_s(redis, "nq:flow:f1") <= 7 * DAY_S
        run = RunRecord.begin("f1", FlowDefinition("ml", Step("entry", "q", "entry")), {}, 1000)
        await runs.create(run)
        assert left_s(redis, "nq:flow::run:f1") == -1
        await runs.change("f1", lambda run: run.cancel(1001))
        assert 30 * DAY_S - 60 <= left_s(redis, "nq:flow::run:f1") <= 30 * DAY_S
    finally:
        await stream.close()
        await runs.close()


async def test_what_is_asked_first_after_a_restart_of_redis_is_answered(
    redis: PrivateRedis, state: RedisStateStore
) -> None:
    """Faults 62: connections that the old server has closed are no failure of a job."""
    stream = RedisEventStream(RedisServer(redis.url))
    bus = EventBus(stream)
    try:
        await asyncio.gather(*(state.incr("f1", "n") for _ in range(20)))
        await asyncio.gather(*(state.incr("f1", "x", 0.5) for _ in range(4)))
        await bus.publish("step.started", Scope("j", "q", flow_id="f1"), {"jobId": 1})
        redis.kill()
        redis.start()

        counts = await asyncio.gather(*(state.incr("f1", "n") for _ in range(20)))
        halves = await asyncio.gather(*(state.incr("f1", "x", 0.5) for _ in range(4)))
        await bus.publish("step.completed", Scope("j", "q", flow_id="f1"), {"result": 1})

        assert sorted(counts) == list(range(21, 41))
        assert sorted(halves) == [2.5, 3.0, 3.5, 4.0]
        assert [event.type for event in await bus.read("f1")] == ["step.started", "step.completed"]
    finally:
        await stream.close()


async def test_events_that_redis_does_not_take_are_sent_again_and_read_once(
    redis: PrivateRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Faults 62: a timeline waits for its server, and says so once."""
    stream = RedisEventStream(RedisServer(redis.url))
    bus = EventBus(stream)
    scope = Scope("j", "q", flow_id="f1")
    try:
        await bus.publish("step.started", scope, {"jobId": 1})
        redis.kill()
        await bus.publish("step.retry", scope, {"attempt": 1})
        await bus.publish("log", scope, {"level": "info", "message": "m"})
        await bus.publish("step.completed", scope, {"result": 1})
        redis.start()

        kinds = [event.type for event in await bus.read("f1")]
    finally:
        await stream.close()

    assert kinds == ["step.started", "step.retry", "log", "step.completed"]
    assert sum("wait for Redis" in message for message in caplog.messages) == 1
    assert "could not be kept" not in caplog.text


async def test_an_event_that_was_taken_twice_is_read_once_and_those_of_two_publishers_are_two(
    redis: PrivateRedis,
) -> None:
    """The answer to the first sending was lost; ids are a publisher's own."""
    streams = [RedisEventStream(RedisServer(redis.url)) for _ in range(2)]
    scope = Scope("j", "q", flow_id="f1")
    try:
        event = await EventBus(streams[0]).publish("step.completed", scope, {"result": 1})
        await streams[0].append(event)
        once = await streams[1].read("f1")
        await streams[1].append(event)
        twice = await streams[0].read("f1")
    finally:
        for stream in streams:
            await stream.close()

    assert once == [event]
    assert twice == [event, event]
