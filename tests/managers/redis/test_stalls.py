"""Jobs whose manager is lost, hesitates, or shares its queue."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from typing import Any

import pytest

from nuxt_queue.managers.bullmq import Stalling
from nuxt_queue.managers.bullmq.queue import BullMQQueue
from nuxt_queue.services.context import JobContext
from tests.managers.redis.conftest import QUICK, WAIT_S, Fleet, echo, ended, said


def test_the_times_say_what_the_readme_says() -> None:
    """Faults 60: back within 25 s; BullMQ's own are 30 and 30, and 75 s were measured."""
    times = Stalling()

    assert (times.lock_s, times.stalled_s) == (10, 5)
    assert times.lock_s + 2 * times.stalled_s < 25


async def test_a_job_whose_manager_is_killed_runs_again_and_that_counts(fleet: Fleet) -> None:
    """Faults 60; its soak does it 20 times with the times of production."""
    manager, other = fleet.manager(), await fleet.process()
    job_id = await manager.enqueue("q", "a", {"do": "work", "s": 60}, {"attempts": 3})
    await fleet.until_begun(job_id)
    await other.kill()
    attempts: list[int] = []

    async def note(job: dict[str, Any], context: JobContext) -> Any:
        attempts.append(context.scope.attempt)
        return job["attemptsMade"]

    await manager.register_worker("q", "a", note)

    job = await ended(manager, job_id)
    assert (job.state, job.returnvalue, job.attempts_made) == ("completed", 1, 2)
    assert attempts == [2]


async def test_a_job_that_kills_its_manager_each_time_fails_for_good(fleet: Fleet) -> None:
    """Faults 61: stalls count as attempts; the reason says what became of the last."""
    manager = fleet.manager()
    job_id = await manager.enqueue("q", "a", {"do": "die"}, {"attempts": 2})
    for attempt in (1, 2):
        other = await fleet.process()
        await fleet.until_begun(job_id, attempt)
        await other.ended()

    await manager.register_worker("q", "b", echo)  # whoever takes it, it is not run again

    job = await ended(manager, job_id)
    assert (job.state, job.attempts_made) == ("failed", 2)
    assert job.failed_reason == (
        "job stalled more than allowable limit: the process that ran it was lost in attempt 2"
    )
    assert (await fleet.runs())[job_id] == 2
    assert [(event.type, event.attempt) for event in fleet.events] == [
        ("step.started", 2),
        ("step.failed", 2),
    ]


async def test_a_job_of_one_attempt_is_not_lost_with_its_manager(fleet: Fleet) -> None:
    """E1, at least once: the first attempt that is lost is never the last."""
    manager, other = fleet.manager(), await fleet.process()
    job_id = await manager.enqueue("q", "a", {"do": "die"})
    await fleet.until_begun(job_id)
    await other.ended()
    await manager.register_worker("q", "a", echo)

    job = await ended(manager, job_id)
    assert (job.state, job.attempts_made, job.failed_reason) == ("completed", 2, None)


async def test_a_job_that_was_lost_too_often_can_be_tried_again_by_hand(fleet: Fleet) -> None:
    """Faults 61: what has been counted against it is forgiven."""
    manager = fleet.manager()
    job_id = await manager.enqueue("q", "a", {"do": "die"})
    for attempt in (1, 2):
        other = await fleet.process()
        await fleet.until_begun(job_id, attempt)
        await other.ended()
    await manager.register_worker("q", "a", echo)
    assert (await ended(manager, job_id)).state == "failed"

    await manager.retry_job("q", job_id)

    job = await ended(manager, job_id)
    assert (job.state, job.attempts_made, job.failed_reason) == ("completed", 3, None)


async def test_a_manager_that_was_stopped_too_long_learns_that_its_job_is_anothers(
    fleet: Fleet,
) -> None:
    """Faults 63: the late result is refused, and its handler does not go on."""
    late, manager = await fleet.process(), fleet.manager()
    job_id = await manager.enqueue("q", "a", {"do": "work", "s": 30}, {"attempts": 2})
    await fleet.until_begun(job_id)
    late.signal(signal.SIGSTOP)
    await manager.register_worker("q", "a", echo)
    job = await ended(manager, job_id)

    late.signal(signal.SIGCONT)

    assert job.returnvalue == {"do": "work", "s": 30}
    await late.says(f"job {job_id} of queue q is not this manager's any more")
    after = await manager.get_job("q", job_id)
    assert after is not None
    assert after.to_wire() == job.to_wire()


