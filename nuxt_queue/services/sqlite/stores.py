"""StateStore, EventStream and FlowStore in a Database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from nuxt_queue.rpc.codec import Encoded, decode, text_of
from nuxt_queue.services.event_stream import Event, EventStream
from nuxt_queue.services.flow_runs import FlowStatus, RunRecord
from nuxt_queue.services.flow_store import Change, FlowStore, FlowTally
from nuxt_queue.services.sqlite.database import Database
from nuxt_queue.services.state import (
    StateStore,
    check_number,
    checked_ttl,
    state_value,
    sum_of,
)

__all__ = ["SqliteEventStream", "SqliteFlowStore", "SqliteStateStore", "forget_run"]

_SWEEP_S = 30.0  # between two removals of values whose time is over; nobody can read them before


class SqliteStateStore(StateStore):
    """A StateStore that all processes of the machine share.

    Args:
        database: The file.
        clock: Unix time in seconds: lifetimes go on while nothing runs.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock
        database.every(_SWEEP_S, self._sweep, lambda _swept, _error: None)

    async def read(self, scope_key: str, key: str) -> Encoded | None:
        """Return the value, or None."""
        now = self._clock()
        return await self._database.read(lambda db: _value(db, scope_key, key, now))

    async def set(
        self, scope_key: str, key: str, value: Any, *, ttl_s: float | None = None
    ) -> None:
        """Store a copy of the value."""
        expires_at = None if ttl_s is None else self._clock() + checked_ttl(ttl_s, key)
        row = (scope_key, key, (await state_value(value, key)).text, expires_at)
        sql = "INSERT OR REPLACE INTO state VALUES (?, ?, CAST(? AS TEXT), ?)"
        await self._database.write(lambda db: db.execute(sql, row) and None)

    async def delete(self, scope_key: str, key: str) -> bool:
        """Remove a value; say whether there was one."""
        where = (scope_key, key, self._clock())
        sql = (
            "DELETE FROM state WHERE scope = ? AND key = ?"
            " AND (expires_at IS NULL OR expires_at > ?)"
        )
        return await self._database.write(lambda db: db.execute(sql, where).rowcount > 0)

    async def incr(self, scope_key: str, key: str, by: float = 1) -> int | float:
        """Add to a number and return the new one."""
        check_number(by, f"incr of state {key!r}: the step")
        now = self._clock()

        def add(db: sqlite3.Connection) -> int | float:
            db.execute(
                "DELETE FROM state WHERE scope = ? AND key = ? AND expires_at <= ?",
                (scope_key, key, now),
            )
            row = _row(db, scope_key, key)
            before = 0 if row is None else decode(row.encode())
            check_number(before, f"incr of state {key!r}: its value")
            after: int | float = before + by
            db.execute(
                "INSERT INTO state (scope, key, value) VALUES (?, ?, ?)"
                " ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value",
                (scope_key, key, sum_of(after, key).text.decode("ascii")),
            )
            return after

        return await self._database.write(add)

    async def all(self, scope_key: str) -> dict[str, Any]:
        """Return every value of a scope by key."""
        sql = (
            "SELECT key, value FROM state WHERE scope = ?"
            " AND (expires_at IS NULL OR expires_at > ?) ORDER BY key"
        )
        where = (scope_key, self._clock())
        rows = await self._database.read(lambda db: db.execute(sql, where).fetchall())
        return {key: decode(value.encode()) for key, value in rows}

    async def clear(self, scope_key: str) -> None:
        """Remove every value of a scope."""
        sql = "DELETE FROM state WHERE scope = ?"
        await self._database.write(lambda db: db.execute(sql, (scope_key,)) and None)

    def _sweep(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM state WHERE expires_at <= ?", (self._clock(),))


class SqliteEventStream(EventStream):
    """An EventStream that all processes of the machine share.

    An event is written behind what its publisher wrote before it, and before what it writes
    next: who sees that a job has ended finds its timeline complete.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, event: Event) -> None:
        """Add an event to the end of its run's timeline, without waiting for the disk."""
        row = (event.run_id, text_of(event.kept()))
        sql = "INSERT INTO events (run_id, event) VALUES (?, CAST(? AS TEXT))"
        await self._database.post(lambda db: db.execute(sql, row))

    async def read(self, run_id: str) -> list[Event]:
        """Return a run's timeline, oldest first."""
        sql = "SELECT event FROM events WHERE run_id = ? ORDER BY seq"
        rows = await self._database.read(lambda db: db.execute(sql, (run_id,)).fetchall())
        return [Event.from_wire(decode(event.encode())) for (event,) in rows]

    async def drop(self, run_id: str) -> None:
        """Forget a run's timeline."""
        sql = "DELETE FROM events WHERE run_id = ?"
        await self._database.write(lambda db: db.execute(sql, (run_id,)) and None)


class SqliteFlowStore(FlowStore):
    """A FlowStore that all processes of the machine share.

    Args:
        database: The file.
        keep_ended: How many ended runs are remembered; with a run its state and its timeline go.
    """

    poll_s = Database.poll_s

    def __init__(self, database: Database, *, keep_ended: int = 1_000) -> None:
        self._database, self._keep_ended = database, keep_ended

    async def create(self, run: RunRecord) -> None:
        """Keep a new run."""
        await self._database.write(lambda db: self._keep(db, None, run))

    async def change(self, run_id: str, change: Change) -> RunRecord | None:
        """Apply a change to a run and return the run as changed."""

        def apply(db: sqlite3.Connection) -> RunRecord | None:
            run = _run(db, run_id)
            if run is None:
                return None
            before = run.status
            change(run)
            self._keep(db, before, run)
            return run

        return await self._database.write(apply)

    async def get(self, run_id: str) -> RunRecord | None:
        """Return a run, or None."""
        return await self._database.read(lambda db: _run(db, run_id))

    async def running(self, flow_name: str | None = None) -> list[RunRecord]:
        """Return the runs under way, the oldest first."""
        sql = (
            "SELECT record FROM runs WHERE status = 'running' AND (?1 IS NULL OR flow = ?1)"
            " ORDER BY started_at, rowid"
        )
        rows = await self._database.read(lambda db: db.execute(sql, (flow_name,)).fetchall())
        return [RunRecord.read(decode(record.encode())) for (record,) in rows]

    async def ended(self, limit: int) -> list[RunRecord]:
        """Return the runs that ended last, the latest first."""
        sql = (
            "SELECT record FROM runs WHERE status != 'running'"
            " ORDER BY finished_at DESC, rowid DESC LIMIT ?"
        )
        rows = await self._database.read(lambda db: db.execute(sql, (limit,)).fetchall())
        return [RunRecord.read(decode(record.encode())) for (record,) in rows]

    async def due(self, now: float) -> list[str]:
        """Return the ids of the runs whose time has come, the most overdue first."""
        sql = "SELECT id FROM runs WHERE due_at <= ? ORDER BY due_at, rowid"
        rows = await self._database.read(lambda db: db.execute(sql, (now,)).fetchall())
        return [run_id for (run_id,) in rows]

    async def tally(self, flow_name: str) -> FlowTally:
        """Return how often a flow ran."""
        return await self._database.read(lambda db: _tally(db, flow_name))

    def _keep(self, db: sqlite3.Connection, before: FlowStatus | None, run: RunRecord) -> None:
        flow, record = run.definition.name, text_of(run.to_json()).decode()
        if before is None:
            db.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run.id, flow, run.status, run.started_at, run.finished_at, run.due_at, record),
            )
        else:
            db.execute(
                "UPDATE runs SET status = ?, finished_at = ?, due_at = ?, record = ? WHERE id = ?",
                (run.status, run.finished_at, run.due_at, record, run.id),
            )
        if before == run.status:
            return
        tally = _tally(db, flow)
        tally.note(before, run)
        text = text_of(asdict(tally)).decode()
        db.execute("INSERT OR REPLACE INTO tallies VALUES (?, ?)", (flow, text))
        if run.status != "running":
            self._forget(db)

    def _forget(self, db: sqlite3.Connection) -> None:
        sql = (
            "SELECT id FROM runs WHERE status != 'running' ORDER BY finished_at DESC, rowid DESC"
            " LIMIT -1 OFFSET ?"
        )
        for (run_id,) in db.execute(sql, (self._keep_ended,)).fetchall():
            db.execute("DELETE FROM runs WHERE id = ?", (run_id,))
            forget_run(db, run_id)


