"""The managers and stores that the contract holds for.

A further manager joins with a Bench of its own and a line in `BENCHES`, a further engine for
state, events and flows with a subclass of Stores and a line in `STORES`; no test names an engine.

Time: a bench has a clock, `now_ms`, and `pass_time` lets it go on, by hand where the engine takes
its time from us and by waiting where it does not.  A test asserts that something was not early, by
the bench's clock; it never asserts that something was quick.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.managers import JobRecord, MemoryWorkerManager, WorkerManager, WorkerOptions
from nuxt_queue.managers.bullmq import BullMQWorkerManager
from nuxt_queue.managers.clock import ManualClock
from nuxt_queue.managers.file import FileWorkerManager
from nuxt_queue.managers.jobs import JobState
from nuxt_queue.managers.workers import Runtimes
from nuxt_queue.services.context import ContextService, JobContext, JobHandler
from nuxt_queue.services.event_stream import EventStream, MemoryEventStream
from nuxt_queue.services.events import Event, EventBus
from nuxt_queue.services.flow_store import FlowStore, MemoryFlowStore
from nuxt_queue.services.redis import (
    RedisEventStream,
    RedisFlowStore,
    RedisServer,
    RedisStateStore,
)
from nuxt_queue.services.sqlite import (
    Database,
    SqliteEventStream,
    SqliteFlowStore,
    SqliteStateStore,
)
from nuxt_queue.services.state import MemoryStateStore, StateStore
from tests.redis_server import shared_redis

# Every wait of the suite: long enough for a loaded machine, short enough for a hang.
WAIT_S = 5.0


class Bench:
    """A manager with everything around it, and time that the test may let pass.

    Attributes:
        manager: What is tested.
        flow_store: Where the runs of flows are kept.
        bus: What happens is told there.
        contexts: What answers the jobs.
        poll_s: The pause between two looks at something that has no event of its own.
    """

    manager: WorkerManager
    flow_store: FlowStore
    bus: EventBus
    contexts: ContextService
    poll_s: float = 0.005

    def __init__(self, runtimes: Runtimes | None = None) -> None:
        self.runtimes = runtimes or worker_file_runtime
        self.events: list[Event] = []

    def equip(self, state: StateStore, stream: EventStream, flows: FlowStore) -> None:
        """Keep state, events and the runs of flows where the jobs are."""
        self.flow_store = flows
        self.bus = EventBus(stream)
        self.bus.subscribe(self.events.append)
        self.contexts = ContextService(state, self.bus)

    async def open(self) -> None:
        """Make the manager, and equip it."""
        raise NotImplementedError

    async def close(self) -> None:
        """Leave nothing behind."""
        await self.manager.close_all(grace_s=0)

    def now_ms(self) -> float:
        """Return the time by which the queue's delays are measured."""
        return time.time() * 1000

    async def pass_time(self, ms: int) -> None:
        """Let that clock go on."""
        await asyncio.sleep(ms / 1000)

    async def stored(self, queue: str, job_id: str) -> JobRecord | None:
        """Return a job as it is kept, also when the manager is closed."""
        raise NotImplementedError

    async def until(self, is_so: Callable[[], bool | Awaitable[bool]]) -> None:
        """Let the loop turn until something is so that has no event of its own."""
        async with asyncio.timeout(WAIT_S):
            while True:
                answer = is_so()
                if await answer if isinstance(answer, Awaitable) else answer:
                    return
                await asyncio.sleep(self.poll_s)

    async def until_state(self, queue: str, job_id: str, state: JobState) -> JobRecord:
        """Let the loop turn until a job has a state; return it."""
        async with asyncio.timeout(WAIT_S):
            job = await self.manager.get_job(queue, job_id)
            while job is None or job.state != state:
                await asyncio.sleep(self.poll_s)
                job = await self.manager.get_job(queue, job_id)
        return job

    async def ended(self, queue: str, job_id: str) -> JobRecord:
        """Wait until a job has completed or failed for good; return it."""
        over = asyncio.Event()
        stops = [
            self.manager.on(queue, event, lambda e: over.set() if e.job_id == job_id else None)
            for event in ("completed", "failed")
        ]
        try:
            async with asyncio.timeout(WAIT_S):
                job = await self.manager.get_job(queue, job_id)
                while job is None or job.state not in ("completed", "failed"):
                    await over.wait()
                    job = await self.manager.get_job(queue, job_id)
        finally:
            for stop in stops:
                stop()
        return job

    async def until_gone_or_ended(self, queue: str, job_id: str) -> None:
        """Wait until a job has ended, also one that is not kept then."""

        async def is_over() -> bool:
            job = await self.manager.get_job(queue, job_id)
            return job is None or job.state in ("completed", "failed")

        await self.until(is_over)

    async def run(self, queue: str, job: str, data: Any = None, **opts: Any) -> JobRecord:
        """Enqueue a job and wait for its end."""
        return await self.ended(queue, await self.manager.enqueue(queue, job, data, opts))

    def said(self, run_id: str) -> list[tuple[str, dict[str, Any]]]:
        """Return type and data of a run's events."""
        return [(event.type, event.data) for event in self.events if event.run_id == run_id]


class MemoryBench(Bench):
    """The memory manager under a clock that the test moves."""

    poll_s = 0

    async def open(self) -> None:
        self.equip(MemoryStateStore(), MemoryEventStream(), MemoryFlowStore())
        self.clock = ManualClock()
        self.manager = MemoryWorkerManager(self.contexts, clock=self.clock, runtimes=self.runtimes)

    def now_ms(self) -> float:
        return self.clock.now_ms()

    async def pass_time(self, ms: int) -> None:
        for _ in range(5):  # what is under way comes first, as it does in real time
            await asyncio.sleep(0)
        self.clock.advance(ms)

    async def stored(self, queue: str, job_id: str) -> JobRecord | None:
        return await self.manager.get_job(queue, job_id)


