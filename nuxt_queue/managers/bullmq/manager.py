"""BullMQWorkerManager: jobs on Redis, shared with any number of managers and with Node."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from nuxt_queue.errors import (
    HandlerError,
    JobError,
    JobStalledError,
    QueueError,
    QueueUnreachableError,
)
from nuxt_queue.managers.base import WorkerManager
from nuxt_queue.managers.bullmq.intake import Intake
from nuxt_queue.managers.bullmq.listening import QueueStreams
from nuxt_queue.managers.bullmq.locks import LockKeeper, Stalling
from nuxt_queue.managers.bullmq.markers import Markers
from nuxt_queue.managers.bullmq.queue import BullMQQueue, RejectedError, Taken
from nuxt_queue.managers.bullmq.recording import record
from nuxt_queue.managers.bullmq.records import check_job_id, check_queue_name, may_be_a_job
from nuxt_queue.managers.clock import Clock
from nuxt_queue.managers.in_flight import InFlight
from nuxt_queue.managers.job_logs import LogRecord
from nuxt_queue.managers.jobs import JobRecord, JobState
from nuxt_queue.managers.options import JobOptions, WorkerOptions
from nuxt_queue.managers.outcome import Interrupted, Settlement
from nuxt_queue.managers.queue_events import QueueListener
from nuxt_queue.managers.upkeep import check_page, check_removal, check_retry, check_states
from nuxt_queue.managers.workers import Runtimes, WorkerInfo
from nuxt_queue.services.cancelling import end, is_cancelling
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import Unsubscribe
from nuxt_queue.services.redis.server import RedisServer

__all__ = ["BullMQWorkerManager"]

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Served:
    """A queue whose jobs are run here.

    Attributes:
        queue: What is said to Redis about it.
        task: Takes its jobs.
        intake: What takes them.
        running: How many of them run.
        changed: Set when there may be room for another.
    """

    queue: BullMQQueue
    intake: Intake | None = None
    task: asyncio.Task[None] | None = None
    running: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A job that is run here, and its queue."""

    served: _Served
    taken: Taken


