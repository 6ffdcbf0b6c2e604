"""Upkeep: retry and removal by hand, jobs that repeat, limits on how many start."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuxt_queue.errors import QueueError
from nuxt_queue.services.context import JobContext
from tests.contract.conftest import WAIT_S, Bench


async def echo(job: dict[str, Any], _context: JobContext) -> Any:
    return job["data"]


class FailsOnce:
    """A handler that fails until it has been mended."""

    def __init__(self) -> None:
        self.mended = False
        self.attempts: list[int] = []

    async def __call__(self, job: dict[str, Any], context: JobContext) -> str:
        self.attempts.append(context.scope.attempt)
        if not self.mended:
            raise ValueError("bad")
        return f"mended {job['data']}"


async def test_a_failed_job_can_be_retried_by_hand(bench: Bench) -> None:
    handler = FailsOnce()
    await bench.manager.register_worker("q", "a", handler)
    job = await bench.run("q", "a", 1, attempts=2)
    assert (job.state, job.attempts_made) == ("failed", 2)

    handler.mended = True
    await bench.manager.retry_job("q", job.id)
    again = await bench.until_state("q", job.id, "completed")

    assert (again.returnvalue, again.failed_reason) == ("mended 1", None)
    assert (again.attempts_made, handler.attempts) == (3, [1, 2, 3])


async def test_a_retried_job_that_fails_again_has_failed_for_good(bench: Bench) -> None:
    handler = FailsOnce()
    await bench.manager.register_worker("q", "a", handler)
    job = await bench.run("q", "a", 1, attempts=1)

    await bench.manager.retry_job("q", job.id)
    await bench.until(lambda: len(handler.attempts) == 2)
    again = await bench.until_state("q", job.id, "failed")

    assert again.attempts_made == 2
    assert (await bench.manager.get_job_counts("q"))["failed"] == 1


async def test_only_a_failed_job_can_be_retried(bench: Bench) -> None:
    await bench.manager.register_worker("q", "a", echo)
    done = await bench.run("q", "a")

    with pytest.raises(QueueError, match=f'job "{done.id}" is completed; only a failed job'):
        await bench.manager.retry_job("q", done.id)
    with pytest.raises(QueueError, match='queue "q" has no job "nobody"'):
        await bench.manager.retry_job("q", "nobody")


async def test_a_job_that_does_not_run_can_be_removed(bench: Bench) -> None:
    await bench.manager.register_worker("q", "a", echo)
    done, failed = await bench.run("q", "a"), await bench.run("q", "unknown")
    delayed = await bench.manager.enqueue("q", "a", None, {"delay": 600_000})
    await bench.manager.pause("q")
    waiting = await bench.manager.enqueue("q", "a", None)

    for job_id in (done.id, failed.id, delayed, waiting):
        assert await bench.manager.remove_job("q", job_id) is True
        assert await bench.manager.get_job("q", job_id) is None
        assert await bench.manager.remove_job("q", job_id) is False

    assert set((await bench.manager.get_job_counts("q")).values()) == {0}
    await bench.manager.resume("q")
    assert (await bench.run("q", "a", "goes on")).returnvalue == "goes on"
    assert len(await bench.manager.get_jobs("q")) == 1


async def test_a_job_that_runs_cannot_be_removed(bench: Bench) -> None:
    running, go = asyncio.Event(), asyncio.Event()

    async def slow(_job: dict[str, Any], _context: JobContext) -> None:
        running.set()
        await go.wait()

    await bench.manager.register_worker("q", "a", slow)
    job_id = await bench.manager.enqueue("q", "a")
    async with asyncio.timeout(WAIT_S):
        await running.wait()

    with pytest.raises(QueueError, match="runs; let it end"):
        await bench.manager.remove_job("q", job_id)

    go.set()
    assert (await bench.ended("q", job_id)).state == "completed"


async def test_a_repeated_job_comes_as_often_as_it_may(bench: Bench) -> None:
    """Faults 78: never early; the times are multiples of `every`, and each is a job."""
    started: list[float] = []

    async def note(job: dict[str, Any], _context: JobContext) -> Any:
        started.append(bench.now_ms())
        return job["data"]

    await bench.manager.register_worker("q", "tick", note)
    opts = {"repeat": {"every": 200, "limit": 3}}
    first = await bench.manager.enqueue("q", "tick", "tock", opts)

    for n in range(1, 4):
        await bench.pass_time(200)
        await bench.until(lambda n=n: len(started) == n)  # type: ignore[misc]  # a default binds the loop's value
    await bench.ended("q", first)
    await bench.pass_time(500)

    async def all_completed() -> bool:
        return (await bench.manager.get_job_counts("q"))["completed"] == 3

    await bench.until(all_completed)
    jobs = await bench.manager.get_jobs("q")
    assert [job.returnvalue for job in jobs] == ["tock"] * 3
    assert len({job.id for job in jobs}) == 3
    assert len(started) == 3
    for job, at in zip(jobs, started, strict=True):
        due = job.timestamp + job.opts.delay_ms
        assert due % 200 == 0
        assert at >= due - 1
    assert await bench.manager.get_scheduled_jobs("q") == []


async def test_a_repeated_job_is_planned_once_however_often_it_is_asked_for(bench: Bench) -> None:
    cron = {"repeat": {"cron": "0 7 * * 1-5", "tz": "Europe/Vienna"}}

    ids = {await bench.manager.enqueue("q", "report", 1, cron) for _ in range(3)}
    other = await bench.manager.enqueue("q", "other", 1, cron)

    assert len(ids) == 1
    planned = await bench.manager.get_scheduled_jobs("q")
    assert {job.id for job in planned} == ids | {other}
    assert {job.state for job in planned} == {"delayed"}
    assert all(job.repeat_key for job in planned)


async def test_a_time_of_a_repeated_job_that_is_tried_again_plans_no_further_time(
    bench: Bench,
) -> None:
    """Faults 78: as often as it may come, however often an attempt fails."""
    times: set[str] = set()
    calls = 0

    async def tick(job: dict[str, Any], _context: JobContext) -> None:
        nonlocal calls
        calls += 1
        times.add(job["id"])
        if job["attemptsMade"] == 0:
            raise ValueError("once")

    opts = {"repeat": {"every": 50, "limit": 3}, "attempts": 2, "backoff": 120}
    await bench.manager.register_worker("q", "tick", tick)
    await bench.manager.enqueue("q", "tick", None, opts)

    async def pass_until_all_ran() -> None:
        while calls < 6:
            await bench.pass_time(50)

    async with asyncio.timeout(WAIT_S):
        await pass_until_all_ran()
    for _ in range(6):
        await bench.pass_time(50)

    assert (len(times), calls) == (3, 6)
    assert await bench.manager.get_scheduled_jobs("q") == []


async def test_a_repeated_job_can_be_stopped(bench: Bench) -> None:
    await bench.manager.register_worker("q", "tick", echo)
    await bench.manager.enqueue("q", "tick", None, {"repeat": {"every": 100}})
    async with asyncio.timeout(WAIT_S):
        while not (await bench.manager.get_job_counts("q"))["completed"]:
            await bench.pass_time(50)
    async with asyncio.timeout(WAIT_S):
        # For a moment there is none: one time has been taken, and the next is not planned yet.
        while not (planned := await bench.manager.get_scheduled_jobs("q")):
            await bench.pass_time(1)
    key = planned[0].repeat_key
    assert key is not None

    await bench.until(lambda: bench.manager.remove_scheduled_job("q", key))

    assert await bench.manager.remove_scheduled_job("q", key) is False
    assert await bench.manager.get_scheduled_jobs("q") == []


async def test_a_limiter_lets_only_so_many_jobs_start_in_a_time(bench: Bench) -> None:
    started: list[float] = []

    async def note(_job: dict[str, Any], _context: JobContext) -> None:
        started.append(bench.now_ms())

    limited = {"limiter": {"max": 2, "duration": 300}, "concurrency": 10}
    await bench.manager.register_worker("q", "a", note, limited)
    for n in range(5):
        await bench.manager.enqueue("q", "a", n)

    async with asyncio.timeout(WAIT_S):
        while len(started) < 5:
            await bench.pass_time(50)

    gaps = [later - earlier for earlier, later in zip(started, started[2:], strict=False)]
    # The window opens when a job is taken, its handler begins a little later.
    assert all(gap >= 150 for gap in gaps), started
