"""FileWorkerManager: takes jobs from the file, and gives back what a dead manager has left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nuxt_queue.errors import JobStalledError, QueueStorageError
from nuxt_queue.managers.base import WorkerManager
from nuxt_queue.managers.clock import Clock, Timer
from nuxt_queue.managers.file import event_log, job_log, job_rows, job_table
from nuxt_queue.managers.file.job_rows import Claim
from nuxt_queue.managers.file.job_table import Want
from nuxt_queue.managers.file.lease import Lease
from nuxt_queue.managers.in_flight import InFlight
from nuxt_queue.managers.job_logs import LogRecord, page_of
from nuxt_queue.managers.jobs import JobRecord, JobState
from nuxt_queue.managers.outcome import Lost, Settlement
from nuxt_queue.managers.queue_events import QueueEvent, QueueListener
from nuxt_queue.managers.upkeep import check_page, check_removal, check_retry, check_states
from nuxt_queue.managers.workers import Runtimes
from nuxt_queue.services.cancelling import is_cancelling
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import Unsubscribe
from nuxt_queue.services.sqlite import Database

__all__ = ["FileWorkerManager"]

# Of a long list of what has ended the surplus is removed now and then, after so many more.
_NOW_AND_THEN = 100

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What one look into the file has brought: queue and id of what fell due, jobs, a wait."""

    fallen_due: list[tuple[str, str]]
    claims: list[Claim]
    wait_ms: int | None


