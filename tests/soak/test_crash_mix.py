"""S1 of the faults: 10,000 jobs, each tenth of which crashes, on each engine."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from nuxt_queue.managers import MemoryWorkerManager, WorkerManager
from nuxt_queue.managers.bullmq import BullMQWorkerManager
from nuxt_queue.managers.file import FileWorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.event_stream import MemoryEventStream
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.redis import RedisServer
from nuxt_queue.services.sqlite import Database
from nuxt_queue.services.state import MemoryStateStore
from tests.redis_server import PrivateRedis
from tests.soak.crash_mix import ATTEMPTS, WAYS, check, footprint, run_mix

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3_000)]

Opening = Callable[[Path], AbstractAsyncContextManager[WorkerManager]]


def contexts() -> ContextService:
    """Return what answers the jobs: short timelines, so that memory tells of leaks only."""
    return ContextService(MemoryStateStore(), EventBus(MemoryEventStream(max_runs=100)))


@asynccontextmanager
async def in_memory(_folder: Path) -> AsyncIterator[WorkerManager]:
    """Open a manager in memory."""
    async with MemoryWorkerManager(contexts()) as manager:
        yield manager


@asynccontextmanager
async def in_a_file(folder: Path) -> AsyncIterator[WorkerManager]:
    """Open a manager in a SQLite file."""
    async with Database(folder) as database, FileWorkerManager(contexts(), database) as manager:
        yield manager


@asynccontextmanager
async def on_redis(_folder: Path) -> AsyncIterator[WorkerManager]:
    """Open a manager on a Redis of its own, which writes what it acknowledges."""
    redis = PrivateRedis(appendonly=True).start()
    try:
        server = RedisServer(redis.url)
        async with BullMQWorkerManager(contexts(), server, prefix="soak") as manager:
            yield manager
    finally:
        redis.stop()


@pytest.mark.parametrize("opening", [in_memory, in_a_file, on_redis])
async def test_ten_thousand_jobs_of_which_a_tenth_crashes_are_all_accounted_for(
    opening: Opening, tmp_path: Path
) -> None:
    """S1 and faults 20: and nothing of them is left."""
    async with opening(tmp_path / "first") as manager:
        await run_mix(manager, 1_000)
        before = footprint()
    started = time.perf_counter()
    async with opening(tmp_path / "second") as manager:
        account = await run_mix(manager, 10_000)
        after = footprint()
        counts = await manager.get_job_counts("mix")
    seconds = time.perf_counter() - started
    check(account, 10_000)
    failed = [reason or "" for reason in account.reasons.values()]
    ways = {way: sum(r.startswith(said) for r in failed) for way, said in WAYS.items()}
    print(
        f"\n{opening.__name__}: 10,000 jobs in {seconds:.0f} s:"
        f" {len(account.results)} completed at once,"
        f"\n  {len(failed)} failed after {ATTEMPTS}: {ways}"
        f"\n  descriptors {before[0]} -> {after[0]}, children {before[1]} -> {after[1]},"
        f" resident {before[2]} -> {after[2]} MiB"
    )
    assert set(counts.values()) == {0}
    assert after[0] - before[0] <= 2  # a pool of connections may hold one more
    assert after[1] == before[1]
    assert after[2] - before[2] < 20
