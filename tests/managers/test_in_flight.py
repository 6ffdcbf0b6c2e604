"""A job that was taken is settled, whatever happens to the task that sees it through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from nuxt_queue.errors import JobError, QueueStorageError
from nuxt_queue.managers.clock import LoopClock
from nuxt_queue.managers.in_flight import InFlight
from nuxt_queue.managers.jobs import JobRecord
from nuxt_queue.managers.options import JobOptions
from nuxt_queue.managers.outcome import Completed, Outcome, Settlement
from nuxt_queue.rpc.codec import Encoded

WAIT_S = 5.0
AWAY = QueueStorageError("the place", "it is away")


@dataclass
class Engine:
    """What InFlight drives, with failures to come.

    Attributes:
        processing: Raised by the attempts, one after the other; None runs one.
        recording: Raised by the records, one after the other; None records.
    """

    processing: list[BaseException | None] = field(default_factory=list)
    recording: list[BaseException | None] = field(default_factory=list)
    runs: int = 0
    recorded: list[Settlement] = field(default_factory=list)
    again: list[bool] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    stuck: asyncio.Event | None = None

    async def process(self, _job: JobRecord, _refusal: JobError | None) -> Outcome:
        self.runs += 1
        if self.stuck is not None:
            await self.stuck.wait()
        raise_next(self.processing)
        return Completed(Encoded(b"7"))

    async def record(self, _claim: str, settlement: Settlement, *, again: bool) -> None:
        self.again.append(again)
        raise_next(self.recording)
        self.recorded.append(settlement)

    def in_flight(self) -> InFlight[str]:
        return InFlight(self.process, self.record, self.released.append, LoopClock(), 0.001)


def raise_next(errors: list[BaseException | None]) -> None:
    error = errors.pop(0) if errors else None
    if error is not None:
        raise error


def a_job() -> JobRecord:
    return JobRecord("j", "a", "q", Encoded(b"1"), JobOptions(), 0, "active")


async def until(is_so: Callable[[], bool]) -> None:
    while True:
        if is_so():
            return
        await asyncio.sleep(0.001)


async def landed(engine: Engine) -> Settlement:
    in_flight = engine.in_flight()
    in_flight.begin(a_job(), "claim")
    async with asyncio.timeout(WAIT_S):
        await until(lambda: bool(engine.released))
    assert engine.released == ["claim"]
    assert not in_flight.claims
    (settlement,) = engine.recorded
    return settlement


KINDS: list[BaseException] = [
    RuntimeError("no"),
    MemoryError(),
    OSError(28, "No space left on device"),
    asyncio.CancelledError(),
    AWAY,
]


@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
async def test_an_attempt_that_breaks_off_lets_its_job_run_again(
    error: BaseException,
) -> None:
    engine = Engine(processing=[error])

    settlement = await landed(engine)

    assert (settlement.job.state, settlement.is_counted) == ("delayed", False)
    assert engine.runs == 1


@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
async def test_an_outcome_that_could_not_be_recorded_is_recorded_and_nothing_runs_again(
    error: BaseException,
) -> None:
    engine = Engine(recording=[error, error])

    settlement = await landed(engine)

    assert (settlement.job.state, settlement.job.returnvalue) == ("completed", 7)
    assert engine.runs == 1
    assert engine.again == [False, True, True]


async def test_a_place_that_is_away_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine(recording=[AWAY] * 20)

    settlement = await landed(engine)

    assert settlement.job.state == "completed"
    assert caplog.text.count("its outcome is not recorded yet") == 1


async def test_an_outcome_that_can_never_be_recorded_fails_the_job_by_name() -> None:
    engine = Engine(recording=[OverflowError("int too large")] * 3)

    settlement = await landed(engine)

    assert settlement.job.state == "failed"
    assert (
        settlement.job.failed_reason
        == "its outcome cannot be recorded: OverflowError: int too large"
    )


async def test_a_job_whose_failure_cannot_be_recorded_either_waits_again() -> None:
    engine = Engine(recording=[OverflowError("int too large")] * 6)

    settlement = await landed(engine)

    assert (settlement.job.state, settlement.is_counted) == ("delayed", False)


async def test_draining_waits_for_outcomes_and_gives_up_what_runs() -> None:
    engine = Engine(recording=[AWAY] * 3)
    late = Engine(stuck=asyncio.Event())
    in_flight, stuck = engine.in_flight(), late.in_flight()
    in_flight.begin(a_job(), "claim")
    stuck.begin(a_job(), "stuck")
    await asyncio.sleep(0)

    async with asyncio.timeout(WAIT_S):
        assert await in_flight.drain(WAIT_S) == 0
        assert await stuck.drain(WAIT_S) == 0

    assert len(engine.recorded) == 1
    assert late.recorded == []
    assert (engine.released, late.released) == (["claim"], ["stuck"])


async def test_draining_says_how_many_outcomes_are_lost() -> None:
    engine = Engine(recording=[AWAY] * 10_000)
    in_flight = engine.in_flight()
    in_flight.begin(a_job(), "claim")
    async with asyncio.timeout(WAIT_S):
        await until(lambda: bool(in_flight.trouble))

        assert await in_flight.drain(0.01) == 1

        await until(lambda: bool(engine.released))
    assert in_flight.trouble == str(AWAY)
