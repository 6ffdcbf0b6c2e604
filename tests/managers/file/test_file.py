"""What is special about the file manager: leases, other processes, and what a crash leaves."""

from __future__ import annotations

import asyncio
import errno
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.errors import QueueError
from nuxt_queue.managers import FileWorkerManager, QueueEvent
from nuxt_queue.managers.clock import Clock, LoopClock, ManualClock
from nuxt_queue.managers.file import event_log, job_table, owners
from nuxt_queue.managers.outcome import Completed, settle
from nuxt_queue.rpc.codec import Encoded
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.event_stream import MemoryEventStream
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.sqlite import Database, SqliteEventStream, location
from nuxt_queue.services.state import MemoryStateStore

WAIT_S = 15.0
ME = owners.Owner.here()


@asynccontextmanager
async def process(
    directory: Path, clock: Clock | None = None, **options: Any
) -> AsyncIterator[FileWorkerManager]:
    """Open a manager with a file of its own, as another process would."""
    async with Database(directory) as database:
        stream = SqliteEventStream(database)
        contexts = ContextService(MemoryStateStore(), EventBus(stream))
        async with FileWorkerManager(contexts, database, clock=clock, **options) as manager:
            yield manager


async def echo(job: dict[str, Any], _context: JobContext) -> Any:
    return job["data"]


class Held:
    """A handler that waits to be let go, and knows whether it was cancelled."""

    def __init__(self) -> None:
        self.running, self.go = asyncio.Event(), asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, _job: dict[str, Any], _context: JobContext) -> str:
        self.running.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "late"


async def ended(manager: FileWorkerManager, job_id: str, queue: str = "q") -> Any:
    """Wait until a job has ended; return it."""
    over: asyncio.Queue[QueueEvent] = asyncio.Queue()
    stops = [manager.on(queue, name, over.put_nowait) for name in ("completed", "failed")]
    async with asyncio.timeout(WAIT_S):
        job = await manager.get_job(queue, job_id)
        while job is None or job.state not in ("completed", "failed"):
            await over.get()
            job = await manager.get_job(queue, job_id)
    for stop in stops:
        stop()
    return job


def edit(directory: Path, sql: str, *values: Any) -> None:
    """Change the file behind the managers' backs."""
    db = sqlite3.connect(directory / "queue.sqlite3", timeout=WAIT_S)
    db.execute(sql, values)
    db.commit()
    db.close()


def leave_behind(directory: Path, job_id: str) -> None:
    """Make a job look as if a manager had died while it ran."""
    edit(
        directory,
        "INSERT INTO owners VALUES ('dead', ?, ?, 4194305, 'x', 1e18, 1e18)",
        ME.boot_id,
        ME.pid_ns,
    )
    edit(
        directory,
        "UPDATE jobs SET state = 'active', owner = 'dead', token = token + 1 WHERE id = ?",
        job_id,
    )


DEAD: dict[str, tuple[dict[str, Any], bool]] = {
    "gone": ({"pid": 4194305}, True),
    "another of that number": ({"started": "1"}, True),
    "alive": ({}, False),
    "alive and silent": ({"monotonic": -1}, True),
    "in a container, heard of": ({"pid_ns": "other", "pid": 4194305}, False),
    "in a container, silent": ({"pid_ns": "other", "monotonic": -1}, True),
    "of a machine's last boot, heard of": ({"boot_id": "old", "monotonic": -1}, False),
    "of a machine's last boot, silent": ({"boot_id": "old", "wall": -1}, True),
    "of the last boot, and the clock was set back": (
        {"boot_id": "old", "wall": 3600, "seen": -owners.LEASE_S - 1},
        True,
    ),
    "not to be told from its start": ({"started": ""}, False),
    "silent by a clock that was set": ({"wall": -3600}, False),
    "heard of by a clock that was set": ({"monotonic": -1, "wall": 3600}, True),
}


@pytest.mark.parametrize("who", DEAD)
def test_an_owner_is_dead_when_its_process_is_gone_or_it_is_silent(who: str) -> None:
    """Faults 78: within one boot nobody's setting of the clock matters."""
    differs, dead = DEAD[who]
    left = {"monotonic": owners.LEASE_S, "wall": owners.LEASE_S} | differs
    named = {
        key: value for key, value in differs.items() if key not in ("monotonic", "wall", "seen")
    }
    other = replace(ME, **{"id": "other", **named})
    row = (other.id, other.boot_id, other.pid_ns, other.pid, other.started)

    sign = time.time() + left["wall"]
    found = owners._is_dead(
        (*row, time.monotonic() + left["monotonic"], sign),
        ME,
        {("other", sign): time.monotonic() + left.get("seen", 0)},
    )

    assert found is dead


