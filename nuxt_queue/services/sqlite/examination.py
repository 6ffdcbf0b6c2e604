"""Everything that can be wrong inside the file, looked for in all of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

__all__ = ["problems_of"]

_MOST = 10  # of one kind
_WRONG = {
    "jobs are in an unknown state": (
        "SELECT count(*) FROM jobs WHERE state NOT IN"
        " ('waiting', 'active', 'completed', 'failed', 'delayed')"
    ),
    "jobs cannot be read": (
        "SELECT count(*) FROM jobs WHERE NOT (json_valid(data) AND json_valid(opts)"
        " AND json_valid(stacktrace) AND json_valid(coalesce(returnvalue, 'null')))"
    ),
    "delayed jobs have no time": (
        "SELECT count(*) FROM jobs WHERE state = 'delayed' AND due_at IS NULL"
    ),
    "jobs run under no manager": (
        "SELECT count(*) FROM jobs WHERE state = 'active' AND owner IS NULL"
    ),
    "log lines belong to no job": (
        "SELECT count(*) FROM job_logs WHERE job NOT IN (SELECT seq FROM jobs)"
    ),
    "runs of flows cannot be read": "SELECT count(*) FROM runs WHERE NOT json_valid(record)",
}


def problems_of(db: sqlite3.Connection) -> list[str]:
    """Return what is wrong; reads the whole file."""
    return list(_look(db))


def _look(db: sqlite3.Connection) -> Iterator[str]:
    for (said,) in db.execute(f"PRAGMA integrity_check({_MOST})").fetchall():
        if said != "ok":
            yield str(said)
    for table, *_ in db.execute("PRAGMA foreign_key_check").fetchmany(_MOST):
        yield f"table {table} refers to what is not there"
    for what, sql in _WRONG.items():
        (number,) = db.execute(sql).fetchone()
        if number:
            yield f"{number} {what}"
