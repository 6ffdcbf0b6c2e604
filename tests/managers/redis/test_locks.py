"""Whose a job is: what its lock says, and what becomes of it when nobody holds it."""

from __future__ import annotations

import asyncio
from typing import Any

from nuxt_queue.managers.bullmq.queue import BullMQQueue
from nuxt_queue.services.context import JobContext
from tests.managers.redis.conftest import WAIT_S, Fleet

LOCK_MS = 60_000


def queue_of(fleet: Fleet) -> BullMQQueue:
    return BullMQQueue("q", fleet.asking, fleet.prefix, LOCK_MS)


def lock_of(fleet: Fleet, job_id: str) -> str:
    return f"{fleet.prefix}:q:{job_id}:lock"


async def test_a_lock_that_ran_out_is_taken_again_unless_another_has_it(fleet: Fleet) -> None:
    """Redis was away for longer than the lock holds, and nobody has taken the job meanwhile."""
    queue = queue_of(fleet)
    job_id = await fleet.manager().enqueue("q", "a")
    assert await queue.take("mine") is not None
    lock = lock_of(fleet, job_id)

    await fleet.asking.delete(lock)
    lost = await queue.hold([(job_id, "mine")])
    after_it_ran_out = await fleet.asking.get(lock)
    await fleet.asking.set(lock, "another's")
    robbed = await queue.hold([(job_id, "mine")])
    at_last = await fleet.asking.get(lock)

    assert (lost, after_it_ran_out) == ([], "mine")
    assert (robbed, at_last) == ([job_id], "another's")


async def test_a_handler_whose_job_is_anothers_is_cancelled(fleet: Fleet) -> None:
    manager = fleet.manager()
    cancelled = asyncio.Event()

    async def robbed(job: dict[str, Any], _context: JobContext) -> None:
        await fleet.asking.set(lock_of(fleet, job["id"]), "another's")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    await manager.register_worker("q", "a", robbed)
    await manager.enqueue("q", "a")
    async with asyncio.timeout(WAIT_S):
        await cancelled.wait()


async def test_a_job_that_was_lost_too_often_says_so_to_workers_that_are_not_ours(
    fleet: Fleet,
) -> None:
    """Node's workers fail a job that has such a field instead of running it."""
    queue = queue_of(fleet)
    job_id = await fleet.manager().enqueue("q", "a")
    said = []
    for attempt in (1, 2):
        assert await queue.take(f"token {attempt}") is not None
        await fleet.asking.delete(lock_of(fleet, job_id))
        # The first look notes it, the next one moves it.
        while not await queue.recover(1):  # noqa: ASYNC110 a look is what there is
            await asyncio.sleep(0.002)
        said.append(await fleet.asking.hget(f"{fleet.prefix}:q:{job_id}", "defa"))

    assert said[0] is None
    assert said[1].startswith("job stalled more than allowable limit")


async def test_a_job_that_is_put_back_for_later_has_used_no_attempt(fleet: Fleet) -> None:
    queue = queue_of(fleet)
    job_id = await fleet.manager().enqueue("q", "a")
    taken = await queue.take("mine")
    assert taken is not None

    await queue.put_back(taken, 60_000)

    job = await queue.read(job_id)
    assert job is not None
    assert (job.state, job.attempts_made) == ("delayed", 0)