class RedisBench(Bench):
    """The manager on a real Redis, under a prefix of its own."""

    async def open(self) -> None:
        self.prefix = f"t{uuid.uuid4().hex}"
        self._stores = RedisStores(self.prefix)
        await self._stores.open()
        self.equip(self._stores.state, self._stores.events, self._stores.flows)
        self.manager = self.another()

    async def close(self) -> None:
        await super().close()
        await self._stores.close()

    def another(self) -> BullMQWorkerManager:
        """Return a manager on the same queues, as another process has it."""
        return BullMQWorkerManager(
            self.contexts,
            RedisServer(shared_redis().url),
            prefix=self.prefix,
            runtimes=self.runtimes,
        )

    async def stored(self, queue: str, job_id: str) -> JobRecord | None:
        other = self.another()
        try:
            return await other.get_job(queue, job_id)
        finally:
            await other.close_all()


class FileBench(Bench):
    """The file manager on a file of its own, under a clock that the test moves."""

    poll_s = 0.001

    async def open(self) -> None:
        self._made = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        self.database = Database(Path(self._made.name))
        self.equip(
            SqliteStateStore(self.database),
            SqliteEventStream(self.database),
            SqliteFlowStore(self.database),
        )
        self.manager = FileWorkerManager(
            self.contexts, self.database, clock=self.clock, runtimes=self.runtimes
        )

    async def close(self) -> None:
        await super().close()
        await self.database.close()
        self._made.cleanup()

    def now_ms(self) -> float:
        return self.clock.now_ms()

    async def pass_time(self, ms: int) -> None:
        for _ in range(5):  # what is under way comes first, as it does in real time
            await asyncio.sleep(0.001)
        self.clock.advance(ms)

    async def stored(self, queue: str, job_id: str) -> JobRecord | None:
        return await self.manager.get_job(queue, job_id)


BENCHES: list[type[Bench]] = [MemoryBench, FileBench, RedisBench]


@pytest.fixture(params=BENCHES, ids=lambda bench: bench.__name__.removesuffix("Bench").lower())
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A manager with an empty queue, for each manager there is."""
    made: Bench = request.param()
    await made.open()
    yield made
    await made.close()


class Stores:
    """State, events and runs of flows in one engine, and time that the test may let pass.

    Attributes:
        shared: Whether another process, and `another`, see the same.
    """

    shared: bool = True
    state: StateStore
    events: EventStream
    flows: FlowStore

    async def open(self) -> None:
        """Make the stores, empty."""
        raise NotImplementedError

    async def close(self) -> None:
        """Leave nothing behind."""

    async def another(self) -> Stores:
        """Return other stores on the same place, as another process has them."""
        raise NotImplementedError

    async def pass_time(self, seconds: float) -> None:
        """Let the time of lifetimes go on."""
        await asyncio.sleep(seconds)


class MemoryStores(Stores):
    """Everything in this process."""

    shared = False

    async def open(self) -> None:
        self.now = 100.0
        self.state = MemoryStateStore(clock=lambda: self.now)
        self.events = MemoryEventStream()
        self.flows = MemoryFlowStore(keep_ended=3)

    async def another(self) -> Stores:
        return self

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds


class RedisStores(Stores):
    """Everything in a real Redis, under a prefix of its own."""

    state: RedisStateStore
    events: RedisEventStream
    flows: RedisFlowStore

    def __init__(self, prefix: str | None = None) -> None:
        self._prefix = prefix or f"t{uuid.uuid4().hex}"
        self._others: list[RedisStores] = []

    async def open(self) -> None:
        server = RedisServer(shared_redis().url)
        self.state = RedisStateStore(server, self._prefix)
        self.events = RedisEventStream(server, self._prefix)
        self.flows = RedisFlowStore(server, self._prefix, keep_ended=3)

    async def another(self) -> Stores:
        other = RedisStores(self._prefix)
        self._others.append(other)
        await other.open()
        return other

    async def close(self) -> None:
        for other in self._others:
            await other.close()
        await self.state.close()
        await self.events.close()
        await self.flows.close()


class FileStores(Stores):
    """A file that several databases have open, as several processes do."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._others: list[FileStores] = []

    async def open(self) -> None:
        self._made = None if self._directory else tempfile.TemporaryDirectory()
        self._database = Database(self._directory or Path(self._made.name if self._made else ""))
        self.state = SqliteStateStore(self._database)
        self.events = SqliteEventStream(self._database)
        self.flows = SqliteFlowStore(self._database, keep_ended=3)

    async def close(self) -> None:
        for other in self._others:
            await other.close()
        await self._database.close()
        if self._made is not None:
            self._made.cleanup()

    async def another(self) -> Stores:
        other = FileStores(self._database.path.parent)
        await other.open()
        self._others.append(other)
        return other


STORES: list[type[Stores]] = [MemoryStores, FileStores, RedisStores]


@pytest.fixture(params=STORES, ids=lambda stores: stores.__name__.removesuffix("Stores").lower())
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    """Empty stores, of each engine there is; they remember three ended runs."""
    made: Stores = request.param()
    await made.open()
    yield made
    await made.close()


def worker_file_runtime(options: WorkerOptions) -> JobHandler:
    """Stand in for child processes: a handler that says which file it would have run."""

    async def handle(job: dict[str, Any], context: JobContext) -> Any:
        return {"ran": str(options.path), "data": job["data"], "step": context.scope.step_name}

    return handle
