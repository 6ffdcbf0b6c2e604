"""The jobs that a manager has taken, each until what became of it is recorded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from nuxt_queue.errors import JobError, QueueStorageError
from nuxt_queue.managers.clock import Clock
from nuxt_queue.managers.jobs import JobRecord
from nuxt_queue.managers.outcome import Failed, Interrupted, Outcome, Settlement, settle

__all__ = ["InFlight"]

C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)

_TRIES = 3  # to record one outcome, when it is not the place of the queues that is in the way

_log = logging.getLogger(__name__)


class Process(Protocol):
    """Runs one attempt of a job, or fails it with `refusal` instead."""

    def __call__(self, job: JobRecord, refusal: JobError | None, /) -> Awaitable[Outcome]:
        """Return how the attempt ended."""


class Record(Protocol[C_contra]):
    """Records what becomes of a job; says so itself when the job is another manager's by now."""

    def __call__(
        self, claim: C_contra, settlement: Settlement, /, *, again: bool
    ) -> Awaitable[None]:
        """Record it; `again` when it may have been recorded before, without an answer."""


@dataclass(eq=False, slots=True)
class _Flight(Generic[C]):
    job: JobRecord
    claim: C
    refusal: JobError | None
    outcome: Outcome | None
    failures: int = 0  # to record this outcome, which time will not mend
    again: bool = False
    told: bool = False


class InFlight(Generic[C]):
    """Sees each job through: its attempt is run, then its outcome is recorded.

    This is the one place that guarantees that a job which was taken is settled.  Whatever ends the
    task of a job before its outcome is recorded, the job is taken up again where it was:

    - no outcome is known: the job waits again, and the attempt does not count;
    - the place of the queues cannot be used: the same outcome is recorded when it can;
    - the outcome cannot be recorded for another reason: it is tried three times, then the job
      fails with that reason; and if that cannot be recorded either, it waits again.

    Args:
        process: Runs one attempt.
        record: Records what becomes of a job.
        release: Called once for each job that is in flight no more.
        clock: The time of day.
        pause_s: Before an outcome is recorded again.
    """

    def __init__(
        self,
        process: Process,
        record: Record[C],
        release: Callable[[C], None],
        clock: Clock,
        pause_s: float,
    ) -> None:
        self._process, self._record, self._release = process, record, release
        self._clock, self._pause_s = clock, pause_s
        self._flights: dict[_Flight[C], asyncio.Task[None] | None] = {}
        self._landed = asyncio.Event()
        self._is_over = False
        self.trouble = ""
        """Why an outcome could not be recorded, the last time; empty when it could."""

    @property
    def claims(self) -> list[C]:
        """What the manager holds."""
        return [flight.claim for flight in self._flights]

    def begin(
        self,
        job: JobRecord,
        claim: C,
        *,
        refusal: JobError | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        """See a job through, in a task of its own.

        Args:
            job: The job, as it was taken.
            claim: How the engine holds it.
            refusal: Why it fails instead of being run.
            outcome: How its attempt has ended already.
        """
        self._start(_Flight(job, claim, refusal, outcome))

    async def drain(self, timeout_s: float) -> int:
        """Wait until every known outcome is recorded, then give up what is left.

        Returns:
            How many outcomes were known and could not be recorded in that time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while any(flight.outcome is not None for flight in self._flights):
                    self._landed.clear()
                    await self._landed.wait()
        except TimeoutError:
            pass
        self._is_over = True
        unrecorded = sum(flight.outcome is not None for flight in self._flights)
        tasks = [task for task in self._flights.values() if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._pause_s)
        return unrecorded

    def _start(self, flight: _Flight[C]) -> None:
        self._flights[flight] = None
        if self._is_over:
            self._land(flight)
            return
        task = asyncio.create_task(self._see_through(flight), name=f"job {flight.job.id}")
        self._flights[flight] = task
        task.add_done_callback(lambda task: self._ended(flight, task))

    async def _see_through(self, flight: _Flight[C]) -> None:
        if flight.outcome is None:
            flight.outcome = await self._process(flight.job, flight.refusal)
        settlement = settle(flight.job, flight.outcome, self._clock.now_ms())
        again, flight.again = flight.again, True
        await self._record(flight.claim, settlement, again=again)
        self.trouble = ""

    def _ended(self, flight: _Flight[C], task: asyncio.Task[None]) -> None:
        self._flights[flight] = None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None or self._is_over:
            self._land(flight)
            return
        try:
            self._reconsider(flight, error)
        finally:
            asyncio.get_running_loop().call_later(self._pause_s, self._start, flight)

    def _reconsider(self, flight: _Flight[C], error: BaseException) -> None:
        """Choose the outcome that is recorded next, now that this one was not."""
        job, outcome = flight.job, flight.outcome
        if outcome is None:
            flight.outcome = Interrupted(round(self._pause_s * 1000))
            _log.error("job %s of queue %s has to run again: %r", job.id, job.queue, error)
            return
        if not flight.told:
            flight.told = True
            _log.error(
                "job %s of queue %s: its outcome is not recorded yet: %s",
                job.id,
                job.queue,
                error if isinstance(error, QueueStorageError) else repr(error),
            )
        if isinstance(error, QueueStorageError):
            self.trouble = str(error)
            return
        flight.failures += 1
        if flight.failures < _TRIES:
            return
        flight.failures = 0
        if isinstance(outcome, Failed) and outcome.retry_in_ms is None:
            flight.outcome = Interrupted(round(self._pause_s * 1000))
        elif not isinstance(outcome, Interrupted):
            reason = f"its outcome cannot be recorded: {type(error).__name__}: {error}"
            flight.outcome = Failed(error, reason, "", None)

    def _land(self, flight: _Flight[C]) -> None:
        del self._flights[flight]
        self._landed.set()
        self._release(flight.claim)
