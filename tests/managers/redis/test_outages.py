"""Redis goes away and comes back: nothing is lost, and little runs twice."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from typing import Any

import pytest
from redis import exceptions

from nuxt_queue.managers.bullmq import BullMQWorkerManager
from nuxt_queue.managers.bullmq.queue import BullMQQueue
from nuxt_queue.services.context import JobContext
from tests.managers.redis.conftest import QUICK, Fleet, echo, ended, said
from tests.redis_server import PrivateRedis


class Counting:
    """A handler that takes its time and notes how often each job ran."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.runs: Counter[Any] = Counter()
        self.began = asyncio.Event()

    async def __call__(self, job: dict[str, Any], _context: JobContext) -> Any:
        self.runs[job["data"]] += 1
        self.began.set()
        await asyncio.sleep(self.seconds)
        return job["data"]


async def test_a_worker_waits_for_redis_and_serves_when_it_is_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Faults 59: it says once what it waits for, and needs no second start."""
    server = PrivateRedis()  # not started
    fleet = Fleet(server.url)
    manager = fleet.manager()
    try:
        await manager.register_worker("q", "a", echo)
        await said(caplog, "queue q waits for Redis")
        server.start()

        job = await ended(manager, await manager.enqueue("q", "a", 1))

        assert job.returnvalue == 1
        assert caplog.text.count("queue q waits for Redis") == 1
    finally:
        await fleet.close()
        server.stop()


async def test_a_killed_redis_loses_no_job_and_few_run_twice(
    redis: PrivateRedis, shaky: Fleet
) -> None:
    """Faults 62: with its append-only file; runs <= jobs + concurrency.

    A job that had ended while Redis was away may be found stalled before its end is recorded: then
    it runs again, and that run counts.
    """
    manager, work = shaky.manager(), Counting(0.05)
    ids = [await manager.enqueue("q", "a", n) for n in range(60)]
    await manager.register_worker("q", "a", work, {"concurrency": 4})
    await work.began.wait()

    redis.kill()
    await asyncio.sleep(1.5 * QUICK.lock_s)  # so that the locks run out meanwhile
    redis.start()

    jobs = [await ended(manager, job_id) for job_id in ids]
    assert [job.returnvalue for job in jobs] == list(range(60))
    assert sum(job.attempts_made - 1 for job in jobs) <= 4
    assert work.runs.total() <= 60 + 4


async def test_a_frozen_redis_loses_no_job_and_few_run_twice(
    redis: PrivateRedis, shaky: Fleet
) -> None:
    """Faults 63: a partition longer than the lock; two managers."""
    work = Counting(0.03)
    managers = [shaky.manager(), shaky.manager()]
    ids = [await managers[0].enqueue("q", "a", n, {"attempts": 2}) for n in range(60)]
    for manager in managers:
        await manager.register_worker("q", "a", work, {"concurrency": 3})
    await work.began.wait()

    redis.freeze()
    await asyncio.sleep(2 * QUICK.lock_s)
    redis.thaw()

    jobs = [await ended(managers[0], job_id) for job_id in ids]
    assert [job.returnvalue for job in jobs] == list(range(60))
    assert work.runs.total() <= 60 + 6


async def test_connections_that_are_cut_lose_no_job(redis: PrivateRedis, shaky: Fleet) -> None:
    """Faults 63: CLIENT KILL, again and again, of every connection there is."""
    manager, work = shaky.manager(), Counting(0.01)
    ids = [await shaky.manager().enqueue("q", "a", n) for n in range(100)]
    await manager.register_worker("q", "a", work, {"concurrency": 4})
    await work.began.wait()

    for _ in range(10):
        redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await asyncio.sleep(0.03)

    jobs = [await ended(manager, job_id) for job_id in ids]
    assert [job.returnvalue for job in jobs] == list(range(100))
    assert {job.attempts_made for job in jobs} == {1}
    assert work.runs.total() == 100


async def test_a_result_that_cannot_be_recorded_is_not_the_handlers_failure(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults 64: it is recorded when Redis takes it, once."""
    manager = fleet.manager()
    complete, calls = BullMQQueue.complete, itertools.count(1)

    async def fails_twice(queue: BullMQQueue, *args: Any) -> None:
        if next(calls) < 3:
            raise exceptions.ConnectionError("cut")
        await complete(queue, *args)

    monkeypatch.setattr(BullMQQueue, "complete", fails_twice)
    runs: list[int] = []

    async def handler(_job: dict[str, Any], _context: JobContext) -> str:
        runs.append(1)
        return "kept"

    await manager.register_worker("q", "a", handler)

    job = await ended(manager, await manager.enqueue("q", "a", None, {"attempts": 3}))

    assert (job.state, job.returnvalue, job.attempts_made) == ("completed", "kept", 1)
    assert (job.failed_reason, job.stacktrace, runs) == (None, [], [1])


