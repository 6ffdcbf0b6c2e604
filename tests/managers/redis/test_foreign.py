"""What other producers may have put into Redis, and queues that others have set up."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
import redis as raw

from nuxt_queue.errors import QueueError
from nuxt_queue.managers.queue_events import QueueEvent
from nuxt_queue.services.context import JobContext
from tests.managers.redis.conftest import WAIT_S, Fleet, echo, ended
from tests.redis_server import PrivateRedis

DEEP = "[" * 3000 + "1" + "]" * 3000
UNREADABLE: dict[str, dict[str, Any]] = {
    "too deep": {"data": DEEP},
    "no JSON": {"data": "{"},
    "no options": {"opts": "[1"},
    "no UTF-8": {"name": b"a", "data": b'"\xff\xfe"'},
    "no time": {"timestamp": "yesterday"},
}


async def put(fleet: Fleet, job_id: str, **fields: Any) -> None:
    """Write a job into queue `q` as it may be in Redis."""
    base = f"{fleet.prefix}:q:"
    whole = {"name": "a", "data": "{}", "opts": "{}", "timestamp": "1"} | fields
    client = raw.asyncio.Redis.from_url(fleet.url)
    async with client:
        await client.hset(f"{base}{job_id}", mapping=whole)
        await client.lpush(f"{base}wait", job_id)
        await client.zadd(f"{base}marker", {"0": 0})


@pytest.mark.parametrize("what", UNREADABLE)
async def test_a_job_that_cannot_be_read_fails_and_the_queue_goes_on(
    fleet: Fleet, what: str
) -> None:
    """Faults 61: left active it would stall for ever, on one manager after the other."""
    manager = fleet.manager()
    await manager.register_worker("q", "a", echo)
    await put(fleet, "bad", **UNREADABLE[what])

    good = await manager.enqueue("q", "a", "fine")

    assert (await ended(manager, good)).returnvalue == "fine"
    bad = await ended(manager, "bad")
    assert bad.state == "failed"
    assert bad.failed_reason


async def test_a_job_that_cannot_be_read_can_be_looked_at_and_removed(fleet: Fleet) -> None:
    manager = fleet.manager()
    await put(fleet, "bad", data=DEEP)
    good = await manager.enqueue("q", "a", 1)

    found = {job.id: job.failed_reason or "" for job in await manager.get_jobs("q")}

    assert set(found) == {"bad", good}
    assert found["bad"].startswith("the job in Redis cannot be read: ")
    assert await manager.remove_job("q", "bad")
    assert [job.id for job in await manager.get_jobs("q")] == [good]


async def test_a_time_with_fractions_is_a_time(fleet: Fleet) -> None:
    """As of `performance.timeOrigin + performance.now()`."""
    manager = fleet.manager()
    await manager.register_worker("q", "a", echo)
    await put(fleet, "j", timestamp="1795590748131.5", data="7")

    job = await ended(manager, "j")

    assert (job.state, job.returnvalue, job.timestamp) == ("completed", 7, 1795590748131)


@pytest.mark.parametrize("keep", [-1, {"count": -1}, {"age": 3600, "count": 5, "limit": 10}])
async def test_what_bullmqs_scripts_do_by_themselves_is_not_said_to_be_left_out(
    fleet: Fleet, keep: Any, caplog: pytest.LogCaptureFixture
) -> None:
    manager = fleet.manager()
    await manager.register_worker("q", "a", echo)
    await put(fleet, "j", opts=json.dumps({"removeOnComplete": keep, "delay": 0.5}))

    assert (await ended(manager, "j")).state == "completed"

    assert "left out" not in caplog.text


async def test_the_global_concurrency_of_a_queue_is_kept_and_used(fleet: Fleet) -> None:
    """Faults 68: as `queue.setGlobalConcurrency` sets it, over two managers."""
    running, most = 0, 0

    async def note(_job: dict[str, Any], _context: JobContext) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1

    await fleet.asking.hset(f"{fleet.prefix}:q:meta", "concurrency", "2")
    managers = [fleet.manager(), fleet.manager()]
    for manager in managers:
        await manager.register_worker("q", "a", note, {"concurrency": 4})

    ids = [await managers[0].enqueue("q", "a", n) for n in range(30)]
    async with asyncio.timeout(WAIT_S):  # a look at each slot's own time would take 75 s
        for job_id in ids:
            assert (await ended(managers[0], job_id)).state == "completed"

    assert most == 2


async def test_every_job_is_on_one_page_and_no_job_on_two(fleet: Fleet) -> None:
    manager = fleet.manager()
    ids = {await manager.enqueue("q", "a", n, {"priority": 10 - n}) for n in range(6)}

    pages = [await manager.get_jobs("q", None, 2, offset) for offset in (0, 2, 4, 6)]

    assert [len(page) for page in pages] == [2, 2, 2, 0]
    assert {job.id for page in pages for job in page} == ids


async def test_events_that_nobody_can_read_do_not_end_the_listening(fleet: Fleet) -> None:
    manager = fleet.manager()
    heard: asyncio.Queue[QueueEvent] = asyncio.Queue()
    manager.on("q", "completed", heard.put_nowait)
    await manager.get_job_counts("q")  # from here on nothing is missed
    stream = f"{fleet.prefix}:q:events"
    for returned in ("not json", DEEP, "7"):
        fields = {"event": "completed", "jobId": "z", "returnvalue": returned}
        await fleet.asking.xadd(stream, fields)

    async with asyncio.timeout(WAIT_S):
        values = [(await heard.get()).returnvalue for _ in range(3)]

    assert values == ["not json", None, 7]


async def test_a_manager_with_a_listener_closes_while_redis_is_away(redis: PrivateRedis) -> None:
    """Faults 53 and 59."""
    away = Fleet(redis.url)
    redis.kill()
    manager = away.manager()
    manager.on("q", "completed", print)
    await manager.register_worker("q", "a", echo)
    try:
        async with asyncio.timeout(WAIT_S):
            await manager.close_all(grace_s=0)
    finally:
        redis.start()
        await away.close()


async def test_lost_jobs_are_found_beside_workers_that_keep_others_from_looking(
    fleet: Fleet,
) -> None:
    """Faults 60: a worker of Node's looks every 30 s, and holds a key so long."""
    key = f"{fleet.prefix}:q:stalled-check"
    await fleet.asking.set(key, "1", px=60_000)
    manager = fleet.manager()
    job_id = await manager.enqueue("q", "a", {"do": "work", "s": 600}, {"attempts": 2})
    other = await fleet.process()
    await fleet.until_begun(job_id)
    await other.kill()

    await manager.register_worker("q", "a", echo)

    assert (await ended(manager, job_id)).attempts_made == 2
    assert await fleet.asking.exists(key)


