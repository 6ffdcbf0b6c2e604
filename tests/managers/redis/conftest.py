"""Managers on a Redis of the test's own, here and in other processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.managers import JobRecord
from nuxt_queue.managers.bullmq import BullMQWorkerManager, Stalling
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import Event, EventBus
from nuxt_queue.services.redis import RedisLimits, RedisServer
from nuxt_queue.services.state import MemoryStateStore
from tests.redis_server import PrivateRedis, shared_redis

# Every wait of the suite: long enough for a loaded machine, short enough for a hang.
WAIT_S = 20.0
# So short that a test can wait for a lock to run out.
QUICK = Stalling(lock_s=1.0, stalled_s=0.3, retry_s=0.1, blocked_s=0.4)


class Fleet:
    """Managers that share the queues under one prefix of one server.

    Attributes:
        server: The server.
        prefix: The prefix.
        events: What the managers of this process have said.
    """

    def __init__(
        self, url: str, limits: RedisLimits | None = None, *, prefix: str | None = None
    ) -> None:
        self.url, self.prefix = url, prefix or f"t{uuid.uuid4().hex}"
        self.server = RedisServer(url, limits, prefix=self.prefix)
        self.events: list[Event] = []
        bus = EventBus()
        bus.subscribe(self.events.append)
        self.contexts = ContextService(MemoryStateStore(), bus)
        self.asking = self.server.client(repeats=True, text=True)
        self._managers: list[BullMQWorkerManager] = []
        self._processes: list[asyncio.subprocess.Process] = []

    def manager(self, stalling: Stalling = QUICK) -> BullMQWorkerManager:
        """Return a manager in this process; it is closed at the end."""
        made = BullMQWorkerManager(
            self.contexts, self.server, prefix=self.prefix, stalling=stalling
        )
        self._managers.append(made)
        return made

    async def process(self, stalling: Stalling = QUICK, concurrency: int = 1) -> Other:
        """Start a manager in another process and wait until it serves queue `q`."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(Path(__file__).with_name("serving_manager.py"))),
            *(self.url, self.prefix, "--lock", str(stalling.lock_s)),
            *("--stalled", str(stalling.stalled_s), "--concurrency", str(concurrency)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._processes.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            assert await process.stdout.readline() == b"ready\n"
        return Other(process)

    async def runs(self) -> Counter[str]:
        """Return how often each job has begun in other processes."""
        return Counter(await self.asking.lrange(f"{self.prefix}.runs", 0, -1))

    async def until_begun(self, job_id: str, times: int = 1) -> None:
        """Wait until a job has begun in another process, that many times."""
        async with asyncio.timeout(WAIT_S):
            while (await self.runs())[job_id] < times:  # noqa: ASYNC110 a list has no event
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        """End every manager."""
        for process in self._processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await process.communicate()
        for manager in self._managers:
            await manager.close_all(grace_s=0)
        await self.asking.aclose()


class Other:
    """A manager in another process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        self._process.kill()
        await self._process.wait()

    async def ended(self) -> None:
        """Wait until it has ended by itself."""
        async with asyncio.timeout(WAIT_S):
            await self._process.wait()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self._process.pid, number)

    async def says(self, text: str) -> str:
        """Wait until it logs a line with a text in it; return the line."""
        assert self._process.stderr is not None
        async with asyncio.timeout(WAIT_S):
            while line := (await self._process.stderr.readline()).decode():
                if text in line:
                    return line
        raise AssertionError(f"it ended without saying {text!r}")


async def said(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """Wait until something has been logged here."""
    async with asyncio.timeout(WAIT_S):
        while text not in caplog.text:  # noqa: ASYNC110 a log has no event
            await asyncio.sleep(0.01)


async def ended(
    manager: BullMQWorkerManager, job_id: str, wait_s: float = WAIT_S, queue: str = "q"
) -> JobRecord:
    """Wait until a job has ended, wherever it runs; return it."""
    async with asyncio.timeout(wait_s):
        while True:
            job = await manager.get_job(queue, job_id)
            if job is not None and job.state in ("completed", "failed"):
                return job
            await asyncio.sleep(0.02)  # also where Redis and its events are away


async def echo(job: dict[str, Any], _context: JobContext) -> Any:
    return job["data"]


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    """Managers on the server that the tests share."""
    made = Fleet(shared_redis().url)
    yield made
    await made.close()


@pytest.fixture
def redis() -> Iterator[PrivateRedis]:
    """A server that the test may kill and freeze; it keeps what it has acknowledged."""
    server = PrivateRedis(appendonly=True).start()
    yield server
    server.stop()


@pytest.fixture
async def shaky(redis: PrivateRedis) -> AsyncIterator[Fleet]:
    """Managers on that server."""
    made = Fleet(redis.url)
    yield made
    await made.close()