class BullMQWorkerManager(WorkerManager):
    """A WorkerManager whose jobs are in Redis, as BullMQ keeps them.

    What produces jobs fails within seconds when Redis is away; what runs them waits for it.  A job
    whose manager is lost runs again elsewhere, and that attempt counts.

    `get_jobs` with a limit pages through one state after the other in BullMQ's order, which for
    jobs that have ended is that of their ending.

    Args:
        contexts: Answers what handlers ask of their context.
        server: Where Redis is.
        prefix: What every key begins with; producers and workers of one queue have the same.
        stalling: When a job counts as lost.
        runtimes: Makes handlers for worker files.
        clock: Time, for timestamps and timeouts; delays are Redis' own affair.
    """

    engine: ClassVar[str] = "redis"

    def __init__(
        self,
        contexts: ContextService,
        server: RedisServer,
        *,
        prefix: str = "nq",
        stalling: Stalling | None = None,
        runtimes: Runtimes | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(contexts, runtimes=runtimes, clock=clock)
        self._server, self._prefix = server, prefix
        self._stalling = stalling or Stalling()
        self._asking = server.client(repeats=True, text=True)
        self._working = server.client(repeats=False, text=True)
        self._markers = Markers(server, prefix, self._working)
        self._streams = QueueStreams(server, prefix, self._events.tell)
        self._keeper = LockKeeper(server, prefix, self._stalling, self._lock_lost)
        self._asked: dict[str, BullMQQueue] = {}
        self._served: dict[str, _Served] = {}
        self._in_flight: InFlight[_Claim] = InFlight(
            self._process, self._record, self._release, self._clock, self._stalling.retry_s
        )
        self._taken: dict[str, JobRecord] = {}  # by token
        self._lost: set[str] = set()  # tokens of jobs that run here and are others' by now
        self._stop = asyncio.Event()
        self._owner = uuid.uuid4().hex
        self._checking: asyncio.Task[None] | None = None

    async def register_worker(
        self,
        queue: str,
        job: str,
        handler: Callable[..., Any] | None = None,
        opts: WorkerOptions | Mapping[str, Any] | None = None,
    ) -> WorkerInfo:
        """Register what runs the jobs of a name; a Redis that is away is waited for.

        Raises:
            QueueError: A name, an option or the runtime is wrong.
            QueueStorageError: Redis refuses us.
        """
        if isinstance(queue, str):
            check_queue_name(queue)
        return await super().register_worker(queue, job, handler, opts)

    async def enqueue(
        self,
        queue: str,
        job: str,
        data: Any = None,
        opts: JobOptions | Mapping[str, Any] | None = None,
    ) -> str:
        """Put a job into a queue and return its id.

        Raises:
            QueueError: A name or an option is wrong, or the manager is closed.
            QueueUnreachableError: Redis did not answer in time; the job may be there or not, and
                with a `jobId` it can be enqueued again without being there twice.
            ValuePathError: JSON cannot hold the data.
        """
        if isinstance(queue, str):
            check_queue_name(queue)
        return await super().enqueue(queue, job, data, opts)

    def on(self, queue: str, event: str, callback: QueueListener) -> Unsubscribe:
        """Call back at every such event of a queue, in whichever process it happens."""
        self._refuse_when_closed()
        unsubscribe = super().on(queue, event, callback)
        self._streams.follow(queue)
        return unsubscribe

    @property
    def trouble(self) -> str:
        """Why no job can be taken or kept now; empty while all is well."""
        taking = (served.intake for served in self._served.values())
        away = (each.trouble for each in taking if each is not None and each.trouble)
        return next(away, self._in_flight.trouble)

    async def get_job(self, queue: str, job_id: str) -> JobRecord | None:
        """Return a job as it stands, or None."""
        async with self._asked_about(queue) as asked:
            return await asked.read(job_id) if may_be_a_job(job_id) else None

    async def get_jobs(
        self,
        queue: str,
        states: Sequence[JobState] | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[JobRecord]:
        """Return a queue's jobs in the order of enqueuing; a page, state by state in BullMQ's."""
        wanted = check_states(states)
        check_page(limit, offset)
        end = None if limit is None else offset + limit
        async with self._asked_about(queue) as asked:
            found = await asked.list(sorted(wanted), end)
        if end is None and not offset:
            return sorted(found, key=lambda job: job.timestamp)
        return found[offset:end]

    async def get_job_counts(self, queue: str) -> dict[str, int]:
        """Return the number of jobs in each of the six states."""
        async with self._asked_about(queue) as asked:
            return await asked.counts()

    async def retry_job(self, queue: str, job_id: str) -> None:
        """Let a job that has failed for good run once more."""
        async with self._asked_about(queue) as asked:
            found = await asked.read(job_id) if may_be_a_job(job_id) else None
            check_retry(queue, job_id, found)
            try:
                await asked.retry(job_id)
            except RejectedError as refusal:  # somebody else was quicker
                raise QueueError(f'job "{job_id}" cannot be retried: {refusal}') from None

    async def remove_job(self, queue: str, job_id: str) -> bool:
        """Forget a job; say whether there was one."""
        async with self._asked_about(queue) as asked:
            found = await asked.read(job_id) if may_be_a_job(job_id) else None
            check_removal(queue, job_id, found)
            return found is not None and await asked.remove(job_id)

    async def get_job_logs(
        self, queue: str, job_id: str, start: int = 0, end: int = -1
    ) -> list[LogRecord]:
        """Return log lines of a job, the oldest first, those of `job.log` in Node among them."""
        async with self._asked_about(queue) as asked:
            lines = await asked.logs(job_id, start, end) if may_be_a_job(job_id) else []
        return [LogRecord.read(line) for line in lines]

    async def pause(self, queue: str) -> None:
        """Start no more jobs of a queue, in any process; running ones finish."""
        async with self._asked_about(queue) as asked:
            await asked.set_paused(paused=True)

    async def resume(self, queue: str) -> None:
        """Go on with a paused queue."""
        async with self._asked_about(queue) as asked:
            await asked.set_paused(paused=False)

    async def is_paused(self, queue: str) -> bool:
        """Tell whether a queue is paused."""
        async with self._asked_about(queue) as asked:
            return await asked.is_paused()

    async def _add(self, job: JobRecord) -> str:
        check_job_id(job.id)
        async with self._asked_about(job.queue) as asked:
            return await asked.add(job)

    async def _keep_logs(self, job: JobRecord, lines: list[str], keep: int) -> None:
        async with self._asked_about(job.queue) as asked:
            await asked.add_logs(job.id, lines, keep)

    async def _worker_changed(self, queue: str) -> None:
        if self._checking is None:
            try:
                await self._server.check()
                self._checking = asyncio.create_task(asyncio.sleep(0))
            except QueueUnreachableError as error:
                _log.warning("workers wait for Redis: %s", error)
                self._checking = asyncio.create_task(self._check_later(), name="check of Redis")
        served = self._served.get(queue)
        if served is None:
            served = self._served[queue] = _Served(self._queue(queue, self._working))
        served.queue.limit(self._workers[queue].limiter)
        served.changed.set()
        if served.task is None:
            self._keeper.start()
            self._keeper.watch(queue)
            served.task = asyncio.create_task(self._serve(served), name=f"queue {queue}")

    async def _stop_taking(self) -> None:
        self._stop.set()
        for served in self._served.values():
            served.changed.set()
        serving = [served.task for served in self._served.values() if served.task]
        await asyncio.gather(*serving, return_exceptions=True)

    async def _shut(self) -> None:
        # What Redis does not take in this time stalls, and runs again.
        late = await self._in_flight.drain(self._server.limits.operation_s)
        if late:
            _log.warning(
                "Redis has not been told how %d jobs ended: they come back when their locks"
                " have run out, with one more attempt used",
                late,
            )
        if self._checking is not None:
            await end(self._checking)
        await self._keeper.stop()
        await self._streams.close()
        await self._markers.close()
        for client in (self._asking, self._working):
            await client.aclose()

    async def _check_later(self) -> None:
        """Look at the server when it is there, as is done at the start."""
        while True:
            await asyncio.sleep(self._stalling.retry_s)
            try:
                await self._server.check()
            except QueueUnreachableError:
                continue
            except QueueError as error:
                _log.error("%s", error)
            except Exception:  # noqa: BLE001 jobs are taken all the same
                _log.exception("Redis could not be looked at")
            return

    async def _serve(self, served: _Served) -> None:
        """Serve a queue until the manager closes, whatever happens."""
        pause_s = 0.0
        while not self._stop.is_set():
            try:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), pause_s)
                pause_s = self._stalling.retry_s
                await self._take_jobs(served)
            except (Exception, asyncio.CancelledError):
                if is_cancelling():
                    raise
                with contextlib.suppress(Exception):  # a log that fails included
                    _log.exception("queue %s is served anew after a failure", served.queue.name)

    async def _take_jobs(self, served: _Served) -> None:
        """Take the jobs of a queue while there is room for them."""
        name = served.queue.name
        if not await self._is_heard(name):
            return
        if served.intake is None:
            served.intake = Intake(
                self._server,
                served.queue,
                self._markers,
                f"{self._owner}:{name}",
                self._stop,
                self._stalling.retry_s,
            )
        while not self._stop.is_set():
            if served.running >= self._concurrency(name):
                served.changed.clear()
                await served.changed.wait()
                continue
            taken = await served.intake.next()
            if taken is not None:
                self._begin(served, taken)

    async def _is_heard(self, queue: str) -> bool:
        """Wait until listeners miss nothing of a queue; False when it is to be closed before."""
        ready = asyncio.ensure_future(self._streams.ready(queue))
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({ready, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        ready.cancel()
        return not self._stop.is_set()

    def _begin(self, served: _Served, taken: Taken) -> None:
        """Hold a job and run it."""
        refusal = _refusal(taken)
        if isinstance(refusal, JobStalledError):
            # It says what became of the last attempt, and is none itself.
            counted = max(0, taken.record.attempts_made - 1)
            job = dataclasses.replace(taken.record, attempts_made=counted)
            taken = dataclasses.replace(taken, record=job)
        job, token = taken.record, taken.token
        ended = Interrupted() if self._stop.is_set() else None  # taken just before the end
        self._in_flight.begin(job, _Claim(served, taken), refusal=refusal, outcome=ended)
        self._keeper.hold(job.queue, job.id, token)
        self._taken[token] = job
        served.running += 1

    async def _record(self, claim: _Claim, settlement: Settlement, *, again: bool) -> None:
        """Write down what became of a job."""
        token = claim.taken.token
        self._taken.pop(token, None)  # from here on Redis says by itself whether it is ours still
        if token not in self._lost:
            queue = claim.served.queue
            await record(self._server, queue, claim.taken, settlement, again=again)

    def _release(self, claim: _Claim) -> None:
        token = claim.taken.token
        self._keeper.let_go(token)
        self._taken.pop(token, None)
        self._lost.discard(token)
        claim.served.running -= 1
        claim.served.changed.set()

    def _lock_lost(self, token: str) -> None:
        """End an attempt whose job is another worker's by now: its outcome would be refused."""
        job = self._taken.get(token)
        if job is not None:
            _log.warning(
                "job %s of queue %s is not this manager's any more: another worker has it by now,"
                " or Redis has lost it",
                job.id,
                job.queue,
            )
            self._lost.add(token)
            self._interrupt(job)

    def _queue(self, name: str, client: Any) -> BullMQQueue:
        return BullMQQueue(name, client, self._prefix, round(self._stalling.lock_s * 1000))

    @contextlib.asynccontextmanager
    async def _asked_about(self, name: str) -> AsyncIterator[BullMQQueue]:
        """Give what to ask about a queue, bounded; what comes of it is heard by listeners."""
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = self._queue(name, self._asking)
        async with self._server.answering():
            await self._streams.ready(name)
            yield asked


def _refusal(taken: Taken) -> JobError | None:
    """Return why a job fails instead of running."""
    job = taken.record
    if taken.stalls and not job.opts.may_be_lost_in(job.attempts_made):
        return JobStalledError(job.id, job.attempts_made)
    if taken.deferred is not None:  # a parent whose child has failed
        final = {"retryable": False}
        return HandlerError(job.id, "UnrecoverableError", taken.deferred, final)
    return None
