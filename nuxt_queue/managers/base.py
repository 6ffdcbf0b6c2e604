"""WorkerManager: what every queue promises, and all of it that does not depend on the queue."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from abc import abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, ClassVar, Self

from nuxt_queue.errors import JobError, QueueClosedError, QueueError
from nuxt_queue.managers.attempt import Attempt, Work
from nuxt_queue.managers.clock import Clock, LoopClock
from nuxt_queue.managers.jobs import JobRecord, next_time_of
from nuxt_queue.managers.log_writer import AttemptLog, LogWriter
from nuxt_queue.managers.options import JobOptions, WorkerOptions
from nuxt_queue.managers.outcome import Interrupted, Outcome, was_lost
from nuxt_queue.managers.queue_events import QueueEvents, QueueListener
from nuxt_queue.managers.upkeep import Upkeep
from nuxt_queue.managers.workers import (
    QueueWorker,
    Runtimes,
    WorkerInfo,
    child_processes,
    file_runtime,
    job_handler,
)
from nuxt_queue.rpc.codec import Encoded
from nuxt_queue.rpc.messages import MAX_MESSAGE, check_size
from nuxt_queue.services.cancelling import is_cancelling
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus, Unsubscribe
from nuxt_queue.services.payloads import encoded
from nuxt_queue.text import has_surrogate

__all__ = ["WorkerManager"]

_log = logging.getLogger(__name__)

_AGAIN_S = 0.1  # between two interruptions of a job that is to end at once


class WorkerManager(Upkeep):
    """Workers and their jobs: one worker a queue, which dispatches by the job's name.

    A subclass keeps the jobs: it says when one may run, hands it to `_process`, and records the
    outcome.  Dispatch, runtimes, the identity of the attempt, step events, the timeout and the
    decision to try again are here.

    Use it as an async context manager, or call `close_all`.

    Args:
        contexts: Answers what handlers ask of their context; its bus gets the step events.
        runtimes: Makes handlers for worker files.
        clock: Time, for timestamps and timers.
    """

    engine: ClassVar[str]
    """What this manager is called in messages."""
    refused_job_options: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """What this queue cannot do: a job option's wire name, and how the sentence goes on."""
    refused_worker_options: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """The same for the options of a registration."""
    unkept_retry_ms: ClassVar[int] = 1_000
    """Before a job runs again of which could not be kept what it means for its flow."""
    record_s: ClassVar[float] = 5.0
    """At the end: how long outcomes are tried to be recorded that cannot be at once."""
    cancel_s: ClassVar[float] = 10.0
    """After the grace: what a cancelled handler gets to kill its process and clean up."""
    max_message: int = MAX_MESSAGE
    """Bytes of the longest data of a job whose worker is not registered here."""
    log_s: ClassVar[float] = 2.0
    """How long the end of a job waits for its log lines to be kept."""

    def __init__(
        self,
        contexts: ContextService,
        *,
        runtimes: Runtimes | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._contexts = contexts
        self._runtimes = runtimes or child_processes
        self._registered: list[WorkerInfo] = []
        self._clock = clock or LoopClock()
        self._events = QueueEvents()
        self._logs = LogWriter(self._keep_logs)
        self._workers: dict[str, QueueWorker] = {}
        self._attempts: set[Attempt] = set()
        self._attempt_ended = asyncio.Event()
        self._numbers = itertools.count()
        self._closing = False  # no job starts any more
        self._closed = False  # none is accepted any more

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An exception is a reason to leave, not to wait for jobs.
        await self.close_all(grace_s=0 if error else 15)

    @property
    def bus(self) -> EventBus:
        """Where step events go."""
        return self._contexts.bus

    async def register_worker(
        self,
        queue: str,
        job: str,
        handler: Callable[..., Any] | None = None,
        opts: WorkerOptions | Mapping[str, Any] | None = None,
    ) -> WorkerInfo:
        """Register what runs the jobs of a name; registering again replaces it for later jobs.

        Args:
            queue: The queue; its worker has the largest concurrency that was registered.
            job: The jobs' name.
            handler: A JobHandler; with `runtime: "inprocess"` a callable `(job, ctx)`; None when
                `opts.path` names a worker file.
            opts: WorkerOptions, or the host's camelCase object.

        Raises:
            QueueError: A name, an option or the runtime is wrong.
        """
        self._refuse_when_closed()
        _check_name("queue name", queue)
        _check_name("job name", job)
        options = WorkerOptions.read(opts, refused=self.refused_worker_options)
        info = WorkerInfo(
            queue_name=queue,
            job_name=job,
            handler=job_handler(handler, options, self._runtimes),
            runtime="inprocess" if handler else file_runtime(options),
            concurrency=options.concurrency,
            autorun=options.autorun,
            options=options,
        )
        replaced = self.get_worker(queue, job)
        self._registered.append(info)
        self._workers.setdefault(queue, QueueWorker(queue)).add(info)
        await self._worker_changed(queue)
        await self._let_go(replaced)
        return info

    async def unregister_worker(self, queue: str, job: str) -> bool:
        """Take no more jobs of a name; say whether it was registered.

        Those that run finish.  Those of the last name of a queue wait for a worker; beside other
        names of the queue they fail, because they would stand in the others' way.
        """
        info = self.get_worker(queue, job)
        if info is None:
            return False
        del self._workers[queue].infos[job]
        await self._worker_changed(queue)
        await self._let_go(info)
        return True

    def get_worker(self, queue: str, job: str) -> WorkerInfo | None:
        """Return a registration, or None."""
        worker = self._workers.get(queue)
        return worker.infos.get(job) if worker else None

    @property
    def trouble(self) -> str:
        """Why no job can be taken or kept now; empty while all is well."""
        return ""

    async def start_queue(self, queue: str) -> None:
        """Let a queue run whose workers were all registered with `autorun` false.

        Raises:
            QueueError: The queue has no worker.
        """
        if queue not in self._workers:
            raise QueueError(f'queue "{queue}" has no worker to start; register one first')
        self._workers[queue].started = True
        await self._worker_changed(queue)

    async def enqueue(
        self,
        queue: str,
        job: str,
        data: Any = None,
        opts: JobOptions | Mapping[str, Any] | None = None,
    ) -> str:
        """Put a job into a queue and return its id.

        Options that are not given come from `default_job_options` of the registration, if this
        manager has one.  A job whose `job_id` the queue knows already is not made again.  With
        `repeat` the job that is made is the first of its kind, which waits for its time; asking
        for the same again changes nothing.

        Raises:
            QueueError: A name or an option is wrong, or the queue is full or closed.
            ValuePathError: JSON cannot hold the data, or it is longer than `worker.max_message`
                allows.
        """
        self._refuse_when_closed()
        _check_name("queue name", queue)
        _check_name("job name", job)
        info = self.get_worker(queue, job)
        options = JobOptions.read(opts, refused=self.refused_job_options)
        options = options.over(info.options.default_job_options if info else None)
        now = self._clock.now_ms()
        payload = await encoded(data, "data")
        self._check_size(payload, info)
        if options.repeat is not None:
            if options.job_id is not None:
                raise QueueError('job option "jobId": a repeated job gets its ids from its times')
            first = next_time_of(JobRecord("", job, queue, payload, options, now), now)
            if first is None:
                raise QueueError(f'repeat "{options.repeat.pattern}" never comes round')
            return await self._add(first)
        # Ids made here rise, so that jobs of one millisecond keep their order where ids decide.
        made = f"{now}-{next(self._numbers) % 0x10000:04x}{secrets.token_hex(4)}"
        job_id = options.job_id or made
        _check_name("job id", job_id)
        return await self._add(JobRecord(job_id, job, queue, payload, options, now))

    def on(self, queue: str, event: str, callback: QueueListener) -> Unsubscribe:
        """Call back at every such event of a queue; return the way out.

        Events: waiting, active, progress, completed, failed, delayed, paused, resumed, stalled.
        A callback that raises is logged; one that is a coroutine function runs beside the job.
        """
        return self._events.on(queue, event, callback)

    async def close_all(self, grace_s: float = 15.0, *, at_once: bool = False) -> None:
        """Take no more jobs, let running ones finish, then interrupt them; idempotent.

        What the running ones start, the next step of a flow, is still accepted, and waits.
        An interrupted job waits again and has not used an attempt.  A second call while the first
        waits shortens the grace.

        Args:
            grace_s: Seconds that running jobs have.
            at_once: Interrupt them again and again until they are gone, which kills a process
                that would be asked to end first.
        """
        self._closing = True
        await self._stop_taking()
        if not await self._settle(0 if at_once else grace_s):
            await self._interrupt_all(_AGAIN_S if at_once else self.cancel_s)
        self._closed = True
        await self._logs.close(self.log_s)
        await self._shut()
        await self._events.drain(self.cancel_s)
        for info in self._registered:
            await info.close()

    @abstractmethod
    async def _add(self, job: JobRecord) -> str:
        """Keep a checked job, or find the one that has its id; return the id."""

    @abstractmethod
    async def _keep_logs(self, job: JobRecord, lines: list[str], keep: int) -> None:
        """Add lines to the log of a job and keep so many, the newest; none if it is gone."""

    @abstractmethod
    async def _worker_changed(self, queue: str) -> None:
        """React to a new registration or a started queue."""

    @abstractmethod
    async def _stop_taking(self) -> None:
        """Start no further job."""

    @abstractmethod
    async def _shut(self) -> None:
        """Record what has ended, and let go of everything that is held."""

    def _concurrency(self, queue: str) -> int:
        """Return how many jobs of a queue may run at once here: 0 without a started worker."""
        worker = self._workers.get(queue)
        if worker is None or not worker.started or self._closing:
            return 0
        return worker.concurrency

    async def _process(self, job: JobRecord, refusal: JobError | None = None) -> Outcome:
        """Run one attempt of a job and publish its step events.

        Args:
            job: The job.
            refusal: Why it fails instead of being run.
        """

        def find() -> Work:
            if refusal is not None:
                raise refusal
            return self._workers[job.queue].work(job.name)

        log = self._logs.of(job)
        attempt: Attempt | None = None
        try:
            await job.open()
            # The last worker of the queue may have been unregistered while the job was being taken.
            has_worker = refusal is not None or bool(self._workers[job.queue].infos)
            if not has_worker or not await self._plan_next(job):
                return Interrupted(self.unkept_retry_ms)
            attempt = Attempt(job, find, self._contexts, self.bus, self._clock, log.take)
            self._attempts.add(attempt)
            return await self._run(attempt, log)
        except (Exception, asyncio.CancelledError):
            if is_cancelling():
                raise
            _log.exception("job %s of queue %s has to run again", job.id, job.queue)
            return Interrupted(self.unkept_retry_ms)
        finally:
            if attempt is not None:
                self._attempts.discard(attempt)
            self._attempt_ended.set()

    async def _run(self, attempt: Attempt, log: AttemptLog) -> Outcome:
        """Run an attempt and write its log, so that the log of a job that has ended is complete."""
        outcome = await attempt.run()
        try:
            await log.finish(self.log_s)
        except (Exception, asyncio.CancelledError):
            if is_cancelling():
                raise
            _log.exception("the log of job %s is not written yet", attempt.job.id)
        return outcome

    def _check_size(self, payload: Encoded, info: WorkerInfo | None) -> None:
        """Raise ValuePathError for data that the worker would not get."""
        limit = info.max_message if info else None
        check_size("data", len(payload), limit or self.max_message)

    def _interrupt(self, job: JobRecord) -> None:
        """End the attempt that `_process` runs of this very record, without a verdict."""
        for attempt in self._attempts:
            if attempt.job is job:
                attempt.interrupt()

    async def _plan_next(self, job: JobRecord) -> bool:
        """Enqueue the next time of a repeated job; say whether it is sure to come.

        Called before the job runs.  A later attempt of it plans nothing, unless the first was lost
        before it could.  An engine that repeats by itself overrides it.
        """
        lost = was_lost(job)
        if job.opts.repeat is None or (job.attempts_made and not lost):
            return True
        try:
            if lost and await self._is_planned(job):
                return True
            following = next_time_of(job, self._clock.now_ms())
            if following is not None:
                await self._add(following)
        except Exception:  # noqa: BLE001 such as a time zone that this machine does not have
            _log.exception("the next time of job %s of queue %s is not planned", job.id, job.queue)
            return False
        return True

    async def _is_planned(self, job: JobRecord) -> bool:
        coming = await self.get_scheduled_jobs(job.queue)
        return any(each.repeat_key == job.repeat_key for each in coming)

    async def _let_go(self, info: WorkerInfo | None) -> None:
        """Close a registration that counts no more; its jobs that run finish."""
        if info is not None:
            self._registered.remove(info)
            await info.close()

    async def _interrupt_all(self, again_s: float) -> None:
        """Interrupt what runs until it is gone, or has had all the time that it gets."""
        times = round(self.cancel_s / again_s) if again_s else 1
        for _ in range(max(1, times)):
            for attempt in list(self._attempts):
                attempt.interrupt()
            if await self._settle(again_s):
                return

    async def _settle(self, timeout_s: float) -> bool:
        """Wait until no attempt runs; say whether that came true in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._attempts:
                    self._attempt_ended.clear()
                    await self._attempt_ended.wait()
        except TimeoutError:
            return False
        return True

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise QueueClosedError(f"the {self.engine} manager is closed")


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not name:
        raise QueueError(f"a {what} is a string that is not empty, got {name!r}")
    if has_surrogate(name):
        raise QueueError(f"a {what} is text of whole characters, got {name!r}")
    if any(char < " " or char == "\x7f" for char in name):
        raise QueueError(f"a {what} has no control characters, got {name!r}")
    if ":" in name and what != "job name":
        # BullMQ builds Redis keys with it; refused everywhere, so that a queue can move there.
        raise QueueError(f'a {what} must not contain ":", got {name!r}')
