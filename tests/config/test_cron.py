"""When a cron pattern comes round, daylight saving included."""

from __future__ import annotations

from datetime import datetime

import pytest

from nuxt_queue.config.cron import next_time


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("pattern", "zone", "after", "expected"),
    [
        ("*/5 * * * *", None, "2026-01-01T00:02:00+00:00", "2026-01-01T00:05:00+00:00"),
        ("0 7 * * 1-5", None, "2026-01-02T08:00:00+00:00", "2026-01-05T07:00:00+00:00"),
        ("0 0 29 2 *", None, "2026-01-01T00:00:00+00:00", "2028-02-29T00:00:00+00:00"),
        # The same hour by the clock on the wall, before and after it is set.
        ("0 7 * * *", "Europe/Vienna", "2026-03-28T12:00:00+01:00", "2026-03-29T07:00:00+02:00"),
        ("0 7 * * *", "Europe/Vienna", "2026-10-24T12:00:00+02:00", "2026-10-25T07:00:00+01:00"),
        # Exactly on time is not after it.
        ("0 7 * * *", None, "2026-01-01T07:00:00+00:00", "2026-01-02T07:00:00+00:00"),
    ],
)
def test_the_next_time_of_a_pattern(
    pattern: str, zone: str | None, after: str, expected: str
) -> None:
    """Faults 78."""
    assert next_time(pattern, at(after), zone) == at(expected)


def test_a_pattern_that_never_comes_round_has_no_next_time() -> None:
    assert next_time("0 0 30 2 *", 0.0) is None


@pytest.mark.parametrize("zone", [None, "Europe/Vienna"])
@pytest.mark.parametrize("after_s", [253_402_300_799, 253_402_300_800, 1e18])
def test_after_the_last_year_there_is_no_next_time(zone: str | None, after_s: float) -> None:
    """Faults 78: the year 9999."""
    assert next_time("* * * * *", after_s, zone) is None


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        # In the night of 25 October 2026 it is half past two twice: the first is meant.
        ("2026-10-24T12:00:00+02:00", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"),
        ("2026-10-25T02:10:00+01:00", "2026-10-26T02:30:00+01:00"),
        # In the night of 29 March 2026 it is never half past two.
        ("2026-03-28T12:00:00+01:00", "2026-03-29T03:30:00+02:00"),
    ],
)
def test_a_time_in_the_hour_that_is_repeated_or_skipped_comes_once(
    after: str, expected: str
) -> None:
    """Faults 78."""
    assert next_time("30 2 * * *", at(after), "Europe/Vienna") == at(expected)
