"""Who holds a job: managers that say they are alive, and how it is told that one is not."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = [
    "LEASE_S",
    "Owner",
    "Seen",
    "bury",
    "dead_owners",
    "enlist",
    "is_late",
    "keep_alive",
    "retire",
]

# How long a manager is believed that does not say it is alive, where nothing else tells: in another
# container, after a boot, or when it is stopped.  Its own process gone is seen at once.
LEASE_S = 15.0
_NO_SIGN = 0.0
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
            Empty where it cannot be told.
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
        try:
            started = _start_time(pid) or ""
        except OSError:
            started = ""
        return cls(uuid.uuid4().hex, boot_id, _pid_namespace(), pid, started)


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


Seen = dict[tuple[str, float], float]
"""When somebody else's sign of life was first seen, by the owner and the sign; monotonic."""


def is_late(db: sqlite3.Connection, me: Owner) -> bool:
    """Tell whether an owner was itself silent for so long that it can say nothing of others."""
    sql = "SELECT expires_monotonic FROM owners WHERE id = ?"
    row = db.execute(sql, (me.id,)).fetchone()
    return row is not None and time.monotonic() > row[0]


def dead_owners(db: sqlite3.Connection, me: Owner, seen: Seen) -> list[str]:
    """Return the owners that are alive no more, those that only have jobs among them."""
    rows = db.execute("SELECT * FROM owners WHERE id != ?", (me.id,)).fetchall()
    unknown = db.execute(
        "SELECT DISTINCT owner FROM jobs WHERE state = 'active'"
        " AND owner NOT IN (SELECT id FROM owners)"
    ).fetchall()
    dead = [row[0] for row in rows if _is_dead(row, me, seen)]
    return dead + _unknown_for_long([each for (each,) in unknown], seen)


def _unknown_for_long(unknown: list[str], seen: Seen) -> list[str]:
    """Return those that have not made themselves known for the time of a lease."""
    now = time.monotonic()
    for owner_id, sign in list(seen):
        if sign == _NO_SIGN and owner_id not in unknown:
            del seen[owner_id, sign]
    return [each for each in unknown if now > seen.setdefault((each, _NO_SIGN), now) + LEASE_S]


def bury(db: sqlite3.Connection, owner_id: str) -> None:
    """Forget a dead owner; should it be alive after all, it learns it from its own absence."""
    db.execute("DELETE FROM owners WHERE id = ?", (owner_id,))


def _is_dead(row: tuple[str, str, str, int, str, float, float], me: Owner, seen: Seen) -> bool:
    owner_id, boot_id, pid_ns, pid, started, expires_monotonic, expires_wall = row
    if boot_id != me.boot_id:
        # The clock on the wall may have been set back over the boot.
        first = seen.setdefault((owner_id, expires_wall), time.monotonic())
        return time.time() > expires_wall or time.monotonic() > first + LEASE_S
    if pid_ns and pid_ns == me.pid_ns and started and _is_gone(pid, started):
        return True
    # Within one boot the monotonic clock is everybody's, and nobody can set it.
    return time.monotonic() > expires_monotonic


def _is_gone(pid: int, started: str) -> bool:
    """Tell whether a process is seen to be there no more; what cannot be seen may be there."""
    try:
        found = _start_time(pid)
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:  # such as no descriptor left to look with
        return False
    return found != started


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _start_time(pid: int) -> str | None:
    """Return when a process began; None when it is only a zombie; raises OSError."""
    text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    fields = text.rpartition(")")[2].split()
    return fields[19] if fields and fields[0] not in ("Z", "X") else None


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace").strip()
    except OSError:
        return ""
