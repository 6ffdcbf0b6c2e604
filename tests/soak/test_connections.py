"""A thousand calls at once, two hundred jobs at once, two hundred queues: no failure is ours."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.backends import Backend, open_backend
from nuxt_queue.config import RedisConfig
from nuxt_queue.managers import WorkerManager
from nuxt_queue.managers.workers import child_processes
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import EventBus
from tests.managers.redis.test_connections import Census
from tests.redis_server import PrivateRedis
from tests.soak.fan_out import COUNTS, STEPS

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]
MOST = 50


@pytest.fixture
def redis() -> Iterator[PrivateRedis]:
    """A server that keeps what it has acknowledged."""
    made = PrivateRedis(appendonly=True).start()
    yield made
    made.stop()


@pytest.fixture
async def site(redis: PrivateRedis) -> AsyncIterator[tuple[Backend, WorkerManager]]:
    """Everything that an app has on Redis."""
    settings = RedisConfig.check({"url": redis.url}, "redis")
    async with open_backend("redis", Path(), settings) as kept:
        contexts = ContextService(kept.state, EventBus(kept.events))
        async with kept.manager(contexts, child_processes) as manager:
            yield kept, manager


async def ended(manager: WorkerManager, queue: str, most_s: float = 120) -> dict[str, int]:
    """Wait until nothing of a queue waits or runs; return its counts."""
    async with asyncio.timeout(most_s):
        while True:
            counts = await manager.get_job_counts(queue)
            if not counts["waiting"] + counts["active"] + counts["delayed"]:
                return counts
            await asyncio.sleep(0.05)


def report(what: str, started: float, census: Census) -> None:
    names = Counter[str]()
    for name, number in census.names.items():
        names[name if name == "nuxt-queue" else "a queue's"] += number
    print(
        f"\n{what}: {time.monotonic() - started:.2f} s, connections at most {census.most}"
        f" (CLIENT LIST: {dict(names)})"
    )


async def test_a_thousand_enqueues_at_once(
    redis: PrivateRedis, site: tuple[Backend, WorkerManager]
) -> None:
    _, manager = site
    started = time.monotonic()
    async with Census(redis) as census:
        ids = await asyncio.gather(*(manager.enqueue("q", "a", n) for n in range(1000)))
    report("1,000 enqueue at once, 0 failures", started, census)
    assert len(set(ids)) == (await manager.get_job_counts("q"))["waiting"] == 1000
    assert census.most <= MOST


async def test_two_hundred_jobs_at_once_that_call_state(
    redis: PrivateRedis, site: tuple[Backend, WorkerManager]
) -> None:
    kept, manager = site

    async def work(_job: dict[str, Any], _context: JobContext) -> None:
        for _ in range(20):
            await kept.state.incr("", "n")

    started = time.monotonic()
    async with Census(redis) as census:
        for n in range(600):
            await manager.enqueue("q", "a", n)
        await manager.register_worker("q", "a", work, {"concurrency": 200})
        counts = await ended(manager, "q")
    report("600 jobs of 20 incr, 200 at once, 0 failures", started, census)
    assert (counts["completed"], await kept.state.get("", "n")) == (600, 12000)
    assert census.most <= MOST


async def test_two_hundred_queues_in_one_server(
    redis: PrivateRedis,
    site: tuple[Backend, WorkerManager],
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, manager = site
    queues = [f"q{n}" for n in range(200)]

    async def work(job: dict[str, Any], _context: JobContext) -> Any:
        return job["data"]

    started = time.monotonic()
    async with Census(redis) as census:
        for queue in queues:
            await manager.register_worker(queue, "a", work)
        registered = time.monotonic()
        for turn in range(3):
            await asyncio.gather(*(manager.enqueue(queue, "a", turn) for queue in queues))
            for queue in queues:
                await ended(manager, queue)
        ran = time.monotonic()
    print(f"\nregistering 200 queues: {registered - started:.2f} s")
    print(f"600 jobs: {ran - registered:.2f} s")
    report("200 queues in one server, 0 failures", started, census)
    counts = [await manager.get_job_counts(queue) for queue in queues]
    assert sum(each["completed"] for each in counts) == 600
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == []
    assert census.most <= MOST


@pytest.mark.parametrize("engine", ["file", "redis"])
async def test_a_fan_out_of_two_hundred_steps_ends_though_servers_are_killed(
    redis: PrivateRedis, tmp_path: Path, engine: str
) -> None:
    """Two of three servers are killed three times each while all steps run."""
    started = time.monotonic()

    async def serve(role: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.soak.fan_out", engine, str(tmp_path), redis.url, role),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return process

    others = [await serve("serve") for _ in range(2)]
    first = await serve("start")
    assert first.stdout is not None
    try:
        async with asyncio.timeout(240), Census(redis) as census:
            await first.stdout.readline()
            for turn in range(6):
                await asyncio.sleep(0.5)
                others[turn % 2].kill()
                await others[turn % 2].communicate()
                others[turn % 2] = await serve("serve")
            told = json.loads(await first.stdout.readline())
    finally:
        for process in (first, *others):
            process.kill()
            await process.communicate()
    report(f"a fan-out of 200 steps on {engine}, 6 kills, {told}", started, census)
    assert (told["status"], told["completed"]) == ("completed", STEPS + 1)
    assert told["n"] >= STEPS * COUNTS  # what ran twice has counted twice
    assert census.most <= 3 * MOST
