"""What happened to jobs, for the listeners of other processes."""

from __future__ import annotations

import sqlite3
from typing import get_args

from nuxt_queue.managers.file.job_rows import find_job, is_there
from nuxt_queue.managers.queue_events import QueueEvent, QueueEventType
from nuxt_queue.rpc.codec import Encoded, decode, text_of

__all__ = ["events_since", "last_event", "note", "trim"]

_KEPT = 10_000  # a listener that falls further behind than this misses some

_TYPES: dict[str, QueueEventType] = {each: each for each in get_args(QueueEventType)}


def note(db: sqlite3.Connection, origin: str, event: QueueEvent) -> None:
    """Write down what one manager tells its own listeners."""
    detail = None
    ended = event.type in ("completed", "failed")
    if ended and not is_there(db, event.queue, event.job_id or ""):
        detail = text_of([event.result, event.failed_reason]).decode()
    db.execute(
        "INSERT INTO queue_events (origin, type, queue, job_id, detail) VALUES (?, ?, ?, ?, ?)",
        (origin, event.type, event.queue, event.job_id, detail),
    )


def last_event(db: sqlite3.Connection) -> int:
    """Return the place of the newest event."""
    return int(db.execute("SELECT coalesce(max(seq), 0) FROM queue_events").fetchone()[0])


def events_since(db: sqlite3.Connection, place: int, me: str) -> tuple[int, list[QueueEvent]]:
    """Return what other managers have written down after a place, and the place it goes on from."""
    rows = db.execute(
        "SELECT seq, origin, type, queue, job_id, detail FROM queue_events WHERE seq > ?"
        " ORDER BY seq",
        (place,),
    ).fetchall()
    events = []
    for seq, origin, kind, queue, job_id, detail in rows:
        place = seq
        if origin != me:
            result, reason = _outcome(db, kind, queue, job_id, detail)
            events.append(QueueEvent(_TYPES[kind], queue, job_id, result, reason))
    return place, events


def trim(db: sqlite3.Connection) -> None:
    """Forget the oldest."""
    db.execute("DELETE FROM queue_events WHERE seq <= ?", (last_event(db) - _KEPT,))


def _outcome(
    db: sqlite3.Connection, kind: str, queue: str, job_id: str, detail: str | None
) -> tuple[Encoded | None, str | None]:
    if kind not in ("completed", "failed"):
        return None, None
    if detail is not None:
        result, reason = decode(detail.encode())
        return (None if result is None else Encoded(text_of(result))), reason
    job = find_job(db, queue, job_id)
    return (None, None) if job is None else (job.result, job.failed_reason)
