"""Which log belongs to the file: told by marks that each transaction leaves in both.

SQLite replays whatever log it finds beside a file, also the log of another one or that of a later
state of the same one, and the result is damaged.  So each transaction that changes anything writes
a new random stamp, and the one before it.  The second transaction of a log also writes the log's
salts, which are in its header, and the stamps that the file itself can have had when that log
began.  A log belongs to a file if the stamp in the file alone is one of these, or if the file's
mark comes out of this very log.

What this cannot see: a copy of both that was taken while they changed, the log before the file;
and a file that was made before there were marks, until its next transaction.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

__all__ = ["Mark", "log_of", "mark_of", "mark_without_log", "salts_of", "stamp"]

_HEADER = 32
_SALTS = slice(16, 24)


class Mark(NamedTuple):
    """The mark in a file.

    Attributes:
        stamp: Of the last transaction.
        before: Of the one before it.
        salts: Of the log in which it was known when that log began.
        bases: The stamps that the file without that log may have.
    """

    stamp: str
    before: str
    salts: str
    bases: str

    def allows(self, alone: Mark, salts: str) -> bool:
        """Return True if the log with which this mark was read belongs to its file.

        Args:
            alone: The mark in the file without the log.
            salts: The salts of the log.
        """
        if alone == self:
            return True
        if self.salts != salts:  # the log has had one transaction, or none of ours
            return alone.stamp in (self.before, self.stamp)
        return alone.salts == salts or alone.stamp in self.bases.split()


def log_of(path: Path) -> Path:
    """Return where the log of a file is."""
    return path.with_name(f"{path.name}-wal")


def salts_of(path: Path) -> str:
    """Return the salts of the log beside a file; empty when there is none, or nothing in it."""
    try:
        fd = os.open(log_of(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        header = os.read(fd, _HEADER)
    finally:
        os.close(fd)
    return header[_SALTS].hex() if len(header) == _HEADER else ""


def mark_of(db: sqlite3.Connection) -> Mark | None:
    """Return the mark as a connection sees it; None in a file that has none yet."""
    try:
        row = db.execute("SELECT stamp, before, salts, bases FROM log_mark").fetchone()
    except sqlite3.OperationalError:
        return None
    return None if row is None else Mark(*row)


def mark_without_log(path: Path) -> Mark | None:
    """Return the mark in a file alone; None when it cannot be read.  The lock is held."""
    try:
        db = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    except sqlite3.Error:
        return None
    try:
        return mark_of(db)
    except sqlite3.Error:  # it is damaged, or in the middle of what its log would mend
        return None
    finally:
        db.close()


def stamp(db: sqlite3.Connection, path: Path) -> None:
    """Leave a mark in a transaction that is about to be committed."""
    mark = mark_of(db)
    if mark is None:
        return
    salts, known, bases = salts_of(path), mark.salts, mark.bases
    if salts and salts != known:
        known, bases = salts, f"{mark.before} {mark.stamp}"
    db.execute(
        "UPDATE log_mark SET stamp = ?, before = ?, salts = ?, bases = ?",
        (os.urandom(8).hex(), mark.stamp, known, bases),
    )
