"""What becomes of a job after an attempt: the table."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from nuxt_queue.managers.jobs import JobRecord
from nuxt_queue.managers.options import JobOptions
from nuxt_queue.managers.outcome import (
    Completed,
    Failed,
    Interrupted,
    Lost,
    Outcome,
    settle,
    was_lost,
)
from nuxt_queue.rpc.codec import Encoded

NOW = 1_700_000_000_000
LATER = 250
JOB = JobRecord(
    "j", "a", "q", Encoded(b'{"n":1}'), JobOptions(), NOW - 10, "active", NOW - 5, None, 1,
    failed_reason="E: before", stacktrace=["before"],
)  # fmt: skip
FAILED = ValueError("no")


def failed(retry_in_ms: int | None) -> Failed:
    return Failed(FAILED, "ValueError: no", "its stack", retry_in_ms)


TABLE: list[tuple[Outcome, dict[str, Any]]] = [
    (
        Completed(Encoded(b"7")),
        {
            "state": "completed", "counted": True, "finished_on": NOW, "returnvalue": 7,
            "failed_reason": None, "stacktrace": ["before"], "event": "completed",
        },
    ),
    (
        failed(None),
        {
            "state": "failed", "counted": True, "finished_on": NOW,
            "failed_reason": "ValueError: no", "stacktrace": ["before", "its stack"],
            "event": "failed",
        },
    ),
    (
        failed(0),
        {
            "state": "waiting", "counted": True, "keeps_place": False,
            "failed_reason": "ValueError: no", "stacktrace": ["before", "its stack"],
        },
    ),
    (
        failed(LATER),
        {
            "state": "delayed", "counted": True, "delay_ms": LATER,
            "failed_reason": "ValueError: no", "stacktrace": ["before", "its stack"],
        },
    ),
    (Interrupted(), {"state": "waiting", "counted": False, "keeps_place": True}),
    (Interrupted(LATER), {"state": "delayed", "counted": False, "delay_ms": LATER}),
    (
        Lost(),
        {
            "state": "waiting", "counted": True, "keeps_place": True, "lost": True,
            "failed_reason": "its manager was lost in attempt 2", "stacktrace": ["before", ""],
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("outcome", "expected"), TABLE, ids=[str(row[0]) for row in TABLE])
def test_what_becomes_of_a_job(outcome: Outcome, expected: dict[str, Any]) -> None:
    job = copy.deepcopy(JOB)

    settled = settle(job, outcome, NOW)

    assert job == JOB  # which is not changed
    kept, counted = settled.job, expected["counted"]
    assert kept.state == expected["state"]
    assert (settled.is_counted, kept.attempts_made) == (counted, 2 if counted else 1)
    assert kept.finished_on == expected.get("finished_on")
    assert kept.returnvalue == expected.get("returnvalue")
    assert kept.failed_reason == expected.get("failed_reason", "E: before")
    assert kept.stacktrace == expected.get("stacktrace", ["before"])
    assert settled.delay_ms == expected.get("delay_ms", 0)
    if kept.state == "waiting":
        assert settled.keeps_place == expected["keeps_place"]
    assert settled.is_final == (kept.state in ("completed", "failed"))
    assert settled.event.type == expected.get("event", kept.state)
    assert settled.event.returnvalue == kept.returnvalue
    assert was_lost(kept) == expected.get("lost", False)
    assert (kept.id, kept.data, kept.processed_on) == (job.id, job.data, job.processed_on)