async def test_a_result_whose_answer_was_lost_is_recorded_once(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Faults 64: Redis did it and could not say so; asked again, it says that the lock is gone."""
    manager, complete, lost = fleet.manager(), BullMQQueue.complete, list[int]()

    async def loses_the_answer(queue: BullMQQueue, *args: Any) -> None:
        await complete(queue, *args)
        if not lost:
            lost.append(1)
            raise exceptions.TimeoutError("lost")

    monkeypatch.setattr(BullMQQueue, "complete", loses_the_answer)
    await manager.register_worker("q", "a", echo)

    job = await ended(manager, await manager.enqueue("q", "a", 1))
    await manager.close_all()

    assert (job.state, job.returnvalue, job.attempts_made) == ("completed", 1, 1)
    assert "too late" not in caplog.text


@pytest.mark.parametrize("lock_is_left", [True, False])
async def test_a_job_that_was_taken_by_a_lost_command_is_found_again(
    fleet: Fleet,
    monkeypatch: pytest.MonkeyPatch,
    lock_is_left: bool,  # noqa: FBT001 pytest hands it over
) -> None:
    """Faults 62 and 63: it does not stall, so no attempt of it is used up."""
    manager, take, lost = fleet.manager(), BullMQQueue.take, list[int]()

    async def loses_the_answer(queue: BullMQQueue, token: str) -> Any:
        taken = await take(queue, token)
        if taken is not None and not lost:
            lost.append(1)
            if not lock_is_left:
                await fleet.asking.delete(f"{fleet.prefix}:q:{taken.job.id}:lock")
            raise exceptions.TimeoutError("lost")
        return taken

    monkeypatch.setattr(BullMQQueue, "take", loses_the_answer)
    job_id = await manager.enqueue("q", "a", 1)
    await manager.register_worker("q", "a", echo)

    job = await ended(manager, job_id)

    assert (job.state, job.returnvalue, job.attempts_made) == ("completed", 1, 1)
    assert lost == [1]


async def test_waiting_for_redis_costs_next_to_nothing() -> None:
    """Faults 62: idle CPU below 5% while it is down, where others turn in a tight loop."""
    fleet = Fleet("redis://127.0.0.1:1/0")
    manager: BullMQWorkerManager = fleet.manager()
    try:
        for name in ("q", "r", "s"):
            await manager.register_worker(name, "a", echo)
        cpu, started = time.process_time(), time.monotonic()
        await asyncio.sleep(2)
        used = (time.process_time() - cpu) / (time.monotonic() - started)
    finally:
        await fleet.close()

    assert used < 0.05


async def test_a_job_that_cannot_be_read_fails_and_holds_up_nothing(fleet: Fleet) -> None:
    """Whoever wrote it did not write what BullMQ reads."""
    manager = fleet.manager()
    broken = await manager.enqueue("q", "a", 1)
    await fleet.asking.hset(f"{fleet.prefix}:q:{broken}", "data", "{broken")
    fine = await manager.enqueue("q", "a", 2)
    await manager.register_worker("q", "a", echo)

    assert (await ended(manager, fine)).state == "completed"
    counts = await manager.get_job_counts("q")
    assert (counts["failed"], counts["active"]) == (1, 0)
    reason = await fleet.asking.hget(f"{fleet.prefix}:q:{broken}", "failedReason")
    assert reason.startswith("the job in Redis cannot be read: ")
