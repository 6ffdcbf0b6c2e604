"""Jobs as rows of the file: read and counted.  Every function runs inside one transaction."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from nuxt_queue.errors import QueueError
from nuxt_queue.managers.jobs import JOB_STATES, JobRecord, JobState
from nuxt_queue.managers.options import JobOptions
from nuxt_queue.rpc.codec import Encoded, decode
from nuxt_queue.rpc.codec import text_of as codec_text

__all__ = [
    "Claim",
    "count_jobs",
    "find_job",
    "is_paused",
    "is_there",
    "list_jobs",
    "next_due",
    "read_claim",
    "text_of",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this manager runs.

    Attributes:
        job: The job, as it was when it was taken.
        token: Proves, when the outcome is recorded, that nobody has taken the job since.
        seq: Its row: a later job may have its id.
    """

    job: JobRecord
    token: int
    seq: int


def find_job(db: sqlite3.Connection, queue: str, job_id: str) -> JobRecord | None:
    """Return a job as others see it, or None."""
    sql = "SELECT * FROM jobs WHERE queue = ? AND id = ?"
    row = db.execute(sql, (queue, job_id)).fetchone()
    if row is None:
        return None
    return _seen(read_claim(row).job, paused=is_paused(db, queue))


def is_there(db: sqlite3.Connection, queue: str, job_id: str) -> bool:
    """Return True if there is such a job."""
    sql = "SELECT 1 FROM jobs WHERE queue = ? AND id = ?"
    return db.execute(sql, (queue, job_id)).fetchone() is not None


def list_jobs(
    db: sqlite3.Connection,
    queue: str,
    states: Collection[JobState],
    limit: int | None,
    offset: int,
) -> list[JobRecord]:
    """Return jobs as others see them, in the order of enqueuing."""
    paused = is_paused(db, queue)
    kept = {_kept(state) for state in states if (state == "paused") <= paused}
    if paused and "paused" not in states:
        kept.discard("waiting")
    rows = db.execute(
        "SELECT * FROM jobs WHERE queue = ? AND state IN (SELECT value FROM json_each(?))"
        " ORDER BY seq LIMIT ? OFFSET ?",
        (queue, text_of(sorted(kept)), -1 if limit is None else limit, offset),
    ).fetchall()
    return [_seen(read_claim(row).job, paused=paused) for row in rows]


def count_jobs(db: sqlite3.Connection, queue: str) -> dict[str, int]:
    """Return the number of jobs in each of the six states."""
    counts: dict[str, int] = dict.fromkeys(JOB_STATES, 0)
    # One after the other: each state has an index of its own.
    row = db.execute(
        "SELECT (SELECT count(*) FROM jobs WHERE queue = ?1 AND state = 'waiting'),"
        " (SELECT count(*) FROM jobs WHERE queue = ?1 AND state = 'active'),"
        " (SELECT count(*) FROM jobs WHERE queue = ?1 AND state = 'completed'),"
        " (SELECT count(*) FROM jobs WHERE queue = ?1 AND state = 'failed'),"
        " (SELECT count(*) FROM jobs WHERE queue = ?1 AND state = 'delayed')",
        (queue,),
    ).fetchone()
    counts.update(zip(("waiting", "active", "completed", "failed", "delayed"), row, strict=True))
    if is_paused(db, queue):
        counts["paused"], counts["waiting"] = counts["waiting"], 0
    return counts


def is_paused(db: sqlite3.Connection, queue: str) -> bool:
    """Tell whether a queue is paused."""
    row = db.execute("SELECT paused FROM queues WHERE name = ?", (queue,)).fetchone()
    return bool(row and row[0])


def next_due(db: sqlite3.Connection, queues: Iterable[str]) -> tuple[set[str], int | None]:
    """Return the queues that have a job waiting, and when the next delayed one is due."""
    ready, due = set(), []
    for queue in queues:
        row = db.execute(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE queue = ?1 AND state = 'waiting'),"
            " (SELECT min(due_at) FROM jobs WHERE queue = ?1 AND state = 'delayed')",
            (queue,),
        ).fetchone()
        if row[0] and not is_paused(db, queue):
            ready.add(queue)
        if row[1] is not None:
            due.append(row[1])
    return ready, min(due, default=None)


def read_claim(row: tuple[Any, ...]) -> Claim:
    """Return the job of a whole row, in the order of the schema."""
    (
        seq, queue, job_id, name, data, opts, timestamp, state, _priority, _place, _due_at,
        _owner, token, processed_on, finished_on, attempts_made, progress, returnvalue,
        failed_reason, stacktrace,
    ) = row  # fmt: skip
    job = JobRecord(
        id=job_id,
        name=name,
        queue=queue,
        payload=Encoded(data.encode()),
        opts=_options(opts),
        timestamp=timestamp,
        state=state,
        processed_on=processed_on,
        finished_on=finished_on,
        attempts_made=attempts_made,
        progress=_value(progress),
        result=Encoded(returnvalue.encode()) if returnvalue and state == "completed" else None,
        failed_reason=failed_reason,
        stacktrace=_value(stacktrace),
    )
    return Claim(job, token, seq)


def _options(kept: str) -> JobOptions:
    given = _value(kept)
    delay = given.pop("delay", None)
    try:
        options = JobOptions.read(given, refused={})
    except QueueError:  # a newer release knows more; one job must not stop every queue
        options = _known_options(given)
    # Not checked: a repeated job may be further away than an option may say.
    return options if delay is None else options.model_copy(update={"delay_ms": delay})


def _known_options(given: dict[str, Any]) -> JobOptions:
    """Return of the options those that this release knows."""
    known: dict[str, Any] = {}
    for name, value in given.items():
        try:
            JobOptions.read({name: value}, refused={})
        except QueueError:
            _log.warning("an option of another release is left out: %s", name)
        else:
            known[name] = value
    return JobOptions.read(known, refused={})


def _seen(job: JobRecord, *, paused: bool) -> JobRecord:
    if paused and job.state == "waiting":
        job.state = "paused"
    return job


def _kept(state: JobState) -> str:
    return "waiting" if state == "paused" else state


def text_of(value: Any) -> str:
    """Return JSON data as the text that is kept of it."""
    return codec_text(value).decode("ascii")


def _value(text: str | None) -> Any:
    return None if text is None else decode(text.encode())
