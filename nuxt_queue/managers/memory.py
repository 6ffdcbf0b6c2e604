"""The queue in this process's memory: no server, no file, lost with the process."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from nuxt_queue.errors import QueueError
from nuxt_queue.managers.base import WorkerManager
from nuxt_queue.managers.clock import Clock, Timer
from nuxt_queue.managers.in_flight import InFlight
from nuxt_queue.managers.job_logs import LogRecord, page_of
from nuxt_queue.managers.jobs import JOB_STATES, JobRecord, JobState
from nuxt_queue.managers.options import KeepJobs, StartWindow
from nuxt_queue.managers.outcome import Settlement
from nuxt_queue.managers.queue_events import QueueEvent
from nuxt_queue.managers.upkeep import check_page, check_removal, check_retry, check_states
from nuxt_queue.managers.workers import Runtimes
from nuxt_queue.services.context import ContextService

__all__ = ["MemoryWorkerManager"]

_log = logging.getLogger(__name__)


class MemoryWorkerManager(WorkerManager):
    """A WorkerManager for development, tests and one-off runs.

    Jobs without a priority run first, then priority 1, 2, ...; among equals, the one that waits
    longest.

    Args:
        contexts: Answers what handlers ask of their context.
        runtimes: Makes handlers for worker files.
        clock: Time, for timestamps, delays and timeouts.
        max_waiting: How many jobs of a queue may wait, delayed ones included.
        max_finished: How many completed and how many failed jobs of a queue are remembered.
    """

    engine: ClassVar[str] = "memory"

    def __init__(
        self,
        contexts: ContextService,
        *,
        runtimes: Runtimes | None = None,
        clock: Clock | None = None,
        max_waiting: int = 10_000,
        max_finished: int = 10_000,
    ) -> None:
        super().__init__(contexts, runtimes=runtimes, clock=clock)
        self._max_waiting, self._max_finished = max_waiting, max_finished
        self._queues: dict[str, _Queue] = {}
        self._in_flight: InFlight[JobRecord] = InFlight(
            self._process, self._record, self._release, self._clock, self.unkept_retry_ms / 1000
        )

    async def get_job(self, queue: str, job_id: str) -> JobRecord | None:
        """Return a copy of a job as it stands, or None."""
        kept = self._queues.get(queue)
        job = kept.jobs.get(job_id) if kept else None
        return kept.snapshot(job) if kept and job else None

    async def get_jobs(
        self,
        queue: str,
        states: Sequence[JobState] | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[JobRecord]:
        """Return copies of a queue's jobs in the order of enqueuing."""
        wanted = check_states(states)
        check_page(limit, offset)
        kept = self._queues.get(queue)
        if kept is None:
            return []
        found = (job for job in kept.jobs.values() if kept.state_of(job) in wanted)
        end = None if limit is None else offset + limit
        return [kept.snapshot(job) for job in itertools.islice(found, offset, end)]

    async def get_job_counts(self, queue: str) -> dict[str, int]:
        """Return the number of jobs in each of the six states."""
        kept = self._queues.get(queue)
        found = Counter(kept.state_of(job) for job in kept.jobs.values()) if kept else Counter()
        return {state: found[state] for state in JOB_STATES}

    async def get_job_logs(
        self, queue: str, job_id: str, start: int = 0, end: int = -1
    ) -> list[LogRecord]:
        """Return log lines of a job, the oldest first."""
        kept = self._queues.get(queue)
        return page_of(list(kept.logs.get(job_id, ())) if kept else [], start, end)

    async def pause(self, queue: str) -> None:
        """Start no more jobs of a queue; running ones finish."""
        kept = self._queue(queue)
        if not kept.paused:
            kept.paused = True
            self._events.tell(QueueEvent("paused", queue))

    async def resume(self, queue: str) -> None:
        """Go on with a paused queue."""
        kept = self._queue(queue)
        if kept.paused:
            kept.paused = False
            self._events.tell(QueueEvent("resumed", queue))
            self._pump(kept)

    async def is_paused(self, queue: str) -> bool:
        """Tell whether a queue is paused."""
        kept = self._queues.get(queue)
        return kept is not None and kept.paused

    async def retry_job(self, queue: str, job_id: str) -> None:
        """Let a job that has failed for good run once more."""
        kept = self._queue(queue)
        job = kept.jobs.get(job_id)
        check_retry(queue, job_id, job)
        assert job is not None
        kept.reopen(job)
        job.failed_reason = job.finished_on = None
        self._wait(kept, job)

    async def remove_job(self, queue: str, job_id: str) -> bool:
        """Forget a job; say whether there was one."""
        kept = self._queue(queue)
        job = kept.jobs.get(job_id)
        check_removal(queue, job_id, job)
        if job is None:
            return False
        kept.forget(job)
        return True

    async def _add(self, job: JobRecord) -> str:
        kept = self._queue(job.queue)
        if job.id in kept.jobs:
            return job.id
        if kept.waiting >= self._max_waiting:
            raise QueueError(
                f'queue "{job.queue}" is full: {kept.waiting} jobs wait in memory; let its workers'
                " catch up, or use the file or redis manager"
            )
        if job.opts.delay_ms > 0:
            job.state = "delayed"
            self._delay(kept, job, job.opts.delay_ms)
            self._events.tell(QueueEvent("delayed", kept.name, job.id))
        else:
            kept.jobs[job.id] = job
            self._wait(kept, job)
        return job.id

    async def _keep_logs(self, job: JobRecord, lines: list[str], keep: int) -> None:
        kept = self._queue(job.queue)
        if job.id in kept.jobs:
            log = kept.logs.setdefault(job.id, deque())
            log.extend(lines)
            for _ in range(len(log) - keep):
                log.popleft()

    async def _worker_changed(self, queue: str) -> None:
        self._pump(self._queue(queue))

    async def _stop_taking(self) -> None:
        """Nothing to do: a closing manager has no concurrency left."""

    async def _shut(self) -> None:
        # An attempt that outlived its cancellation is given up; it cannot be killed from here.
        await self._in_flight.drain(self.record_s)
        for kept in self._queues.values():
            for timer in (*kept.timers.values(), kept.next_start):
                if timer is not None:
                    timer.cancel()

    def _queue(self, name: str) -> _Queue:
        return self._queues.setdefault(name, _Queue(name))

    def _delay(self, kept: _Queue, job: JobRecord, delay_ms: int) -> None:
        timer = self._clock.call_later(delay_ms, lambda: self._wait(kept, job))
        kept.jobs[job.id], kept.timers[job.id] = job, timer

    def _wait(self, kept: _Queue, job: JobRecord) -> None:
        kept.timers.pop(job.id, None)
        kept.push(job)
        self._events.tell(QueueEvent("waiting", kept.name, job.id))
        self._pump(kept)

    def _pump(self, kept: _Queue) -> None:
        """Start what may run; whatever stands in the way, look again."""
        try:
            while not kept.paused and kept.active < self._concurrency(kept.name):
                if not kept.has_ready() or not self._may_start(kept):
                    return
                self._start(kept)
        except Exception:  # noqa: BLE001 it must not pass for a failure of what has just happened
            _log.exception("no job of queue %s can be started", kept.name)
            again = partial(self._pump, kept)
            asyncio.get_running_loop().call_later(self.unkept_retry_ms / 1000, again)

    def _start(self, kept: _Queue) -> None:
        now = self._clock.now_ms()
        job = kept.pop()
        taken = replace(job, state="active", processed_on=now)
        kept.jobs[job.id] = taken
        kept.active += 1
        try:
            self._in_flight.begin(taken, taken)
        except BaseException:
            kept.active -= 1
            kept.jobs[job.id] = job
            kept.push(job, first=True)
            raise
        self._events.tell(QueueEvent("active", kept.name, job.id))

    def _may_start(self, kept: _Queue) -> bool:
        """Tell whether the limiter lets a job start now; if not, look again when it does."""
        limiter = self._workers[kept.name].limiter
        if limiter is None:
            return True
        now = self._clock.now_ms()
        wait_ms = kept.window.start(limiter, now)
        if wait_ms:
            if kept.next_start is not None:
                kept.next_start.cancel()
            kept.next_start = self._clock.call_later(wait_ms, lambda: self._pump(kept))
        return not wait_ms

    async def _record(self, _taken: JobRecord, settlement: Settlement, *, again: bool) -> None:  # noqa: ARG002 nothing is half done here
        job = settlement.job
        kept = self._queue(job.queue)
        if job.state == "delayed":
            self._delay(kept, job, settlement.delay_ms)
        else:
            kept.jobs[job.id] = job
            if job.state == "waiting":
                kept.push(job, first=settlement.keeps_place)
            else:
                kept.finish(job, self._max_finished)
        self._events.tell(settlement.event)

    def _release(self, taken: JobRecord) -> None:
        kept = self._queue(taken.queue)
        kept.active -= 1
        self._pump(kept)


