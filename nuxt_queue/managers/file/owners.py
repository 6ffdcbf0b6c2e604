"""Who holds a job: managers that say they are alive, and how it is told that one is not."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["LEASE_S", "Owner", "bury", "dead_owners", "enlist", "keep_alive", "retire"]

# How long a manager is believed that does not say it is alive, where nothing else tells: in another
# container, after a boot, or when it is stopped.  Its own process gone is seen at once.
LEASE_S = 15.0
_RENEW_S = 5.0  # two may be missed


@dataclass(frozen=True, slots=True)
class Owner:
    """One manager.

    Attributes:
        id: Its name in the file.
        boot_id: Of the running kernel.
        pid_ns: The space in which its pid means something; a container has its own.
        pid: Its process.
        started: When that process began, in ticks since boot; a later one of the same pid differs.
    """

    id: str
    boot_id: str
    pid_ns: str
    pid: int
    started: str

    @classmethod
    def here(cls) -> Self:
        """Return a new owner in this process."""
        pid = os.getpid()
        boot_id = _text("/proc/sys/kernel/random/boot_id")
        return cls(uuid.uuid4().hex, boot_id, _pid_namespace(), pid, _start_time(pid) or "")


def enlist(db: sqlite3.Connection, owner: Owner) -> None:
    """Make an owner known, as one that is alive."""
    db.execute(
        "INSERT OR REPLACE INTO owners VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            owner.id,
            owner.boot_id,
            owner.pid_ns,
            owner.pid,
            owner.started,
            time.monotonic() + LEASE_S,
            time.time() + LEASE_S,
        ),
    )


def keep_alive(db: sqlite3.Connection, owner: Owner) -> bool:
    """Say that an owner is alive; False means that others have given it up and taken its jobs."""
    sql = "SELECT expires_monotonic FROM owners WHERE id = ?"
    row = db.execute(sql, (owner.id,)).fetchone()
    if row is None:
        enlist(db, owner)
        return False
    if row[0] - time.monotonic() < LEASE_S - _RENEW_S:  # each time costs a write to the disk
        enlist(db, owner)
    return True


def retire(db: sqlite3.Connection, owner: Owner) -> None:
    """Forget an owner that has put everything back."""
    db.execute("DELETE FROM owners WHERE id = ?", (owner.id,))


def dead_owners(db: sqlite3.Connection, me: Owner) -> list[str]:
    """Return the owners that are alive no more."""
    rows = db.execute("SELECT * FROM owners WHERE id != ?", (me.id,)).fetchall()
    return [row[0] for row in rows if _is_dead(row, me)]


def bury(db: sqlite3.Connection, owner_id: str) -> None:
    """Forget a dead owner; should it be alive after all, it learns it from its own absence."""
    db.execute("DELETE FROM owners WHERE id = ?", (owner_id,))


def _is_dead(row: tuple[str, str, str, int, str, float, float], me: Owner) -> bool:
    _id, boot_id, pid_ns, pid, started, expires_monotonic, expires_wall = row
    if boot_id != me.boot_id:
        return time.time() > expires_wall
    if pid_ns and pid_ns == me.pid_ns and _start_time(pid) != started:
        return True
    # Within one boot the monotonic clock is everybody's, and nobody can set it.
    return time.monotonic() > expires_monotonic


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _start_time(pid: int) -> str | None:
    """Return when a process began; None when there is none, or only a zombie."""
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if fields and fields[0] not in ("Z", "X") else None


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace").strip()
    except OSError:
        return ""