async def test_a_manager_that_cannot_look_takes_nobody_for_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Faults 93: without a descriptor left, who lives cannot be seen."""

    def fail(*_args: Any, **_more: Any) -> str:
        raise OSError(errno.EMFILE, "Too many open files")

    row = ("other", ME.boot_id, ME.pid_ns, ME.pid, ME.started, time.monotonic() + 9, time.time())
    monkeypatch.setattr(Path, "read_text", fail)

    assert not owners._is_dead(row, ME, {})


async def test_a_job_of_a_dead_manager_comes_back_and_the_attempt_counts(tmp_path: Path) -> None:
    """Faults 74, E5."""
    attempts: list[int] = []

    async def note(_job: dict[str, Any], context: JobContext) -> None:
        attempts.append(context.scope.attempt)

    stalled: list[str | None] = []
    async with process(tmp_path) as manager:
        job_id = await manager.enqueue("q", "a", 1, {"attempts": 3})
        leave_behind(tmp_path, job_id)
        manager.on("q", "stalled", lambda event: stalled.append(event.job_id))
        await manager.register_worker("q", "a", note)
        job = await ended(manager, job_id)

    assert (job.state, job.attempts_made, attempts, stalled) == ("completed", 2, [2], [job_id])


async def test_a_job_that_kills_its_managers_fails_in_the_end_and_says_so(tmp_path: Path) -> None:
    """Faults 61, E5: a job of one attempt gets a second, once; nothing dies for ever."""
    async with process(tmp_path) as manager:
        job_id = await manager.enqueue("q", "a", 1)
        for _ in range(2):
            leave_behind(tmp_path, job_id)
            await manager.register_worker("q", "other", echo, {"concurrency": 1})
            await manager.pause("q")
            async with asyncio.timeout(WAIT_S):
                job = await manager.get_job("q", job_id)
                while job is None or job.state == "active":
                    await asyncio.sleep(0.01)
                    job = await manager.get_job("q", job_id)
        events = [event.type for event in await manager.bus.read(job_id)]

    assert job is not None
    assert (job.state, job.attempts_made) == ("failed", 2)
    assert job.failed_reason is not None
    assert "the process that ran it was lost in attempt 2" in job.failed_reason
    assert events == ["step.started", "step.failed"]


async def test_a_late_outcome_is_dropped_and_its_handler_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Faults 63, 74: the fence is the token; whoever was taken for dead does no more harm."""
    held = Held()
    async with process(tmp_path) as slow, process(tmp_path) as quick:
        await slow.register_worker("q", "a", held)
        job_id = await slow.enqueue("q", "a", 1, {"attempts": 5})
        async with asyncio.timeout(WAIT_S):
            await held.running.wait()
        await quick.register_worker("q", "a", echo)
        owner = slow._lease.owner_id
        edit(tmp_path, "UPDATE owners SET started = 'x' WHERE id = ?", owner)

        job = await ended(quick, job_id)
        held.go.set()
        await slow.close_all(grace_s=WAIT_S)
        after = await slow.get_job("q", job_id)

    assert job.returnvalue == 1
    assert after == job
    assert "was given to another manager while it ran; its outcome" in caplog.text


async def test_a_manager_that_was_taken_for_dead_cancels_what_it_runs(tmp_path: Path) -> None:
    held = Held()
    async with process(tmp_path) as slow:
        await slow.register_worker("q", "a", held)
        await slow.enqueue("q", "a", 1)
        async with asyncio.timeout(WAIT_S):
            await held.running.wait()
            edit(tmp_path, "DELETE FROM owners")
            await held.cancelled.wait()


async def test_a_manager_that_only_enqueues_owns_nothing(tmp_path: Path) -> None:
    async with process(tmp_path) as manager:
        await manager.enqueue("q", "a", 1)
        found = await manager._database.read(
            lambda db: db.execute("SELECT count(*) FROM owners").fetchone()
        )

    assert found == (0,)


