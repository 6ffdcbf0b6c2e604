"""What can be asked about the jobs of a queue, and done to them by hand."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

from nuxt_queue.config.bounds import MAX_COUNT
from nuxt_queue.errors import QueueError
from nuxt_queue.managers.job_logs import LogRecord
from nuxt_queue.managers.jobs import JOB_STATES, JobRecord, JobState

__all__ = ["Upkeep", "check_page", "check_removal", "check_retry", "check_states"]

# A time of a repeated job plans the next before its handler runs: how often to look for that.
_TRIES, _PLANNED_S = 10, 0.02


class Upkeep(ABC):
    """Questions and interventions; every engine answers them alike."""

    @abstractmethod
    async def get_job(self, queue: str, job_id: str) -> JobRecord | None:
        """Return a copy of a job as it stands, or None."""

    @abstractmethod
    async def get_jobs(
        self,
        queue: str,
        states: Sequence[JobState] | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[JobRecord]:
        """Return copies of a queue's jobs in the order of enqueuing.

        Raises:
            QueueError: A state is unknown.
        """

    @abstractmethod
    async def get_job_counts(self, queue: str) -> dict[str, int]:
        """Return the number of jobs in each of the six states."""

    @abstractmethod
    async def get_job_logs(
        self, queue: str, job_id: str, start: int = 0, end: int = -1
    ) -> list[LogRecord]:
        """Return log lines of a job, all its attempts together, the oldest first.

        The newest `keepLogs` lines are kept with the job and removed with it.

        Args:
            queue: The queue.
            job_id: The job.
            start: The first line, counted from 0; from the end if negative, as in BullMQ.
            end: The last one, itself included.

        Returns:
            The lines; none of a job that has logged nothing or is not kept.
        """

    @abstractmethod
    async def retry_job(self, queue: str, job_id: str) -> None:
        """Let a job that has failed for good run once more, whatever its attempts.

        Raises:
            QueueError: There is no such job, or it has not failed.
        """

    @abstractmethod
    async def remove_job(self, queue: str, job_id: str) -> bool:
        """Forget a job; say whether there was one.

        Raises:
            QueueError: It runs.
        """

    @abstractmethod
    async def pause(self, queue: str) -> None:
        """Start no more jobs of a queue; running ones finish."""

    @abstractmethod
    async def resume(self, queue: str) -> None:
        """Go on with a paused queue, jobs enqueued meanwhile included."""

    @abstractmethod
    async def is_paused(self, queue: str) -> bool:
        """Tell whether a queue is paused."""

    async def get_scheduled_jobs(self, queue: str) -> list[JobRecord]:
        """Return what repeats in a queue: of each repeated job the one that comes next."""
        coming = await self.get_jobs(queue, ["delayed", "waiting", "paused"])
        return [job for job in coming if job.opts.repeat and not job.attempts_made]

    async def remove_scheduled_job(self, queue: str, key: str) -> bool:
        """Let a repeated job come no more; say whether there was one.

        Args:
            queue: The queue.
            key: `job.repeat_key` of any of its times.
        """
        for _ in range(_TRIES):
            coming = [j for j in await self.get_scheduled_jobs(queue) if j.repeat_key == key]
            with contextlib.suppress(QueueError):  # taken just now: its next time is what to remove
                if any([await self.remove_job(queue, job.id) for job in coming]):
                    return True
            running = await self.get_jobs(queue, ["active"])
            if not coming and all(job.repeat_key != key for job in running):
                return False
            await asyncio.sleep(_PLANNED_S)
        return False


def check_states(states: Sequence[JobState] | None) -> frozenset[JobState]:
    """Return the states asked for, all when none are named."""
    for state in states or ():
        if state not in JOB_STATES:
            raise QueueError(f'unknown job state "{state}"; known: {", ".join(JOB_STATES)}')
    return frozenset(JOB_STATES if states is None else states)


def check_page(limit: int | None, offset: int) -> None:
    """Raise QueueError for a page that there cannot be."""
    for name, value in (("limit", limit), ("offset", offset)):
        if value is not None and not 0 <= value <= MAX_COUNT:
            raise QueueError(f"{name} is {value}; expected a whole number from 0 to {MAX_COUNT}")


def check_retry(queue: str, job_id: str, job: JobRecord | None) -> None:
    """Raise QueueError unless a job can be retried: it has failed for good."""
    if job is None:
        raise QueueError(f'queue "{queue}" has no job "{job_id}"')
    if job.state != "failed":
        raise QueueError(f'job "{job_id}" is {job.state}; only a failed job can be retried')


def check_removal(queue: str, job_id: str, job: JobRecord | None) -> None:
    """Raise QueueError for a job that runs: its outcome would have no place."""
    if job is not None and job.state == "active":
        raise QueueError(f'job "{job_id}" of queue "{queue}" runs; let it end, then remove it')