async def test_a_queue_with_a_foreign_key_does_not_keep_the_others_from_being_looked_after(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """Faults 66: and it is said once."""
    manager = fleet.manager()
    job_id = await manager.enqueue("q", "a", {"do": "work", "s": 600}, {"attempts": 2})
    other = await fleet.process()
    await fleet.until_begun(job_id)
    await other.kill()
    await fleet.asking.set(f"{fleet.prefix}:odd:active", "x")

    for queue in ("odd", "q", "another"):
        await manager.register_worker(queue, "a", echo)

    assert (await ended(manager, job_id)).attempts_made == 2
    about = [text for text in caplog.messages if "queue odd are not looked after" in text]
    assert len(about) == 1
    assert "something else is stored under one of our keys" in about[0]


async def test_keys_of_bullmqs_own_are_no_jobs(fleet: Fleet) -> None:
    manager = fleet.manager()
    await manager.enqueue("q", "a", 1)
    await manager.pause("q")

    for job_id in ("meta", "events", "wait", "a:b"):
        assert await manager.get_job("q", job_id) is None
        assert not await manager.remove_job("q", job_id)
        with pytest.raises(QueueError, match=f'has no job "{job_id}"'):
            await manager.retry_job("q", job_id)

    assert await manager.is_paused("q")


class Failing(logging.Handler):
    """A handler of the log that cannot write."""

    def emit(self, _record: logging.LogRecord) -> None:
        raise RuntimeError("sink")


async def test_a_log_that_fails_does_not_end_a_queue(redis: PrivateRedis) -> None:
    """Faults 56 and 62."""
    shaky, handler = Fleet(redis.url), Failing()
    manager = shaky.manager()
    await manager.register_worker("q", "a", echo)
    logging.getLogger("nuxt_queue").addHandler(handler)
    try:
        redis.kill()
        await asyncio.sleep(0.5)  # so that it is missed
        redis.start()
        job_id = await manager.enqueue("q", "a", 1)
        assert (await ended(manager, job_id)).returnvalue == 1
    finally:
        logging.getLogger("nuxt_queue").removeHandler(handler)
        await shaky.close()
