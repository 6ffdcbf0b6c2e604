"""What becomes of the jobs in the file.  Every function runs inside one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from nuxt_queue.managers.file.job_rows import Claim, find_job, is_paused, read_claim, text_of
from nuxt_queue.managers.jobs import JobRecord
from nuxt_queue.managers.options import KeepJobs, Limiter, StartWindow
from nuxt_queue.managers.outcome import Settlement
from nuxt_queue.services.sqlite.stores import forget_timeline

__all__ = [
    "Want",
    "adopt",
    "claim",
    "forget_surplus",
    "held_by",
    "insert_job",
    "is_let_go",
    "let_in",
    "release",
    "remove_row",
    "requeue",
    "save_job",
    "set_paused",
]

_LONG = 1_000  # jobs; from there on the surplus is removed now and then
# Jobs that fall due together are let in bit by bit: nobody else can write meanwhile.
_DUE_AT_ONCE = 1_000

# What ended before a moment, and what is more than a number; each state has an index of its own.
_ENDED = {
    "completed": (
        "SELECT seq, id FROM jobs WHERE queue = ? AND state = 'completed' AND finished_on <= ?",
        (
            "SELECT seq, id FROM jobs WHERE queue = ? AND state = 'completed'"
            " ORDER BY finished_on DESC, seq DESC LIMIT -1 OFFSET ?"
        ),
    ),
    "failed": (
        "SELECT seq, id FROM jobs WHERE queue = ? AND state = 'failed' AND finished_on <= ?",
        (
            "SELECT seq, id FROM jobs WHERE queue = ? AND state = 'failed'"
            " ORDER BY finished_on DESC, seq DESC LIMIT -1 OFFSET ?"
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Want:
    """How many jobs of a queue a manager could run now."""

    queue: str
    free: int
    limiter: Limiter | None = None


def insert_job(db: sqlite3.Connection, job: JobRecord, now_ms: int) -> bool:
    """Keep a new job; False when its id is there already."""
    if db.execute("SELECT 1 FROM jobs WHERE queue = ? AND id = ?", (job.queue, job.id)).fetchone():
        return False
    job.state = "delayed" if job.opts.delay_ms > 0 else "waiting"
    db.execute(
        "INSERT INTO jobs (queue, id, name, data, opts, timestamp, state, priority, place, due_at)"
        " VALUES (?, ?, ?, CAST(? AS TEXT), ?, ?, ?, ?, ?, ?)",
        (
            job.queue,
            job.id,
            job.name,
            job.payload.text,
            text_of(job.opts.to_wire()),
            job.timestamp,
            job.state,
            job.opts.priority,
            _place(db, job),
            now_ms + job.opts.delay_ms if job.state == "delayed" else None,
        ),
    )
    return True


def set_paused(db: sqlite3.Connection, queue: str, *, paused: bool) -> bool:
    """Pause or resume a queue; say whether that was a change."""
    db.execute("INSERT OR IGNORE INTO queues (name) VALUES (?)", (queue,))
    sql = "UPDATE queues SET paused = ?1 WHERE name = ?2 AND paused != ?1"
    return db.execute(sql, (int(paused), queue)).rowcount > 0


def let_in(db: sqlite3.Connection, queues: Iterable[str], now_ms: int) -> list[tuple[str, str]]:
    """Let delayed jobs wait for their turn whose time has come; return queue and id of each."""
    found = []
    sql = "UPDATE jobs SET state = 'waiting', due_at = NULL, place = ? WHERE queue = ? AND id = ?"
    for queue in queues:
        due = db.execute(
            "SELECT * FROM jobs WHERE queue = ? AND state = 'delayed' AND due_at <= ?"
            " ORDER BY due_at, seq LIMIT ?",
            (queue, now_ms, _DUE_AT_ONCE),
        ).fetchall()
        for row in due:
            job = read_claim(row).job
            db.execute(sql, (_place(db, job), queue, job.id))
            found.append((queue, job.id))
    return found


def claim(
    db: sqlite3.Connection, wants: Iterable[Want], owner_id: str, now_ms: int
) -> tuple[list[Claim], int | None]:
    """Take the jobs whose turn it is, and say when a limiter lets the next one start."""
    taken: list[Claim] = []
    waits: list[int] = []
    for want in wants:
        if is_paused(db, want.queue):
            continue
        free, wait_ms = _allowed(db, want, now_ms)
        if wait_ms:
            waits.append(wait_ms)
        taken += _take(db, want.queue, free, owner_id, now_ms)
    return taken, min(waits, default=None)


def save_job(
    db: sqlite3.Connection, claimed: Claim, settlement: Settlement, owner_id: str, now_ms: int
) -> bool:
    """Record what became of a claimed job; False when it is not this manager's any more."""
    job = settlement.job
    cursor = db.execute(
        "UPDATE jobs SET state = ?, due_at = ?, finished_on = ?, attempts_made = ?, progress = ?,"
        " returnvalue = CAST(? AS TEXT), failed_reason = ?, stacktrace = ?, owner = NULL"
        " WHERE seq = ? AND state = 'active' AND owner = ? AND token = ?",
        (
            job.state,
            now_ms + settlement.delay_ms if job.state == "delayed" else None,
            job.finished_on,
            job.attempts_made,
            text_of(job.progress),
            job.result.text if job.result else None,
            job.failed_reason,
            text_of(job.stacktrace),
            claimed.seq,
            owner_id,
            claimed.token,
        ),
    )
    if not cursor.rowcount:
        return False
    if job.state == "waiting" and not settlement.keeps_place:
        sql = "UPDATE jobs SET place = ? WHERE seq = ?"
        db.execute(sql, (_place(db, job), claimed.seq))
    return True