async def test_listeners_hear_what_other_processes_do(tmp_path: Path) -> None:
    """Whoever enqueued a job may wait for its end, wherever it runs, removed or not."""
    heard: asyncio.Queue[QueueEvent] = asyncio.Queue()
    async with process(tmp_path) as producer, process(tmp_path) as worker:
        for name in ("active", "completed", "failed"):
            producer.on("q", name, heard.put_nowait)
        await asyncio.sleep(0.2)  # it listens from now on
        await worker.register_worker("q", "a", echo)
        await producer.enqueue("q", "a", {"n": 1})
        await producer.enqueue("q", "a", 2, {"removeOnComplete": True})
        await producer.enqueue("q", "unknown", 3)
        async with asyncio.timeout(WAIT_S):
            events = [await heard.get() for _ in range(6)]

    ends = [(e.type, e.returnvalue, e.failed_reason) for e in events if e.type != "active"]
    assert ends[:2] == [("completed", {"n": 1}, None), ("completed", 2, None)]
    assert ends[2][0] == "failed"
    assert 'No handler for job "unknown"' in (ends[2][2] or "")


async def test_a_queue_that_is_paused_anywhere_is_paused_everywhere(tmp_path: Path) -> None:
    async with process(tmp_path) as one, process(tmp_path) as other:
        await other.register_worker("q", "a", echo)
        await one.pause("q")
        assert await other.is_paused("q")
        job_id = await one.enqueue("q", "a", 1)
        await asyncio.sleep(0.3)
        job = await other.get_job("q", job_id)
        assert job is not None
        assert job.state == "paused"

        await one.resume("q")

        assert (await ended(one, job_id)).returnvalue == 1


async def test_a_limiter_counts_the_starts_of_all_processes(tmp_path: Path) -> None:
    started: list[str] = []

    def noting(name: str) -> Callable[..., Any]:
        async def note(_job: dict[str, Any], _context: JobContext) -> None:
            started.append(name)

        return note

    limiter = {"limiter": {"max": 2, "duration": 600_000}, "concurrency": 5}
    async with process(tmp_path) as one, process(tmp_path) as other:
        await one.register_worker("q", "a", noting("one"), limiter)
        await other.register_worker("q", "a", noting("other"), limiter)
        for n in range(6):
            await one.enqueue("q", "a", n)
        await asyncio.sleep(0.5)
        counts = await one.get_job_counts("q")

    assert len(started) == 2
    assert (counts["completed"], counts["waiting"]) == (2, 4)


async def test_an_outcome_is_recorded_as_soon_as_the_file_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Faults 75: the handler has run; it does not run again for a disk that was full a while."""
    runs: list[int] = []
    writing = Database.write
    failures = 2

    async def fails(database: Database, work: Any) -> Any:
        nonlocal failures
        if runs and failures:
            failures -= 1
            raise location.storage_error(database.path, OSError(28, "No space left on device"))
        return await writing(database, work)

    async def note(_job: dict[str, Any], _context: JobContext) -> int:
        runs.append(1)
        return 7

    monkeypatch.setattr(FileWorkerManager, "again_s", 0.01)
    monkeypatch.setattr(Database, "write", fails)
    async with process(tmp_path) as manager:
        await manager.register_worker("q", "a", note)
        job = await ended(manager, await manager.enqueue("q", "a", 1))

    assert (job.returnvalue, runs, failures) == (7, [1], 0)
    assert "No space left on device" in caplog.text


async def test_ended_jobs_and_their_timelines_do_not_pile_up(tmp_path: Path) -> None:
    """Faults 79: the file is bounded."""
    async with process(tmp_path, max_finished=3) as manager:
        await manager.register_worker("q", "a", echo)
        ids = [await manager.enqueue("q", "a", n) for n in range(8)]
        for job_id in ids[-3:]:
            await ended(manager, job_id)
        kept = await manager.get_jobs("q")
        timelines = [bool(await manager.bus.read(job_id)) for job_id in ids]

    assert [job.data for job in kept] == [5, 6, 7]
    assert timelines == [False] * 5 + [True] * 3


async def test_the_file_does_not_grow_with_the_jobs_that_have_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults 79: what is forgotten makes room for what comes, and the log of events is trimmed."""
    monkeypatch.setattr(event_log, "_KEPT", 50)
    monkeypatch.setattr("nuxt_queue.managers.file.lease._BEAT_S", 0.01)

    def kept(db: sqlite3.Connection) -> tuple[int, int]:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        (events,) = db.execute("SELECT count(*) FROM queue_events").fetchone()
        return pages, events

    sizes = []
    async with Database(tmp_path, durability="fast") as database:
        contexts = ContextService(MemoryStateStore(), EventBus(SqliteEventStream(database)))
        async with FileWorkerManager(contexts, database, max_finished=10) as manager:
            completed: asyncio.Queue[QueueEvent] = asyncio.Queue()
            manager.on("q", "completed", completed.put_nowait)
            await manager.register_worker("q", "a", echo, {"concurrency": 10})
            for _ in range(6):
                for _ in range(50):
                    await manager.enqueue("q", "a", "x" * 20_000)
                async with asyncio.timeout(WAIT_S):
                    for _ in range(50):
                        await completed.get()
                    while (await database.read(kept))[1] > 50:  # noqa: ASYNC110 no event says so
                        await asyncio.sleep(0.01)
                sizes.append((await database.read(kept))[0])

    # 300 jobs of 40 kB with their results are 12 MB; what has to be there at once is 60 of them.
    assert max(sizes) * 4096 < 4_000_000, sizes


