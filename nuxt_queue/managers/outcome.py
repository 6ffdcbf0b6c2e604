"""How an attempt ends, and what becomes of its job then: one table for every engine."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nuxt_queue.managers.jobs import JobRecord
from nuxt_queue.managers.queue_events import QueueEvent
from nuxt_queue.rpc.codec import Encoded

__all__ = [
    "Completed",
    "Failed",
    "Interrupted",
    "Lost",
    "Outcome",
    "Settlement",
    "settle",
    "was_lost",
]

_LOST = "its manager was lost in attempt"


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned `result`, here as JSON text."""

    result: Encoded


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed.

    Attributes:
        error: What was raised.
        reason: One line for a person, the queue's failed reason.
        stack: The handler's traceback, or an empty string.
        retry_in_ms: When the next attempt is due; None when there is none.
    """

    error: BaseException
    reason: str
    stack: str
    retry_in_ms: int | None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The attempt ended without a verdict: the job waits again, the attempt does not count.

    The manager has ended before the handler did; or what the job means for its flow could not be
    kept.

    Attributes:
        retry_in_ms: When the job may run again.
    """

    retry_in_ms: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """The attempt ended with the process of its manager: it counts, the job runs again."""


Outcome = Completed | Failed | Interrupted | Lost


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a job after an attempt.

    Attributes:
        job: The job as it is to be kept.
        is_counted: Whether the attempt is one of those that the job has.
        delay_ms: Milliseconds before a job that is `delayed` may run.
        keeps_place: Whether a job that is `waiting` has its old place, and not the last one.
    """

    job: JobRecord
    is_counted: bool
    delay_ms: int = 0
    keeps_place: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the job has completed or failed for good."""
        return self.job.state in ("completed", "failed")

    @property
    def event(self) -> QueueEvent:
        """What listeners are told."""
        job, state = self.job, self.job.state
        if state == "completed":
            return QueueEvent("completed", job.queue, job.id, result=job.result)
        if state == "failed":
            return QueueEvent("failed", job.queue, job.id, failed_reason=job.failed_reason)
        return QueueEvent("delayed" if state == "delayed" else "waiting", job.queue, job.id)


def settle(job: JobRecord, outcome: Outcome, now_ms: int) -> Settlement:
    """Return what becomes of a job.

    Args:
        job: The job, as it was when the attempt began; it is not changed.
        outcome: How the attempt ended.
        now_ms: Unix time in milliseconds.
    """
    if isinstance(outcome, Interrupted):
        return _again(job, outcome.retry_in_ms, is_counted=False, keeps_place=True)
    counted = replace(job, attempts_made=job.attempts_made + 1)
    if isinstance(outcome, Completed):
        counted.state, counted.finished_on = "completed", now_ms
        counted.result, counted.failed_reason = outcome.result, None
        return Settlement(counted, is_counted=True)
    lost = isinstance(outcome, Lost)
    reason = f"{_LOST} {counted.attempts_made}" if isinstance(outcome, Lost) else outcome.reason
    stack = "" if isinstance(outcome, Lost) else outcome.stack
    counted.failed_reason, counted.stacktrace = reason, [*job.stacktrace, stack]
    retry_in_ms = 0 if isinstance(outcome, Lost) else outcome.retry_in_ms
    if retry_in_ms is None:
        counted.state, counted.finished_on = "failed", now_ms
        return Settlement(counted, is_counted=True)
    return _again(counted, retry_in_ms, is_counted=True, keeps_place=lost)


def was_lost(job: JobRecord) -> bool:
    """Return True if the last attempt of a job ended with the process of its manager."""
    return (job.failed_reason or "").startswith(_LOST)


def _again(job: JobRecord, delay_ms: int, *, is_counted: bool, keeps_place: bool) -> Settlement:
    waiting = replace(job, state="delayed" if delay_ms > 0 else "waiting", finished_on=None)
    return Settlement(waiting, is_counted, max(0, delay_ms), keeps_place)
