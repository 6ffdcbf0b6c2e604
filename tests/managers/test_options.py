"""Job and worker options on their own."""

from __future__ import annotations

from typing import Any

import pytest

from nuxt_queue.config.bounds import MAX_AGE_S, MAX_COUNT, MAX_MS, MAX_PRIORITY
from nuxt_queue.errors import QueueError
from nuxt_queue.managers.options import (
    Backoff,
    JobOptions,
    Limiter,
    StartWindow,
    WorkerOptions,
)


@pytest.mark.parametrize(
    ("backoff", "waits_ms"),
    [
        (Backoff(), [0, 0, 0]),
        (Backoff(delay_ms=7), [7, 7, 7]),
        (Backoff(type="exponential", delay_ms=10), [10, 20, 40]),
        (Backoff(type="exponential", delay_ms=MAX_MS), [MAX_MS] * 3),
    ],
)
def test_the_wait_before_the_next_attempt(backoff: Backoff, waits_ms: list[int]) -> None:
    options = JobOptions(backoff=backoff)

    assert [options.retry_delay_ms(made) for made in (1, 2, 3)] == waits_ms


def test_an_exponential_wait_stays_within_what_a_timer_can_hold() -> None:
    options = JobOptions(backoff=Backoff(type="exponential", delay_ms=1))

    assert options.retry_delay_ms(10_000) == MAX_MS


def test_options_survive_the_wire() -> None:
    raw = {
        "attempts": 3,
        "backoff": {"type": "exponential", "delay": 100},
        "delay": 5,
        "priority": 2,
        "jobId": "x",
        "timeout": 1000,
        "removeOnComplete": 10,
        "removeOnFail": False,
        "lifo": True,
    }

    options = JobOptions.read(raw, refused={})

    assert options.to_wire() == raw
    assert JobOptions.read(options, refused={}) == options
    assert options.backoff == Backoff(type="exponential", delay_ms=100)


LARGEST_OF_A_JOB: list[tuple[str, dict[str, Any], int]] = [
    ("attempts", {}, MAX_COUNT),
    ("backoff", {}, MAX_MS),
    ("delay", {}, MAX_MS),
    ("priority", {}, MAX_PRIORITY),
    ("timeout", {}, MAX_MS),
    ("removeOnComplete", {}, MAX_COUNT),
    ("removeOnFail", {}, MAX_COUNT),
    ("removeOnComplete.age", {}, MAX_AGE_S),
    ("removeOnComplete.count", {}, MAX_COUNT),
    ("removeOnFail.age", {}, MAX_AGE_S),
    ("removeOnFail.count", {}, MAX_COUNT),
    ("backoff.delay", {"type": "exponential"}, MAX_MS),
    ("repeat.every", {}, MAX_MS),
    ("repeat.limit", {"every": 1}, MAX_COUNT),
    ("repeat.count", {"every": 1}, MAX_COUNT),
]
LARGEST_OF_A_WORKER: list[tuple[str, dict[str, Any], int]] = [
    ("concurrency", {}, MAX_COUNT),
    ("timeout", {}, MAX_MS),
    ("limiter.max", {"duration": 1}, MAX_COUNT),
    ("limiter.duration", {"max": 1}, MAX_MS),
]
LARGEST: list[tuple[type[JobOptions | WorkerOptions], str, dict[str, Any], int]] = [
    *((JobOptions, *each) for each in LARGEST_OF_A_JOB),
    *((WorkerOptions, *each) for each in LARGEST_OF_A_WORKER),
]


@pytest.mark.parametrize(
    ("kind", "name", "beside", "most"), LARGEST, ids=[f"{k.__name__} {n}" for k, n, *_ in LARGEST]
)
def test_a_number_that_an_engine_cannot_hold_is_refused_by_name(
    kind: type[JobOptions | WorkerOptions], name: str, beside: dict[str, Any], most: int
) -> None:
    option, _, part = name.partition(".")

    def given(number: int) -> dict[str, Any]:
        return {option: {**beside, part: number} if part else number}

    kind.read(given(most), refused={})
    for number in (most + 1, 10**16, 2**63, 2**64):
        with pytest.raises(QueueError, match=f'option "{option}.*; expected .*{most}'):
            kind.read(given(number), refused={})


def test_no_number_of_an_option_is_without_a_bound() -> None:
    """What the schema says: a number without a maximum is one that some engine cannot hold."""
    without: list[str] = []

    def look(place: str, schema: Any) -> None:
        if isinstance(schema, dict):
            if schema.get("type") == "integer" and "maximum" not in schema:
                without.append(place)
            for key, value in schema.items():
                look(f"{place}.{key}", value)
        elif isinstance(schema, list):
            for value in schema:
                look(place, value)

    look("job", JobOptions.model_json_schema())
    look("worker", WorkerOptions.model_json_schema())

    assert without == []


def test_the_hosts_short_backoff_is_a_fixed_one() -> None:
    assert JobOptions.read({"backoff": 250}, refused={}).retry_delay_ms(3) == 250


@pytest.mark.parametrize("raw", [{"delay_ms": 5}, {"delay": 5}])
def test_both_spellings_are_read(raw: dict[str, Any]) -> None:
    assert JobOptions.read(raw, refused={}).delay_ms == 5


def test_defaults_fill_what_was_not_given_and_nothing_else() -> None:
    defaults = JobOptions(attempts=5, delay_ms=9)
    given = JobOptions(attempts=1)

    assert given.over(defaults).to_wire() == {"attempts": 1, "delay": 9}
    assert given.over(None) is given


def test_a_refused_option_is_named_with_what_to_do() -> None:
    with pytest.raises(QueueError, match=r'^job option "repeat" needs a scheduler$'):
        JobOptions.read({"repeat": {}}, refused={"repeat": "needs a scheduler"})


def test_worker_options_read_the_hosts_form() -> None:
    options = WorkerOptions.read(
        {
            "runtime": "python",
            "path": "/w/a.py",
            "concurrency": 4,
            "timeout": 1000,
            "subscribes": ["a", "b"],
            "defaultJobOptions": {"attempts": 3, "backoff": 10},
        },
        refused={},
    )

    assert (str(options.path), options.timeout_ms, options.subscribes) == (
        "/w/a.py",
        1000,
        ("a", "b"),
    )
    assert options.default_job_options is not None
    assert options.default_job_options.to_wire() == {
        "attempts": 3,
        "backoff": {"type": "fixed", "delay": 10},
    }


def test_a_start_that_looked_at_the_clock_a_little_earlier_counts_in_the_same_time() -> None:
    """Processes that share a queue wait for their turn with the time already in their hands."""
    limiter = Limiter.read({"max": 2, "duration": 1_000}, refused={})
    window = StartWindow()
    assert window.start(limiter, 50_000) == 0
    assert window.start(limiter, 49_999) == 0
    assert window.start(limiter, 49_990) == 1_010
    assert window.start(limiter, 51_000) == 0
    assert window.start(limiter, 20_000) == 0  # the clock was set back