class FileWorkerManager(WorkerManager):
    """A WorkerManager for one machine: any number of processes share the queues of one file.

    A job that was accepted is in the file, and stays there until its outcome is.  It is held by
    the manager that runs it, and a manager that is dead holds nothing: within 2 seconds another
    takes over its jobs (15 seconds where a process cannot be seen, as in another container).  An
    attempt that ended so counts, but the first never is a job's last.  An outcome that comes too
    late, from a manager that was taken for dead, is dropped.

    Args:
        contexts: Answers what handlers ask of their context.
        database: The file; not closed by the manager.
        runtimes: Makes handlers for worker files.
        clock: Time, for timestamps, delays and timeouts.
        max_finished: How many completed and how many failed jobs of a queue are remembered.
    """

    engine: ClassVar[str] = "file"
    again_s: ClassVar[float] = 1.0
    """Before the file is tried again that could not be used."""
    look_s: ClassVar[float] = 1.0
    """Between two looks for jobs that are held by this manager and run nowhere."""

    def __init__(
        self,
        contexts: ContextService,
        database: Database,
        *,
        runtimes: Runtimes | None = None,
        clock: Clock | None = None,
        max_finished: int = 10_000,
    ) -> None:
        super().__init__(contexts, runtimes=runtimes, clock=clock)
        self._database, self._max_finished = database, max_finished
        self._lease = Lease(database, self._on_lost, self._on_stranded)
        self._active: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()  # by queue, since this manager began
        self._in_flight: InFlight[Claim] = InFlight(
            self._process, self._record, self._release, self._clock, self.again_s
        )
        self._look_at = 0.0
        self._astray: set[tuple[int, int]] = set()  # at the last look, by row and token
        self._wake = asyncio.Event()
        self._timer: Timer | None = None
        self._serving: asyncio.Task[None] | None = None
        self._heard = 0
        self._trouble = ""
        self._newest: asyncio.Future[int] | None = None  # where to hear from, once it is known

    @property
    def trouble(self) -> str:
        """Why no job can be taken or kept now; empty while all is well."""
        return self._trouble or self._lease.trouble or self._in_flight.trouble

    async def get_job(self, queue: str, job_id: str) -> JobRecord | None:
        """Return a job as it stands, or None."""
        return await self._database.read(lambda db: job_rows.find_job(db, queue, job_id))

    async def get_jobs(
        self,
        queue: str,
        states: Sequence[JobState] | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[JobRecord]:
        """Return a queue's jobs in the order of enqueuing."""
        wanted = check_states(states)
        check_page(limit, offset)
        return await self._database.read(
            lambda db: job_rows.list_jobs(db, queue, wanted, limit, offset)
        )

    async def get_job_counts(self, queue: str) -> dict[str, int]:
        """Return the number of jobs in each of the six states."""
        return await self._database.read(lambda db: job_rows.count_jobs(db, queue))

    async def retry_job(self, queue: str, job_id: str) -> None:
        """Let a job that has failed for good run once more."""
        event = QueueEvent("waiting", queue, job_id)

        def again(db: sqlite3.Connection) -> None:
            check_retry(queue, job_id, job_rows.find_job(db, queue, job_id))
            job_table.requeue(db, queue, job_id)
            event_log.note(db, self._lease.owner_id, event)

        await self._database.write(again)
        self._tell(event)

    async def remove_job(self, queue: str, job_id: str) -> bool:
        """Forget a job; say whether there was one."""

        def remove(db: sqlite3.Connection) -> bool:
            job = job_rows.find_job(db, queue, job_id)
            check_removal(queue, job_id, job)
            job_table.remove_row(db, queue, job_id)
            return job is not None

        return await self._database.write(remove)

    async def get_job_logs(
        self, queue: str, job_id: str, start: int = 0, end: int = -1
    ) -> list[LogRecord]:
        """Return log lines of a job, the oldest first."""
        lines = await self._database.read(lambda db: job_log.read(db, queue, job_id))
        return page_of(lines, start, end)

    async def pause(self, queue: str) -> None:
        """Start no more jobs of a queue, in any process; running ones finish."""
        await self._set_paused(queue, paused=True)

    async def resume(self, queue: str) -> None:
        """Go on with a paused queue."""
        await self._set_paused(queue, paused=False)

    async def is_paused(self, queue: str) -> bool:
        """Tell whether a queue is paused."""
        return await self._database.read(lambda db: job_rows.is_paused(db, queue))

    def on(self, queue: str, event: str, callback: QueueListener) -> Unsubscribe:
        """Call back at every such event of a queue, in whatever process it happens."""
        self._refuse_when_closed()
        if not self._events.has_listeners:  # what happened before is none of its business
            self._newest = asyncio.ensure_future(self._database.read(event_log.last_event))
        stop = super().on(queue, event, callback)
        self._start()
        return stop

    async def _add(self, job: JobRecord) -> str:
        event = QueueEvent("delayed" if job.opts.delay_ms > 0 else "waiting", job.queue, job.id)

        def add(db: sqlite3.Connection) -> bool:
            is_new = job_table.insert_job(db, job, self._clock.now_ms())
            if is_new:
                event_log.note(db, self._lease.owner_id, event)
            return is_new

        if await self._database.write(add):
            self._tell(event)
        return job.id

    async def _keep_logs(self, job: JobRecord, lines: list[str], keep: int) -> None:
        # Behind what was written before, and before the outcome: nobody has to wait for the disk.
        await self._database.post(lambda db: job_log.add(db, job.queue, job.id, lines, keep))

    async def _worker_changed(self, queue: str) -> None:  # noqa: ARG002 all queues have one loop
        await self._lease.begin()
        self._start()
        self._wake.set()

    async def _stop_taking(self) -> None:
        self._wake.set()
        if self._serving is not None:
            await asyncio.wait({self._serving})

    async def _shut(self) -> None:
        # An attempt that outlived its cancellation is given up; it cannot be killed from here.
        await self._in_flight.drain(self.record_s)
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._lease.end()
        except QueueStorageError as error:
            _log.warning("jobs could not be put back: %s", error)

    def _start(self) -> None:
        """Serve the queues and tell the listeners, in a task; idempotent."""
        if self._serving is None and not self._closing:
            self._serving = asyncio.create_task(self._serve(), name="file queues")

    async def _serve(self) -> None:
        """Take what there is to do and hear what others did, until the manager closes."""
        pause_s = 0.0
        while not self._closing:
            try:
                await self._rest(pause_s)
                pause_s = self.again_s  # unless all goes well
                self._wake.clear()
                await self._hear()
                await self._take()
                await self._look_for_strays()
                self._trouble, pause_s = "", self._database.poll_s
            except QueueStorageError as error:
                if not self._trouble:
                    _log.error("no job can be taken: %s", error)
                self._trouble = str(error)
            except (Exception, asyncio.CancelledError):
                if is_cancelling():
                    raise
                with contextlib.suppress(Exception):  # a log that fails included
                    _log.exception("no job can be taken")

    async def _rest(self, seconds: float) -> None:
        """Wait, or until there is something to do."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _hear(self) -> None:
        """Tell listeners what other processes did."""
        if self._newest is not None:
            try:
                self._heard = await self._newest
            except BaseException:
                self._newest = asyncio.ensure_future(self._database.read(event_log.last_event))
                raise
            self._newest = None
        heard = self._heard
        if self._events.has_listeners:
            self._heard, events = await self._database.read(
                lambda db: event_log.events_since(db, heard, self._lease.owner_id)
            )
            for event in events:
                self._events.tell(event)

    async def _take(self) -> None:
        """Start what may run."""
        wants = [
            Want(queue, free, worker.limiter)
            for queue, worker in self._workers.items()
            if (free := self._concurrency(queue) - self._active[queue]) > 0
        ]
        now = self._clock.now_ms()
        ready, due_ms = await self._database.read(
            lambda db: job_rows.next_due(db, [want.queue for want in wants])
        )
        is_due = due_ms is not None and due_ms <= now
        if due_ms is not None and not is_due:
            self._look_in(due_ms - now)
        if not (ready or is_due):
            return
        found = await self._database.write(lambda db: self._claim(db, wants, now))
        if found.wait_ms:
            self._look_in(found.wait_ms)
        for queue, job_id in found.fallen_due:
            self._events.tell(QueueEvent("waiting", queue, job_id))
        for claim in found.claims:
            self._begin(claim)

    def _claim(self, db: sqlite3.Connection, wants: list[Want], now_ms: int) -> _Taken:
        me = self._lease.owner_id
        fallen_due = job_table.let_in(db, [want.queue for want in wants], now_ms)
        for queue, job_id in fallen_due:
            event_log.note(db, me, QueueEvent("waiting", queue, job_id))
        taken, wait_ms = job_table.claim(db, wants, me, now_ms)
        for claim in taken:
            event_log.note(db, me, QueueEvent("active", claim.job.queue, claim.job.id))
        return _Taken(fallen_due, taken, wait_ms)

    def _look_in(self, delay_ms: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_later(delay_ms, self._wake.set)

    def _begin(self, claim: Claim) -> None:
        self._active[claim.job.queue] += 1
        self._in_flight.begin(claim.job, claim)
        self._events.tell(QueueEvent("active", claim.job.queue, claim.job.id))

    async def _look_for_strays(self) -> None:
        """Let jobs wait again that are this manager's in the file and that it does not run.

        That can be seen twice in a row only of a job that was lost on its way from the file to
        here, by an error between the two.
        """
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + self.look_s
        me = self._lease.owner_id
        found = await self._database.read(lambda db: job_table.held_by(db, me))
        held = {(claim.seq, claim.token) for claim in self._in_flight.claims}
        strays, self._astray = (found - held) & self._astray, found - held
        if not strays:
            return
        _log.error("%d jobs were taken and not begun; they wait again", len(strays))
        await self._database.write(lambda db: job_table.release(db, me, strays))
        self._wake.set()

    async def _record(self, claim: Claim, settlement: Settlement, *, again: bool) -> None:
        """Write down what became of a job."""
        job, event = settlement.job, settlement.event
        now = self._clock.now_ms()

        def save(db: sqlite3.Connection) -> bool:
            if not job_table.save_job(db, claim, settlement, self._lease.owner_id, now):
                return again and job_table.is_let_go(db, claim)
            if settlement.is_final:
                look = self._ended[job.queue] % _NOW_AND_THEN == 0
                self._ended[job.queue] += 1
                job_table.forget_surplus(db, job, self._max_finished, may_wait=not look)
            event_log.note(db, self._lease.owner_id, event)
            return True

        if await self._database.write(save):
            self._tell(event)
        else:
            _log.warning(
                "job %s of queue %s was given to another manager while it ran; its outcome, %s, is"
                " dropped",
                job.id,
                job.queue,
                job.state,
            )

    def _release(self, claim: Claim) -> None:
        self._active[claim.job.queue] -= 1
        self._wake.set()

    async def _set_paused(self, queue: str, *, paused: bool) -> None:
        event = QueueEvent("paused" if paused else "resumed", queue)

        def change(db: sqlite3.Connection) -> bool:
            is_change = job_table.set_paused(db, queue, paused=paused)
            if is_change:
                event_log.note(db, self._lease.owner_id, event)
            return is_change

        if await self._database.write(change):
            self._tell(event)

    def _on_lost(self) -> None:
        _log.warning("this manager was silent for too long: others run its jobs now")
        for attempt in list(self._attempts):
            attempt.interrupt()

    def _on_stranded(self, stranded: list[Claim]) -> None:
        """Give back the jobs of a dead manager, or end them when that was their last attempt."""
        for claim in stranded:
            job, attempt = claim.job, claim.job.attempts_made + 1
            self._active[job.queue] += 1
            if job.opts.may_be_lost_in(attempt):
                self._in_flight.begin(job, claim, outcome=Lost())
            else:
                self._in_flight.begin(job, claim, refusal=JobStalledError(job.id, attempt))
            self._events.tell(QueueEvent("stalled", job.queue, job.id))

    def _tell(self, event: QueueEvent) -> None:
        self._events.tell(event)
        self._wake.set()