async def test_a_result_that_comes_too_late_is_refused(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """Faults 63: also when nobody noticed before that the lock was lost."""
    manager = fleet.manager(Stalling())  # which does not look at its locks so soon
    locks = f"{fleet.prefix}:q"

    async def robbed(job: dict[str, Any], _context: JobContext) -> str:
        await fleet.asking.set(f"{locks}:{job['id']}:lock", "another's")
        return "late"

    await manager.register_worker("q", "a", robbed)
    job_id = await manager.enqueue("q", "a")
    await said(caplog, "ended too late, its lock was lost")

    job = await manager.get_job("q", job_id)
    assert job is not None
    assert (job.state, job.returnvalue, job.failed_reason) == ("active", None, None)


async def test_a_job_that_has_just_been_recorded_is_not_called_anothers(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lock is gone because it has ended; that the answer is still under way changes nothing."""
    manager, complete = fleet.manager(), BullMQQueue.complete

    async def answers_late(queue: BullMQQueue, *args: Any) -> None:
        await complete(queue, *args)
        await asyncio.sleep(QUICK.lock_s / 2)  # in which the locks are looked at

    monkeypatch.setattr(BullMQQueue, "complete", answers_late)
    await manager.register_worker("q", "a", echo)

    assert (await ended(manager, await manager.enqueue("q", "a", 1))).returnvalue == 1
    await manager.close_all()

    assert "another worker's" not in caplog.text
    assert "too late" not in caplog.text


async def test_a_handler_that_blocks_the_loop_keeps_its_lock_and_is_warned_about(
    fleet: Fleet,
) -> None:
    """Faults 65: 0 duplicates, although the loop stands still for three locks."""
    blocked, manager = await fleet.process(), fleet.manager()
    job_id = await manager.enqueue("q", "a", {"do": "block", "s": 3 * QUICK.lock_s})
    await fleet.until_begun(job_id)
    await manager.register_worker("q", "b", echo)  # it looks for stalled jobs, and would take it

    said = await blocked.says("the event loop of this process has not turned")

    assert "the locks of its 1 jobs are kept" in said
    assert (await ended(manager, job_id)).state == "completed"
    assert await fleet.runs() == {job_id: 1}


async def test_two_managers_share_a_queue_and_no_job_runs_twice(fleet: Fleet) -> None:
    """Faults 68: each has its own concurrency, so the queue has their sum."""
    done: Counter[int] = Counter()
    running, most = 0, 0

    async def work(job: dict[str, Any], _context: JobContext) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        done[job["data"]] += 1
        await asyncio.sleep(0.005)
        running -= 1
        return 2 * int(job["data"])

    managers = [fleet.manager(), fleet.manager()]
    ids = [await managers[n % 2].enqueue("q", "a", n) for n in range(100)]
    for manager in managers:
        await manager.register_worker("q", "a", work, {"concurrency": 3})

    jobs = [await ended(managers[0], job_id) for job_id in ids]
    assert [job.returnvalue for job in jobs] == [2 * n for n in range(100)]
    assert done == Counter(range(100))
    assert most <= 6


async def test_a_manager_that_closes_gives_its_jobs_to_the_others_at_once(fleet: Fleet) -> None:
    """Faults 53: without a used attempt, and without waiting for the lock to run out."""
    leaving, staying = fleet.manager(Stalling()), fleet.manager(Stalling())
    begun = asyncio.Event()

    async def slow(_job: dict[str, Any], _context: JobContext) -> None:
        begun.set()
        await asyncio.Event().wait()

    await leaving.register_worker("q", "a", slow)
    job_id = await leaving.enqueue("q", "a", "x")
    async with asyncio.timeout(WAIT_S):
        await begun.wait()
    await leaving.close_all(grace_s=0)
    started = time.monotonic()
    await staying.register_worker("q", "a", echo)

    job = await ended(staying, job_id, Stalling().lock_s / 2)
    assert time.monotonic() - started < Stalling().lock_s  # a lock that ran out would take longer
    assert (job.returnvalue, job.attempts_made) == ("x", 1)
