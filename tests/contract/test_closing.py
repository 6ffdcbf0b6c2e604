"""Closing: what runs may finish, what cannot waits again, and nothing new starts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuxt_queue.errors import QueueError
from nuxt_queue.services.context import JobContext
from tests.contract.conftest import WAIT_S, Bench


class Slow:
    """A handler that waits to be let go."""

    def __init__(self) -> None:
        self.go, self.running = asyncio.Event(), asyncio.Event()
        self.cancelled = False

    async def __call__(self, _job: dict[str, Any], _context: JobContext) -> str:
        self.running.set()
        try:
            async with asyncio.timeout(WAIT_S):
                await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "done"


async def test_running_jobs_finish_within_the_grace_and_no_other_starts(bench: Bench) -> None:
    """Faults 53."""
    slow = Slow()

    async def finishing(job: dict[str, Any], context: JobContext) -> str:
        done = await slow(job, context)
        await asyncio.sleep(0.1)  # longer than no grace at all
        return done

    await bench.manager.register_worker("q", "a", finishing)
    first = await bench.manager.enqueue("q", "a", 1)
    second = await bench.manager.enqueue("q", "a", 2)
    async with asyncio.timeout(WAIT_S):
        await slow.running.wait()
    closing = asyncio.create_task(bench.manager.close_all(grace_s=WAIT_S))
    await asyncio.sleep(0)
    slow.go.set()
    await closing

    done = await bench.stored("q", first)
    waiting = await bench.stored("q", second)
    assert done is not None
    assert (done.state, done.returnvalue) == ("completed", "done")
    assert waiting is not None
    assert waiting.state == "waiting"


async def test_a_job_that_outlasts_the_grace_waits_again_without_a_used_attempt(
    bench: Bench,
) -> None:
    """Faults 53: killed and requeued; the step says neither retry nor failed."""
    slow = Slow()
    await bench.manager.register_worker("q", "a", slow)
    job_id = await bench.manager.enqueue("q", "a", 1, {"attempts": 1})
    async with asyncio.timeout(WAIT_S):
        await slow.running.wait()

    await bench.manager.close_all(grace_s=0)

    job = await bench.stored("q", job_id)
    assert job is not None
    assert (job.state, job.attempts_made, job.failed_reason) == ("waiting", 0, None)
    assert slow.cancelled
    assert [event.type for event in bench.events] == ["step.started"]


async def test_a_second_close_cuts_the_grace_of_the_first(bench: Bench) -> None:
    """Faults 54."""
    slow = Slow()
    await bench.manager.register_worker("q", "a", slow)
    await bench.manager.enqueue("q", "a", 1)
    async with asyncio.timeout(WAIT_S):
        await slow.running.wait()

    closing = asyncio.create_task(bench.manager.close_all(grace_s=600))
    await asyncio.sleep(0)
    async with asyncio.timeout(WAIT_S):
        await bench.manager.close_all(grace_s=0)
        await closing

    assert slow.cancelled


async def test_closing_is_idempotent_and_needs_no_worker(bench: Bench) -> None:
    """Faults 57: stop twice, stop before start."""
    await bench.manager.close_all(grace_s=1)
    await bench.manager.close_all(grace_s=1)


async def test_a_closed_manager_takes_nothing(bench: Bench) -> None:
    await bench.manager.close_all(grace_s=0)

    with pytest.raises(QueueError, match="manager is closed"):
        await bench.manager.enqueue("q", "a")
    with pytest.raises(QueueError, match="manager is closed"):
        await bench.manager.register_worker("q", "a", Slow())


async def test_the_next_step_is_accepted_while_the_manager_closes(bench: Bench) -> None:
    """A job that finishes within the grace may start another: it waits, and is not lost."""
    slow = Slow()

    async def chain(job: dict[str, Any], context: JobContext) -> str:
        await slow(job, context)
        return await bench.manager.enqueue("q", "next", 2)

    await bench.manager.register_worker("q", "a", chain)
    first = await bench.manager.enqueue("q", "a", 1)
    async with asyncio.timeout(WAIT_S):
        await slow.running.wait()
    closing = asyncio.create_task(bench.manager.close_all(grace_s=WAIT_S))
    await asyncio.sleep(0)
    slow.go.set()
    await closing

    done = await bench.stored("q", first)
    assert done is not None
    following = await bench.stored("q", done.returnvalue)
    assert following is not None
    assert following.state == "waiting"


async def test_a_manager_closes_at_the_end_of_its_block(bench: Bench) -> None:
    async with bench.manager as manager:
        await manager.enqueue("q", "a")

    with pytest.raises(QueueError, match="manager is closed"):
        await manager.enqueue("q", "a")
