"""The log lines of jobs as rows of the file.  Every function runs inside one transaction.

A trigger of the schema removes them with the row of their job.
"""

from __future__ import annotations

import sqlite3

__all__ = ["add", "read"]


def add(db: sqlite3.Connection, queue: str, job_id: str, lines: list[str], keep: int) -> None:
    """Add lines to the log of a job and keep so many, the newest; a job that is gone gets none."""
    job = db.execute("SELECT seq FROM jobs WHERE queue = ? AND id = ?", (queue, job_id)).fetchone()
    if job is None:
        return
    sql = "SELECT coalesce(max(n), 0) FROM job_logs WHERE job = ?"
    last = int(db.execute(sql, job).fetchone()[0])
    rows = ((*job, last + n, line) for n, line in enumerate(lines, 1))
    db.executemany("INSERT INTO job_logs (job, n, line) VALUES (?, ?, ?)", rows)
    if last + len(lines) > keep:
        oldest = last + len(lines) - keep
        db.execute("DELETE FROM job_logs WHERE job = ? AND n <= ?", (*job, oldest))


def read(db: sqlite3.Connection, queue: str, job_id: str) -> list[str]:
    """Return the log of a job, the oldest line first."""
    sql = (
        "SELECT line FROM job_logs WHERE job = (SELECT seq FROM jobs WHERE queue = ? AND id = ?)"
        " ORDER BY n"
    )
    return [line for (line,) in db.execute(sql, (queue, job_id)).fetchall()]
