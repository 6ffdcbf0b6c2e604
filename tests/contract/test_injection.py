"""An error at each await of a job's life: the job is settled or back in its queue.

The places are not listed but found: whatever tasks of the package come through while jobs are
taken, run, tried again and recorded.  At each an error is raised once, of kinds that take turns;
tests/soak raises every kind at every place.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import exceptions

from nuxt_queue.managers import FileWorkerManager, MemoryWorkerManager, QueueEvent, WorkerManager
from nuxt_queue.managers.bullmq import BullMQWorkerManager, Stalling
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.event_stream import EventStream, MemoryEventStream
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.redis import RedisEventStream, RedisServer
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.sqlite import Database, SqliteEventStream
from nuxt_queue.services.state import MemoryStateStore
from tests.contract.injection import Injector, Place
from tests.redis_server import shared_redis

WAIT_S = 10.0
QUEUE = "q"
KINDS: list[type[BaseException]] = [
    RuntimeError,
    MemoryError,
    OSError,
    asyncio.CancelledError,
    sqlite3.OperationalError,
    exceptions.ConnectionError,
    exceptions.ResponseError,
]


class Steps:
    """Flows that are told of each attempt, and take their time."""

    async def step_started(self, _scope: Scope) -> None:
        await asyncio.sleep(0)

    async def step_completed(self, _scope: Scope, _result: Any) -> None:
        await asyncio.sleep(0)

    async def step_retried(self, _scope: Scope) -> None:
        await asyncio.sleep(0)

    async def step_failed(self, _scope: Scope, _reason: str) -> None:
        await asyncio.sleep(0)


@asynccontextmanager
async def memory(_directory: Path) -> AsyncIterator[WorkerManager]:
    async with MemoryWorkerManager(contexts(MemoryEventStream())) as manager:
        yield manager


@asynccontextmanager
async def file(directory: Path) -> AsyncIterator[WorkerManager]:
    async with Database(directory, durability="fast") as database:
        stream = SqliteEventStream(database)
        async with FileWorkerManager(contexts(stream), database) as manager:
            yield manager


@asynccontextmanager
async def redis(_directory: Path) -> AsyncIterator[WorkerManager]:
    server, prefix = RedisServer(shared_redis().url), f"t{uuid.uuid4().hex}"
    times = Stalling(lock_s=0.4, stalled_s=0.1, retry_s=0.01)
    stream = RedisEventStream(server, prefix)
    async with BullMQWorkerManager(
        contexts(stream), server, prefix=prefix, stalling=times
    ) as manager:
        yield manager
    await stream.close()


def contexts(stream: EventStream) -> ContextService:
    return ContextService(MemoryStateStore(), EventBus(stream), steps=Steps())  # type: ignore[arg-type]  # a part of it


ENGINES = {"memory": memory, "file": file, "redis": redis}


async def handle(job: dict[str, Any], context: JobContext) -> Any:
    await context.call("ctx.logger.log", {"level": "info", "msg": "at work"})
    await asyncio.sleep(0)
    if job["data"] == "again" and not job["attemptsMade"]:
        raise ValueError("once")
    return job["data"]


async def listen(_event: QueueEvent) -> None:
    await asyncio.sleep(0)


class Trials:
    """One manager, in whose jobs errors come up, one after the other."""

    def __init__(self, manager: WorkerManager, injector: Injector) -> None:
        self._manager, self._injector = manager, injector
        self.complaints: list[str] = []

    async def begin(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, told: self.complaints.append(str(told)))
        await self._manager.register_worker(QUEUE, "a", handle, {"concurrency": 2})
        for event in ("active", "completed"):
            self._manager.on(QUEUE, event, listen)

    async def run(self) -> None:
        """Let two jobs live, one of which fails at first; both end, and none is left behind."""
        options = {"attempts": 4, "backoff": 1}
        ids = [await self._manager.enqueue(QUEUE, "a", said, options) for said in ("again", "now")]
        async with asyncio.timeout(WAIT_S):
            for job_id in ids:
                while True:
                    job = await self._manager.get_job(QUEUE, job_id)
                    assert job is not None
                    if job.state in ("completed", "failed"):
                        break
                    await asyncio.sleep(0.002)
        counts = await self._manager.get_job_counts(QUEUE)
        assert not counts["active"] + counts["waiting"] + counts["delayed"], counts

    async def at(self, place: Place, kind: type[BaseException]) -> bool:
        """Raise an error at a place while two jobs live; return whether it was come through."""
        self._injector.arm(place, kind("from nowhere"))
        try:
            await self.run()
        except (AssertionError, TimeoutError) as error:
            jobs = await self._manager.get_jobs(QUEUE, ["active", "waiting", "delayed"])
            pytest.fail(f"{kind.__name__} at {place}: {error!r}; left: {jobs}")
        return self._injector.hit


async def errors_at_each_place(
    engine: str, directory: Path, *, every_kind: bool
) -> tuple[int, int, list[str]]:
    """Return how many places there were, how many errors came up, and what the loop complained."""
    raised = 0
    with Injector(__file__) as injector:
        async with ENGINES[engine](directory) as manager:
            trials = Trials(manager, injector)
            await trials.begin()
            await trials.run()
            injector.seen.clear()  # of what is come through once, when the queue is opened
            await trials.run()
            tried: set[Place] = set()
            while new := [place for place in injector.seen if place not in tried]:
                for place in new:
                    tried.add(place)
                    turn = len(tried) % len(KINDS)
                    for kind in KINDS if every_kind else (KINDS[turn],):
                        raised += await trials.at(place, kind)
                if not every_kind:
                    break  # what only a recovery comes through is tried at length
            await trials.run()
            async with asyncio.timeout(WAIT_S):
                await manager.close_all(grace_s=WAIT_S)
    return len(tried), raised, trials.complaints


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is tried again be tried at once."""
    if sys.gettrace() is not None:
        pytest.skip("something else traces this process")
    monkeypatch.setattr("nuxt_queue.managers.WorkerManager.unkept_retry_ms", 2)
    monkeypatch.setattr(FileWorkerManager, "again_s", 0.005)
    monkeypatch.setattr(FileWorkerManager, "look_s", 0.01)
    monkeypatch.setattr(Database, "poll_s", 0.005)
    monkeypatch.setattr("nuxt_queue.managers.bullmq.listening._RETRY_S", 0.01)


@pytest.mark.usefixtures("soon")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")  # what took it has raised
@pytest.mark.parametrize("engine", ENGINES)
async def test_an_error_at_any_await_of_a_jobs_life_leaves_no_job_behind(
    engine: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")
    places, raised, complaints = await errors_at_each_place(engine, tmp_path, every_kind=False)

    assert raised > places / 2 > 8
    assert complaints == []
