"""What takes long on a real Redis: figures at the times of production, thousands of jobs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.managers.bullmq import BullMQWorkerManager, Stalling
from nuxt_queue.services.context import JobContext
from tests.managers.redis.conftest import Fleet, echo, ended
from tests.managers.redis.flow_site import MOMENTS
from tests.managers.redis.node import node_produces, node_works
from tests.managers.redis.test_flows import kill_and_rescue
from tests.redis_server import PrivateRedis

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1_200)]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def redis() -> Iterator[PrivateRedis]:
    """A server that keeps what it has acknowledged."""
    server = PrivateRedis(appendonly=True).start()
    yield server
    server.stop()


@pytest.fixture
async def fleet(redis: PrivateRedis) -> AsyncIterator[Fleet]:
    """Managers on it."""
    made = Fleet(redis.url)
    yield made
    await made.close()


class Counting:
    """A handler that takes about so many seconds and notes how often each job ran."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.runs: Counter[Any] = Counter()
        self._seconds = seconds

    async def __call__(self, job: dict[str, Any], _context: JobContext) -> Any:
        self.runs[job["data"]] += 1
        await asyncio.sleep(random.uniform(0.5, 1.5) * self._seconds)
        return job["data"]


async def enqueue_many(manager: BullMQWorkerManager, count: int, **opts: Any) -> list[str]:
    ids = []
    for start in range(0, count, 50):
        numbers = range(start, min(start + 50, count))
        ids += await asyncio.gather(*(manager.enqueue("q", "a", n, opts) for n in numbers))
    return ids


async def check_all(manager: BullMQWorkerManager, ids: list[str], wait_s: float) -> None:
    """Wait for the end of every job; each has completed with its own result."""
    for n, job_id in enumerate(ids):
        job = await ended(manager, job_id, wait_s)
        assert (job.state, job.returnvalue) == ("completed", n), job.to_wire()


async def test_twenty_killed_managers_lose_nothing_and_their_jobs_are_back_in_time(
    fleet: Fleet,
) -> None:
    """Faults 60: <= 25 s with the times of production, 20/20."""
    fleets = [Fleet(fleet.url) for _ in range(20)]
    took = []

    async def lose_and_find(each: Fleet) -> float:
        manager = each.manager(Stalling())
        job_id = await manager.enqueue("q", "a", {"do": "work", "s": 600}, {"attempts": 2})
        other = await each.process(Stalling())
        await each.until_begun(job_id)
        await other.kill()
        killed = time.monotonic()
        await manager.register_worker("q", "a", echo)
        assert (await ended(manager, job_id, 40)).attempts_made == 2
        return time.monotonic() - killed

    try:
        took = await asyncio.gather(*(lose_and_find(each) for each in fleets))
    finally:
        for each in fleets:
            await each.close()
    print(f"\n20 killed managers: back after {min(took):.1f} to {max(took):.1f} s")
    assert max(took) <= 25


async def test_a_worker_is_back_soon_after_redis(redis: PrivateRedis, fleet: Fleet) -> None:
    """Faults 59 and 62: ready <= 2 s after Redis is up."""
    manager, producer = fleet.manager(Stalling()), fleet.manager(Stalling())
    await manager.register_worker("q", "a", echo)
    took = []
    for n in range(10):
        redis.kill()
        await asyncio.sleep(random.uniform(1, 3))
        redis.start()
        up = time.monotonic()
        await ended(manager, await producer.enqueue("q", "a", n))
        took.append(time.monotonic() - up)
    print(f"\nRedis killed 10 times: first job done {min(took):.2f} to {max(took):.2f} s after it")
    assert max(took) <= 2


async def test_a_partition_of_eight_seconds_loses_nothing(
    redis: PrivateRedis, fleet: Fleet
) -> None:
    """Faults 63: 300/300, duplicates <= concurrency."""
    manager, work = fleet.manager(Stalling()), Counting()
    ids = await enqueue_many(manager, 300)
    await manager.register_worker("q", "a", work, {"concurrency": 10})
    await asyncio.sleep(0.1)
    redis.freeze()
    await asyncio.sleep(8)
    redis.thaw()
    await check_all(manager, ids, 60)
    print(f"\n8 s without Redis: 300 jobs, {work.runs.total()} runs")
    assert work.runs.total() <= 310


class Proxy:
    """Stands between a manager and Redis: everything takes its time, and may be held back.

    Attributes:
        url: Its own address.
        flows: Cleared while nothing gets through.
    """

    def __init__(self, port: int) -> None:
        self._to, self.flows = port, asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self.flows.set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def stop(self) -> None:
        """Listen no more, and end every connection."""
        self._server.close()
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, back]
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                await asyncio.sleep(random.uniform(0, 0.04))
                await self.flows.wait()
                sink.write(data)
                await sink.drain()
            sink.close()


