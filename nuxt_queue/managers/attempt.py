"""One attempt of one job: run the handler, say what happened, judge how it ended."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nuxt_queue.errors import (
    FlowCancelledError,
    HandlerError,
    NuxtQueueError,
    WorkerNotFoundError,
    WorkerStartError,
    WorkerTimeoutError,
)
from nuxt_queue.managers.clock import Clock
from nuxt_queue.managers.jobs import JobRecord
from nuxt_queue.managers.outcome import Completed, Failed, Interrupted, Outcome
from nuxt_queue.rpc.codec import Encoded
from nuxt_queue.services.cancelling import is_cancelling
from nuxt_queue.services.context import ContextService, JobHandler, KeepLog
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.payloads import decoded, encoded
from nuxt_queue.text import utf8

__all__ = ["Attempt", "Work"]

_log = logging.getLogger(__name__)

SHORTAGE_S = 1.0
"""How long a job waits that could not begin because this process was short of something."""


@dataclass(frozen=True, slots=True)
class Work:
    """What runs a job: the handler, the milliseconds it may take, the events that start it."""

    handler: JobHandler
    timeout_ms: int | None = None
    subscribes: tuple[str, ...] = ()


class Attempt:
    """Runs one job once.  The handler alone can be interrupted: its ending is always recorded.

    First the event is published, then the flow is told, then the manager records the outcome: a
    crash between any two of them runs the job again, and nothing that follows from it is lost.

    Args:
        job: The job, as it was when the attempt began.
        find: Returns what runs the job, or raises WorkerNotFoundError.
        contexts: Answers the handler's calls.
        bus: Where the step's events go.
        clock: Measures the timeout.
        keep_log: Gets each log line, to keep it with the job.
    """

    def __init__(
        self,
        job: JobRecord,
        find: Callable[[], Work],
        contexts: ContextService,
        bus: EventBus,
        clock: Clock,
        keep_log: KeepLog,
    ) -> None:
        self.job, self._find = job, find
        self._contexts, self._bus, self._clock = contexts, bus, clock
        self._keep_log, self._steps = keep_log, contexts.steps
        self._scope = job.scope()
        self._running: asyncio.Task[Any] | None = None
        self._stopped_by: WorkerTimeoutError | Interrupted | None = None

    async def run(self) -> Outcome:
        """Run the handler and publish the step's events; never raises what the handler raised.

        Raises:
            Exception: What follows from the outcome could not be kept; the job has to run again.
        """
        job = self.job
        await self._say("step.started", {"jobId": job.id, "name": job.name, "queue": job.queue})
        try:
            if self._steps is not None:
                await self._steps.step_started(self._scope)
        except FlowCancelledError as error:
            return await self._fail(error)
        try:
            result = await self._handle()
        except (Exception, asyncio.CancelledError) as error:
            # A handler that lets its own cancellation escape must not end the manager's task.
            if is_cancelling():
                raise
            if isinstance(error, WorkerStartError) and error.is_shortage:
                return await self._put_back(error)
            return self._interrupted() or await self._fail(error)
        await self._say("step.completed", {"result": result})
        if self._steps is not None:
            await self._steps.step_completed(self._scope, result)
        return Completed(result)

    def interrupt(self) -> None:
        """Cancel the handler because the manager ends; to do it again makes it hurry."""
        if isinstance(self._stopped_by, Interrupted) and self._running is not None:
            self._running.cancel()
        self._stop(Interrupted())

    async def _handle(self) -> Encoded:
        if isinstance(self._stopped_by, Interrupted):
            raise asyncio.CancelledError
        work = self._find()
        job = self.job.for_handler(work.subscribes)
        if not getattr(work.handler, "takes_encoded", False):
            job = {name: await decoded(await encoded(part, name)) for name, part in job.items()}
        call = work.handler(
            job,
            self._contexts.for_job(self._scope, self._keep_log),
        )
        if not inspect.isawaitable(call):
            raise TypeError(
                f"the handler returned {type(call).__name__} and nothing to await; register a"
                ' plain function with runtime "inprocess"'
            )
        running = self._running = asyncio.ensure_future(call)
        limits = [limit for limit in (work.timeout_ms, self.job.opts.timeout_ms) if limit]
        timer = None
        try:
            if limits:
                late = WorkerTimeoutError(self.job.id, min(limits))
                timer = self._clock.call_later(late.timeout_ms, lambda: self._stop(late))
            result = await running
        except BaseException:
            if not running.done():  # it must not run beside the next attempt
                running.cancel()
                await asyncio.wait({running})
            self._raise_if_late()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        self._raise_if_late()
        return await encoded(result, "result")

    def _stop(self, reason: WorkerTimeoutError | Interrupted) -> None:
        if self._stopped_by is None:
            self._stopped_by = reason
            if self._running is not None:
                self._running.cancel()

    def _raise_if_late(self) -> None:
        # Also when the handler swallowed the cancellation and went on to return something.
        if isinstance(self._stopped_by, WorkerTimeoutError):
            raise self._stopped_by from None

    def _interrupted(self) -> Interrupted | None:
        return self._stopped_by if isinstance(self._stopped_by, Interrupted) else None

    async def _put_back(self, error: WorkerStartError) -> Interrupted:
        """Let a job wait again that could not begin; meanwhile no other job takes its turn."""
        _log.warning("jobs are put back and wait: %s", error.message)
        await asyncio.sleep(SHORTAGE_S)
        return Interrupted()

    async def _fail(self, error: BaseException) -> Failed:
        job, attempt = self.job, self._scope.attempt
        reason, stack = utf8(_reason(error)), utf8(_stack(error))
        said = {"error": reason, "stack": stack}
        if attempt >= job.opts.max_attempts or not _may_retry(error):
            await self._say("step.failed", said)
            if self._steps is not None:
                await self._steps.step_failed(self._scope, reason)
            return Failed(error, reason, stack, None)
        plan = {
            "stepName": job.name,
            "queue": job.queue,
            "attempt": attempt,
            "maxAttempts": job.opts.max_attempts,
            "nextAttempt": attempt + 1,
        }
        await self._say("step.retry", plan | said)
        if self._steps is not None:
            await self._steps.step_retried(self._scope)
        return Failed(error, reason, stack, job.opts.retry_delay_ms(attempt))

    async def _say(self, event_type: str, data: Mapping[str, Any]) -> None:
        try:
            await self._bus.publish(event_type, self._scope, data)
        except (Exception, asyncio.CancelledError):
            if is_cancelling():
                raise
            _log.exception("%s of job %s could not be published", event_type, self.job.id)


def _may_retry(error: BaseException) -> bool:
    """Tell whether another attempt could end otherwise."""
    if isinstance(error, HandlerError):
        return error.data.get("retryable") is not False
    return not isinstance(error, WorkerNotFoundError | FlowCancelledError)


def _reason(error: BaseException) -> str:
    """Return one line that stands alone: hosts show nothing else."""
    if isinstance(error, NuxtQueueError):
        return str(error)
    name, text = type(error).__name__, str(error)
    if isinstance(error, asyncio.CancelledError):
        text = text or "the handler was cancelled, not by its manager"
    return f"{name}: {text}" if text else name


def _stack(error: BaseException) -> str:
    if isinstance(error, HandlerError):
        return error.traceback
    if isinstance(error, NuxtQueueError):
        return ""  # our frames say nothing about the user's code
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))
