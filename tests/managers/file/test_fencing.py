"""Who may say what of a job: the manager and the attempt that hold it, and nobody else."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from nuxt_queue.managers import FileWorkerManager
from nuxt_queue.managers.file import job_rows, job_table, lease, owners
from nuxt_queue.managers.file.job_rows import Claim
from nuxt_queue.managers.outcome import Completed, Interrupted, settle
from nuxt_queue.rpc.codec import Encoded, text_of
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.sqlite import Database
from nuxt_queue.services.state import MemoryStateStore

T = TypeVar("T")
WAIT_S = 15.0
WANT = [job_table.Want("q", 1)]


class Queue:
    """One queue in a file, with one job, and managers that are only names."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._database.write(work)

    async def claim(self, owner: str) -> Claim:
        claims, _ = await self.do(lambda db: job_table.claim(db, WANT, owner, 0))
        return claims[0]

    async def record(self, claim: Claim, owner: str) -> bool:
        done = settle(claim.job, Completed(Encoded(text_of(owner))), 0)
        return await self.do(lambda db: job_table.save_job(db, claim, done, owner, 0))

    async def put_back(self, claim: Claim, owner: str) -> bool:
        waiting = settle(claim.job, Interrupted(), 0)
        return await self.do(lambda db: job_table.save_job(db, claim, waiting, owner, 0))

    async def result(self, claim: Claim) -> Any:
        job = await self.do(lambda db: job_rows.find_job(db, "q", claim.job.id))
        return job and job.returnvalue


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Queue]:
    contexts = ContextService(MemoryStateStore(), EventBus())
    async with Database(tmp_path) as database, FileWorkerManager(contexts, database) as producer:
        await producer.enqueue("q", "a", 1)
        yield Queue(database)


async def test_an_outcome_is_not_recorded_for_a_manager_that_does_not_hold_the_job(
    queue: Queue,
) -> None:
    claim = await queue.claim("its own")

    assert not await queue.record(claim, "another")
    assert await queue.record(claim, "its own")
    assert await queue.result(claim) == "its own"


async def test_an_outcome_of_an_earlier_attempt_is_not_recorded_by_the_same_manager(
    queue: Queue,
) -> None:
    """The manager was taken for dead, another gave the job back, and the first has it again."""
    late = await queue.claim("first")
    (stranded,) = await queue.do(lambda db: job_table.adopt(db, "first", "second"))
    assert await queue.put_back(stranded, "second")
    now = await queue.claim("first")

    assert now.job.id == late.job.id
    assert not await queue.record(late, "first")
    assert await queue.record(now, "first")


async def test_an_outcome_is_recorded_once(queue: Queue) -> None:
    claim = await queue.claim("first")

    assert await queue.record(claim, "first")
    assert not await queue.record(claim, "first")


async def test_a_manager_that_was_itself_silent_takes_nobody_for_dead(tmp_path: Path) -> None:
    """After a long hold-up everybody is late; the others have time for a sign of life."""
    other = replace(owners.Owner.here(), id="other", pid_ns="of another container")
    async with Database(tmp_path) as database:
        mine = lease.Lease(database, lambda: None, lambda _stranded: None)

        def hold_up(db: sqlite3.Connection) -> None:
            for owner in (mine._owner, other):
                owners.enlist(db, owner)
            db.execute("UPDATE owners SET expires_monotonic = 0, expires_wall = 0")

        def known(db: sqlite3.Connection) -> set[str]:
            return {row[0] for row in db.execute("SELECT id FROM owners")}

        await database.write(hold_up)
        await database.write(mine._beat)
        after_the_hold_up = await database.read(known)
        await database.write(mine._beat)
        later = await database.read(known)

    assert after_the_hold_up == {mine.owner_id, "other"}
    assert later == {mine.owner_id}


@asynccontextmanager
async def manager_of(directory: Path) -> AsyncIterator[FileWorkerManager]:
    async with Database(directory) as database:
        yield FileWorkerManager(ContextService(MemoryStateStore(), EventBus()), database)


async def test_a_manager_gives_back_a_job_whose_handler_ignores_its_cancellation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileWorkerManager, "cancel_s", 0.05)
    running, over = asyncio.Event(), asyncio.Event()

    async def stubborn(_job: dict[str, Any], _context: JobContext) -> None:
        running.set()
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    async with manager_of(tmp_path) as manager:
        await manager.register_worker("q", "a", stubborn)
        job_id = await manager.enqueue("q", "a", 1)
        async with asyncio.timeout(WAIT_S):
            await running.wait()
            await manager.close_all(grace_s=0)
        job = await manager.get_job("q", job_id)
        over.set()

    assert job is not None
    assert (job.state, job.attempts_made) == ("waiting", 0)


async def test_a_paused_queue_rests_while_its_manager_takes_the_jobs_of_another(
    tmp_path: Path,
) -> None:
    done = asyncio.Event()
    ran: list[str] = []

    async def note(job: dict[str, Any], _context: JobContext) -> None:
        ran.append(job["data"])

    async with manager_of(tmp_path) as manager:
        await manager.pause("rests")
        manager.on("works", "completed", lambda _event: done.set())
        for queue in ("rests", "works"):
            await manager.enqueue(queue, "a", queue)
        for queue in ("rests", "works"):
            await manager.register_worker(queue, "a", note)
        async with asyncio.timeout(WAIT_S):
            await done.wait()
        await manager.close_all()

    assert ran == ["works"]