async def test_a_slow_network_that_is_cut_for_eight_seconds_loses_nothing(
    redis: PrivateRedis, fleet: Fleet
) -> None:
    """Faults 63: up to 40 ms each way; what was sent before the cut arrives after it."""
    proxy, work, producer = Proxy(redis.port), Counting(0.03), fleet.manager(Stalling())
    await proxy.start()
    slow = Fleet(proxy.url)
    slow.prefix = fleet.prefix
    try:
        ids = await enqueue_many(producer, 300, attempts=2)
        for manager in (slow.manager(Stalling()), slow.manager(Stalling())):
            await manager.register_worker("q", "a", work, {"concurrency": 5})
        async with asyncio.timeout(60):
            while work.runs.total() < 50:  # noqa: ASYNC110 a handler has no event
                await asyncio.sleep(0.01)
        proxy.flows.clear()
        await asyncio.sleep(8)
        proxy.flows.set()
        await check_all(producer, ids, 90)
    finally:
        await slow.close()
        await proxy.stop()
    print(f"\n0 to 40 ms each way, cut for 8 s: 300 jobs, {work.runs.total()} runs")
    assert work.runs.total() <= 310


async def test_a_loop_that_is_blocked_for_forty_seconds_costs_no_second_run(fleet: Fleet) -> None:
    """Faults 65, with the times of production; another manager looks for lost jobs meanwhile."""
    manager = fleet.manager(Stalling())
    blocked = await fleet.process(Stalling())
    job_id = await manager.enqueue("q", "a", {"do": "block", "s": 40}, {"attempts": 3})
    await fleet.until_begun(job_id)
    await manager.register_worker("q", "other", echo)

    job = await ended(manager, job_id, 60)

    assert blocked is not None
    runs = await fleet.runs()
    print(f"\na loop blocked for 40 s: {job.state}, {runs[job_id]} run")
    assert (job.state, job.attempts_made, runs[job_id]) == ("completed", 1, 1)


async def test_five_thousand_jobs_survive_a_redis_that_dies_and_hangs(
    redis: PrivateRedis, fleet: Fleet
) -> None:
    """Faults S4: 5,000 completed, duplicates <= 5 x concurrency, recovery <= 25 s each."""
    managers, work = [fleet.manager(Stalling()), fleet.manager(Stalling())], Counting(0.03)
    ids = await enqueue_many(managers[0], 5_000, attempts=3)
    for manager in managers:
        await manager.register_worker("q", "a", work, {"concurrency": 5})
    for trouble in ("kill", "freeze", "kill", "freeze", "kill"):
        await asyncio.sleep(2)
        if trouble == "kill":
            redis.kill()
            await asyncio.sleep(1)
            redis.start()
        else:
            redis.freeze()
            await asyncio.sleep(8)
            redis.thaw()
        before, up = work.runs.total(), time.monotonic()
        async with asyncio.timeout(25):
            while work.runs.total() == before:  # noqa: ASYNC110 no event
                await asyncio.sleep(0.01)
        print(
            f"\n{trouble}: at {before} runs, going on after {time.monotonic() - up:.2f} s", end=""
        )
    await check_all(managers[0], ids, 120)
    print(f"\n5,000 jobs, {work.runs.total()} runs")
    assert work.runs.total() <= 5_000 + 5 * 10


async def test_managers_that_are_killed_again_and_again_lose_nothing(fleet: Fleet) -> None:
    """Faults S2: 2,000 jobs, a manager killed every 5 s; runs <= jobs + kills x concurrency."""
    stalling = Stalling(lock_s=4, stalled_s=1)
    manager = fleet.manager(stalling)
    ids = [
        await manager.enqueue("q", "a", {"do": "work", "s": 0.2, "n": n}, {"attempts": 30})
        for n in range(2_000)
    ]
    others, kills = [await fleet.process(stalling, 5), await fleet.process(stalling, 5)], 0
    while (await manager.get_job_counts("q"))["completed"] < 2_000:
        await asyncio.sleep(5)
        victim = kills % 2
        await others[victim].kill()
        others[victim] = await fleet.process(stalling, 5)
        kills += 1
    jobs = [await ended(manager, job_id, 30) for job_id in ids]
    runs = await fleet.runs()
    print(f"\n2,000 jobs, {kills} kills, {runs.total()} runs")
    assert [job.returnvalue["n"] for job in jobs] == list(range(2_000))
    assert runs.total() <= 2_000 + kills * 5


@pytest.mark.parametrize("moment", MOMENTS)
async def test_twenty_kills_at_a_moment_of_a_flow(redis: PrivateRedis, moment: str) -> None:
    """Faults 74, on Redis."""
    several = asyncio.Semaphore(4)

    async def one() -> dict[str, Any]:
        async with several:
            return await kill_and_rescue(redis.url, moment)

    runs = await asyncio.gather(*(one() for _ in range(20)))
    print(f"\n{moment}: 20 of 20 flows ended")
    assert all(each["second"] == 1 and each["first"] <= 2 for each in runs)


async def test_a_thousand_jobs_each_way_with_node(fleet: Fleet) -> None:
    """Faults 67."""
    other = Fleet(fleet.url)
    try:
        await node_produces(fleet, 1_000, wait_s=120)
        await node_works(other, 1_000, wait_s=120)
    finally:
        await other.close()
    print("\n1,000 jobs of Node's worked here, 1,000 of ours worked by Node: the same")


@pytest.mark.parametrize("version", ["bullmq==3.4.0", "bullmq<4"])
def test_the_contract_holds_with_the_oldest_and_the_newest_package(
    tmp_path: Path, version: str
) -> None:
    """Faults 69: the package is young; this is what we may be installed with."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path)]
    subprocess.run([*pip, version], check=True, timeout=120)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    tests = ["tests/contract", "tests/managers/redis", "-k", "redis"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    run = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    print(f"\n{version}: {run.stdout.splitlines()[-1]}")
    assert run.returncode == 0, run.stdout