def is_let_go(db: sqlite3.Connection, claimed: Claim) -> bool:
    """Return True if a claimed job has been let go of and nobody has taken it since."""
    row = db.execute("SELECT owner, token FROM jobs WHERE seq = ?", (claimed.seq,)).fetchone()
    return row is None or row == (None, claimed.token)


def forget_surplus(db: sqlite3.Connection, job: JobRecord, most: int, *, may_wait: bool) -> None:
    """Remove the jobs that ended like this one and are not to be kept, itself included.

    Args:
        db: The file.
        job: The job.
        most: How many are kept at most.
        may_wait: Of a long list the surplus need not be removed now: to look for it costs more
            than to keep it.
    """
    completed = job.state == "completed"
    keep = KeepJobs.of(job.opts.remove_on_complete if completed else job.opts.remove_on_fail)
    if keep.count == 0:  # it goes, and takes no other along
        remove_row(db, job.queue, job.id)
        return
    count = most if keep.count is None else min(keep.count, most)
    older, beyond = _ENDED["completed" if completed else "failed"]
    found: list[tuple[int, str]] = []
    if keep.age is not None:
        oldest = (job.finished_on or 0) - keep.age * 1000
        found += db.execute(older, (job.queue, oldest)).fetchall()
    if count < _LONG or not may_wait:
        found += db.execute(beyond, (job.queue, count)).fetchall()
    for stale, job_id in found:
        db.execute("DELETE FROM jobs WHERE seq = ?", (stale,))
        forget_timeline(db, job_id)


def requeue(db: sqlite3.Connection, queue: str, job_id: str) -> None:
    """Let a failed job wait again."""
    job = find_job(db, queue, job_id)
    assert job is not None
    db.execute(
        "UPDATE jobs SET state = 'waiting', failed_reason = NULL, finished_on = NULL, place = ?"
        " WHERE queue = ? AND id = ?",
        (_place(db, job), queue, job_id),
    )


def remove_row(db: sqlite3.Connection, queue: str, job_id: str) -> None:
    """Forget a job, and the timeline of a plain one."""
    db.execute("DELETE FROM jobs WHERE queue = ? AND id = ?", (queue, job_id))
    forget_timeline(db, job_id)


def adopt(db: sqlite3.Connection, dead: str, me: str) -> list[Claim]:
    """Take over every job of a dead owner; what becomes of them is for the caller to say."""
    sql = (
        "UPDATE jobs SET owner = ?, token = token + 1 WHERE state = 'active' AND owner = ?"
        " RETURNING *"
    )
    return [read_claim(row) for row in db.execute(sql, (me, dead)).fetchall()]


def held_by(db: sqlite3.Connection, owner_id: str) -> set[tuple[int, int]]:
    """Return row and token of each job that an owner holds."""
    sql = "SELECT seq, token FROM jobs WHERE state = 'active' AND owner = ?"
    return set(db.execute(sql, (owner_id,)).fetchall())


def release(
    db: sqlite3.Connection, owner_id: str, which: Collection[tuple[int, int]] | None = None
) -> None:
    """Let jobs that an owner holds wait again, in their old place, with no attempt used.

    Args:
        db: The file.
        owner_id: The owner.
        which: Row and token of each; left out, all that it holds.
    """
    sql = (
        "UPDATE jobs SET state = 'waiting', owner = NULL"
        " WHERE state = 'active' AND owner = ? AND seq = ? AND token = ?"
    )
    held = held_by(db, owner_id) if which is None else which
    db.executemany(sql, [(owner_id, *each) for each in held])


def _allowed(db: sqlite3.Connection, want: Want, now_ms: int) -> tuple[int, int]:
    """Count starts with the queue's limiter; return how many may be, and the wait for more."""
    if want.limiter is None or not want.free:
        return want.free, 0
    (ready,) = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE queue = ? AND state = 'waiting' LIMIT ?)",
        (want.queue, want.free),
    ).fetchone()
    db.execute("INSERT OR IGNORE INTO queues (name) VALUES (?)", (want.queue,))
    sql = "SELECT window_open, window_count FROM queues WHERE name = ?"
    window = StartWindow(*db.execute(sql, (want.queue,)).fetchone())
    allowed, wait_ms = 0, 0
    while allowed < ready and not (wait_ms := window.start(want.limiter, now_ms)):
        allowed += 1
    db.execute(
        "UPDATE queues SET window_open = ?, window_count = ? WHERE name = ?",
        (window.opened_ms, window.count, want.queue),
    )
    return allowed, wait_ms


def _take(db: sqlite3.Connection, queue: str, free: int, owner_id: str, now_ms: int) -> list[Claim]:
    sql = (
        "UPDATE jobs SET state = 'active', owner = ?, token = token + 1, processed_on = ?"
        " WHERE seq = (SELECT seq FROM jobs WHERE queue = ? AND state = 'waiting'"
        " ORDER BY priority, place LIMIT 1) RETURNING *"
    )
    taken = []
    for _ in range(free):
        row = db.execute(sql, (owner_id, now_ms, queue)).fetchone()
        if row is None:
            break
        taken.append(read_claim(row))
    return taken


def _place(db: sqlite3.Connection, job: JobRecord) -> int:
    """Return the next place in the order of a queue; the first one for a job that goes ahead."""
    db.execute(
        "INSERT INTO queues (name, places) VALUES (?, 1)"
        " ON CONFLICT (name) DO UPDATE SET places = places + 1",
        (job.queue,),
    )
    sql = "SELECT places FROM queues WHERE name = ?"
    place = int(db.execute(sql, (job.queue,)).fetchone()[0])
    # As BullMQ has it: lifo is for jobs without a priority.
    return -place if job.opts.lifo and not job.opts.priority else place