class SetClock(LoopClock):
    """A clock that can be set, while its timers go on as those of the machine do."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


async def test_a_clock_that_jumps_an_hour_makes_no_job_early_and_loses_none(tmp_path: Path) -> None:
    """Faults 78: ahead and back, while jobs wait, are delayed and run."""
    clock, held, hour_ms = SetClock(), Held(), 3_600_000
    started: dict[int, int] = {}

    async def note(job: dict[str, Any], _context: JobContext) -> None:
        started[job["data"]] = clock.now_ms()

    async with process(tmp_path, clock) as manager:
        await manager.register_worker("q", "a", note)
        await manager.register_worker("running", "a", held)
        running = await manager.enqueue("running", "a", None, {"timeout": 2 * hour_ms})
        await held.running.wait()
        began = clock.now_ms()
        late = [await manager.enqueue("q", "a", n, {"delay": hour_ms}) for n in range(5)]

        clock.ahead_ms = -hour_ms
        back = clock.now_ms()
        soon = [await manager.enqueue("q", "a", n, {"delay": 200}) for n in range(5, 10)]
        await ended(manager, soon[-1])
        counts = await manager.get_job_counts("q")
        first = list(started)

        clock.ahead_ms = hour_ms
        await ended(manager, late[-1])
        clock.ahead_ms = 0
        await ended(manager, await manager.enqueue("q", "a", 10))
        held.go.set()
        survivor = await ended(manager, running, "running")
        done = await manager.get_job_counts("q")

    assert (counts["delayed"], first) == (5, [5, 6, 7, 8, 9])
    assert list(started) == [5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 10]
    assert all(started[n] >= back + 200 for n in range(5, 10))
    assert all(started[n] >= began + hour_ms for n in range(5))
    assert (done["completed"], done["delayed"], done["waiting"]) == (11, 0, 0)
    assert (survivor.returnvalue, survivor.attempts_made) == ("late", 1)


async def test_a_clock_that_says_the_year_9999_runs_what_it_can_and_refuses_the_rest_by_name(
    tmp_path: Path,
) -> None:
    """Faults 78."""
    last_s = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    clock = ManualClock(int(last_s * 1000))
    refused: dict[str, dict[str, Any]] = {
        '"delay" is -1': {"delay": -1},
        '"delay" is 2147483648': {"delay": 2**31},
        'repeat "* * * * *" never comes round': {"repeat": {"cron": "* * * * *"}},
        'repeat "0 0 * * *" never': {"repeat": {"cron": "0 0 * * *", "tz": "Europe/Vienna"}},
    }
    async with process(tmp_path, clock) as manager:
        await manager.register_worker("q", "a", echo)
        for said, opts in refused.items():
            with pytest.raises(QueueError, match=re.escape(said)):
                await manager.enqueue("q", "a", None, opts)
        assert (await ended(manager, await manager.enqueue("q", "a", 1))).returnvalue == 1
        late = await manager.enqueue("q", "a", 2, {"delay": 1000})
        counts = await manager.get_job_counts("q")
        clock.advance(1000)
        assert (await ended(manager, late)).returnvalue == 2

    assert counts["delayed"] == 1


async def test_the_order_is_that_of_enqueuing_whatever_the_clock_says(tmp_path: Path) -> None:
    """Faults 78: a clock that is set back an hour puts nobody ahead."""
    order: list[int] = []

    async def note(job: dict[str, Any], _context: JobContext) -> None:
        order.append(job["data"])

    async with process(tmp_path, ManualClock(2_000_000_000_000)) as manager:
        await manager.enqueue("q", "a", 1)
    async with process(tmp_path, ManualClock(2_000_000_000_000 - 3_600_000)) as manager:
        await manager.enqueue("q", "a", 2)
        later = await manager.enqueue("q", "a", 3)
        await manager.register_worker("q", "a", note)
        await ended(manager, later)

    assert order == [1, 2, 3]


async def test_what_waits_goes_on_when_the_file_is_opened_again(tmp_path: Path) -> None:
    clock = ManualClock()
    async with process(tmp_path, clock) as manager:
        waiting = await manager.enqueue("q", "a", "waiting")
        delayed = await manager.enqueue("q", "a", "delayed", {"delay": 1000})
        first = await manager.enqueue("q", "a", "again", {"repeat": {"every": 5000}})
    clock.advance(1000)
    async with process(tmp_path, clock) as manager:
        assert await manager.enqueue("q", "a", "again", {"repeat": {"every": 5000}}) == first
        await manager.register_worker("q", "a", echo)

        assert (await ended(manager, waiting)).returnvalue == "waiting"
        assert (await ended(manager, delayed)).returnvalue == "delayed"
        assert (await manager.get_job_counts("q"))["delayed"] == 1


async def test_timelines_may_be_elsewhere(tmp_path: Path) -> None:
    contexts = ContextService(MemoryStateStore(), EventBus(MemoryEventStream()))
    async with Database(tmp_path) as database, FileWorkerManager(contexts, database) as manager:
        await manager.register_worker("q", "a", echo)
        job = await ended(manager, await manager.enqueue("q", "a", 1))

        assert len(await manager.bus.read(job.id)) == 2


ODD = [
    "../x",
    "/etc/passwd",
    "%2e%2e%2f",
    "a\\b",
    "..",
    "CON",
    "x" * 300,
    "';--",
    "\u2024",
]


async def test_names_of_any_kind_stay_names(tmp_path: Path) -> None:
    """Faults 96: of queues, jobs, job ids and states of a flow; nothing is written elsewhere."""
    async with process(tmp_path / "data") as manager:
        for parts in (("a\x00b", "a"), ("a", "a\x1b[2Jb")):
            with pytest.raises(QueueError, match="has no control characters"):
                await manager.enqueue(*parts)
        for name in ODD:
            await manager.register_worker(name, name, echo)
            data = {"flowId": name, "flowName": name, "input": name}
            await manager.enqueue(name, name, data, {"jobId": name})
        jobs = [await ended(manager, name, name) for name in ODD]

    assert [job.returnvalue for job in jobs] == ODD
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "data",
        "queue.lock",
        "queue.sqlite3",
    ]


async def test_queues_that_are_used_in_turn_are_both_kept_short(tmp_path: Path) -> None:
    """Faults 79: what is kept is bounded, up to a hundred that are removed together."""
    done = asyncio.Semaphore(0)
    async with process(tmp_path, max_finished=1_000) as manager:
        for queue in ("even", "odd"):
            await manager.register_worker(queue, "a", echo, {"concurrency": 50})
            manager.on(queue, "completed", lambda _event: done.release())
        for _ in range(13):
            for _ in range(100):
                await asyncio.gather(*(manager.enqueue(queue, "a") for queue in ("even", "odd")))
        async with asyncio.timeout(WAIT_S * 2):
            for _ in range(2_600):
                await done.acquire()
        kept = [(await manager.get_job_counts(queue))["completed"] for queue in ("even", "odd")]

    assert all(1_000 <= count <= 1_100 for count in kept), kept


async def test_a_job_of_a_newer_release_runs_without_what_only_that_knows(tmp_path: Path) -> None:
    """Faults 76: one row must not stop every queue."""
    async with process(tmp_path) as manager:
        strange = await manager.enqueue("bad", "a", 1, {"attempts": 2})
        edit(tmp_path, """UPDATE jobs SET opts = '{"ofTheFuture": 1, "attempts": 2}'""")
        plain = await manager.enqueue("good", "a", 2)
        for queue in ("bad", "good"):
            await manager.register_worker(queue, "a", echo)

        assert (await ended(manager, plain, "good")).returnvalue == 2
        job = await ended(manager, strange, "bad")

    assert (job.returnvalue, job.opts.max_attempts) == (1, 2)


async def test_a_listener_hears_nothing_of_what_happened_before_it_came(tmp_path: Path) -> None:
    heard: list[str | None] = []
    async with process(tmp_path) as one, process(tmp_path) as other:
        await one.register_worker("q", "a", echo)
        for n in range(5):
            await ended(one, await one.enqueue("q", "a", n))
        await other.register_worker("elsewhere", "a", echo)

        other.on("q", "completed", lambda event: heard.append(event.job_id))
        last = await one.enqueue("q", "a", "last")
        async with asyncio.timeout(WAIT_S):
            while last not in heard:  # noqa: ASYNC110 a list has no event
                await asyncio.sleep(0.01)

    assert heard == [last]


async def test_a_delayed_job_that_falls_due_is_said_to_wait(tmp_path: Path) -> None:
    clock, heard = ManualClock(), list[str]()
    async with process(tmp_path, clock) as manager:
        for kind in ("delayed", "waiting", "active", "completed"):
            manager.on("q", kind, lambda event: heard.append(event.type))
        await manager.register_worker("q", "a", echo)
        job_id = await manager.enqueue("q", "a", 1, {"delay": 1000})
        clock.advance(1000)
        await ended(manager, job_id)

    assert heard == ["delayed", "waiting", "active", "completed"]


async def test_a_late_outcome_is_not_that_of_a_later_job_of_the_same_id(tmp_path: Path) -> None:
    """Faults 74: the first was removed meanwhile, and enqueued again."""
    want = [job_table.Want("q", 1)]
    async with process(tmp_path) as manager:
        claims = []
        for _ in range(2):
            await manager.enqueue("q", "a", None, {"jobId": "nightly"})
            claim = lambda db: job_table.claim(db, want, "me", 0)[0][0]  # noqa: E731
            claims.append(await manager._database.write(claim))
            if len(claims) == 1:
                edit(tmp_path, "DELETE FROM jobs")
        late = settle(claims[0].job, Completed(Encoded(b"1")), 0)

        is_taken = await manager._database.write(
            lambda db: job_table.save_job(db, claims[0], late, "me", 0)
        )

    assert not is_taken


async def test_a_removed_job_leaves_the_timeline_of_a_run_that_has_its_id(tmp_path: Path) -> None:
    async with process(tmp_path) as manager:
        edit(tmp_path, "INSERT INTO runs VALUES ('r', 'f', 'running', 0, NULL, NULL, '{}')")
        edit(tmp_path, "INSERT INTO events (run_id, event) VALUES ('r', '{}'), ('j', '{}')")
        for job_id in ("r", "j"):
            await manager.enqueue("q", "a", None, {"jobId": job_id})
            await manager.remove_job("q", job_id)
        left = await manager._database.read(
            lambda db: [run_id for (run_id,) in db.execute("SELECT run_id FROM events")]
        )

    assert left == ["r"]


async def test_the_rows_of_a_log_go_with_the_job(tmp_path: Path) -> None:
    async def talk(_job: dict[str, Any], context: JobContext) -> None:
        await context.log("info", "said")

    contexts = ContextService(MemoryStateStore(), EventBus())
    async with Database(tmp_path) as database, FileWorkerManager(contexts, database) as manager:
        over: asyncio.Queue[QueueEvent] = asyncio.Queue()
        manager.on("q", "completed", over.put_nowait)
        await manager.register_worker("q", "a", talk)

        async def rows_after(**opts: Any) -> int:
            job_id = await manager.enqueue("q", "a", None, opts)
            async with asyncio.timeout(10):
                await over.get()
            if opts.get("jobId") == "by hand":
                await manager.remove_job("q", job_id)
            sql = "SELECT count(*) FROM job_logs"
            return await database.read(lambda db: int(db.execute(sql).fetchone()[0]))

        assert await rows_after(removeOnComplete=True) == 0
        assert await rows_after(jobId="by hand") == 0
        assert [await rows_after(removeOnComplete=2) for _ in range(4)] == [1, 2, 2, 2]