def forget_timeline(db: sqlite3.Connection, job_id: str) -> None:
    """Remove the timeline of a job of no flow; a run of that id keeps its own."""
    sql = "DELETE FROM events WHERE run_id = ?1 AND NOT EXISTS (SELECT 1 FROM runs WHERE id = ?1)"
    db.execute(sql, (job_id,))


def forget_run(db: sqlite3.Connection, run_id: str) -> None:
    """Remove what belongs to a run that is forgotten: its timeline and its state."""
    db.execute("DELETE FROM events WHERE run_id = ?", (run_id,))
    db.execute("DELETE FROM state WHERE scope = ?", (run_id,))


def _row(db: sqlite3.Connection, scope_key: str, key: str) -> str | None:
    sql = "SELECT value FROM state WHERE scope = ? AND key = ?"
    found = db.execute(sql, (scope_key, key)).fetchone()
    return None if found is None else str(found[0])


def _value(db: sqlite3.Connection, scope_key: str, key: str, now: float) -> Encoded | None:
    sql = (
        "SELECT CAST(value AS BLOB) FROM state WHERE scope = ? AND key = ?"
        " AND (expires_at IS NULL OR expires_at > ?)"
    )
    found = db.execute(sql, (scope_key, key, now)).fetchone()
    return None if found is None else Encoded(found[0])


def _run(db: sqlite3.Connection, run_id: str) -> RunRecord | None:
    found = db.execute("SELECT record FROM runs WHERE id = ?", (run_id,)).fetchone()
    return None if found is None else RunRecord.read(decode(found[0].encode()))


def _tally(db: sqlite3.Connection, flow: str) -> FlowTally:
    found = db.execute("SELECT tally FROM tallies WHERE flow = ?", (flow,)).fetchone()
    return FlowTally() if found is None else FlowTally(**decode(found[0].encode()))