class _Queue:
    """The jobs of one queue and the order in which they run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.paused = False
        self.active = 0
        self.jobs: dict[str, JobRecord] = {}
        self.logs: dict[str, deque[str]] = {}
        self.timers: dict[str, Timer] = {}
        self.window = StartWindow()
        self.next_start: Timer | None = None  # when the limiter lets another job start
        self._ready: list[tuple[int, int, str]] = []  # (priority, place, id)
        self._places = itertools.count(1)
        # Ids in the order of finishing: dicts for their order and cheap removal.
        self._finished: dict[str, dict[str, None]] = {"completed": {}, "failed": {}}

    @property
    def waiting(self) -> int:
        """How many jobs wait, delayed ones included."""
        return len(self._ready) + len(self.timers)

    def push(self, job: JobRecord, *, first: bool = False) -> None:
        """Let a job wait for its turn."""
        job.state = "waiting"
        place = next(self._places)
        # As BullMQ has it: lifo is for jobs without a priority.
        lifo = job.opts.lifo and not job.opts.priority
        heapq.heappush(self._ready, (job.opts.priority, -place if first or lifo else place, job.id))

    def has_ready(self) -> bool:
        """Tell whether a job waits for its turn."""
        return bool(self._ready)

    def pop(self) -> JobRecord:
        """Take the job whose turn it is."""
        return self.jobs[heapq.heappop(self._ready)[2]]

    def forget(self, job: JobRecord) -> None:
        """Remove a job that does not run."""
        if (timer := self.timers.pop(job.id, None)) is not None:
            timer.cancel()
        self._ready = [entry for entry in self._ready if entry[2] != job.id]
        heapq.heapify(self._ready)
        for ended in self._finished.values():
            ended.pop(job.id, None)
        self._drop(job.id)

    def reopen(self, job: JobRecord) -> None:
        """Let a job that has ended be one that has not, in its old place among all."""
        for ended in self._finished.values():
            ended.pop(job.id, None)

    def finish(self, job: JobRecord, most: int) -> None:
        """Remember a job that has ended, and of those that ended like it the ones to keep."""
        completed = job.state == "completed"
        keep = KeepJobs.of(job.opts.remove_on_complete if completed else job.opts.remove_on_fail)
        ended = self._finished[job.state]
        if keep.count == 0:  # it goes, and takes no other along
            self._drop(job.id)
            return
        ended[job.id] = None
        count = most if keep.count is None else min(keep.count, most)
        stale = list(itertools.islice(ended, max(0, len(ended) - count)))
        if keep.age is not None:
            assert job.finished_on is not None
            oldest = job.finished_on - keep.age * 1000
            stale += [i for i in ended if (self.jobs[i].finished_on or 0) <= oldest]
        for job_id in dict.fromkeys(stale):
            del ended[job_id]
            self._drop(job_id)

    def _drop(self, job_id: str) -> None:
        del self.jobs[job_id]
        self.logs.pop(job_id, None)

    def state_of(self, job: JobRecord) -> JobState:
        """Return a job's state as others see it."""
        return "paused" if self.paused and job.state == "waiting" else job.state

    def snapshot(self, job: JobRecord) -> JobRecord:
        """Return a copy of a job as others see it."""
        seen = job.copied()
        seen.state = self.state_of(job)
        return seen
