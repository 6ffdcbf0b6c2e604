"""Write to the file as fast as it goes, until a time; print how many rows were accepted.

    python -m tests.soak.stress DIRECTORY NAME SECONDS stays|comes

One that stays keeps its connection and reads now and then; one that comes opens the file, writes a
few rows and closes it, which ends the log.  A checkpoint comes after every few pages, so that what
has been written and what starts the log anew meet as often as they can.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from functools import partial
from pathlib import Path

from nuxt_queue.services.sqlite import Database

ROWS = 50  # of one visit


def add(db: sqlite3.Connection, name: str) -> None:
    """Write a row."""
    db.execute("INSERT INTO queues (name) VALUES (?)", (name,))


async def write(database: Database, name: str, first: int, end: float, most: int) -> int:
    """Write rows from number `first` on, at most `most`; return how many were accepted."""
    await database.read(lambda db: db.execute("PRAGMA wal_autocheckpoint = 3").fetchall())
    n = first
    while n < first + most and time.monotonic() < end:
        insert = partial(add, name=f"{name}-{n}")
        await database.write(insert)
        n += 1
        if n % 16 == 0:
            await database.read(lambda db: db.execute("SELECT max(name) FROM queues").fetchone())
    return n - first


async def main(directory: Path, name: str, seconds: float, way: str) -> None:
    """Write until the time is over."""
    end, accepted = time.monotonic() + seconds, 0
    most = ROWS if way == "comes" else sys.maxsize
    while time.monotonic() < end:
        async with Database(directory) as database:
            accepted += await write(database, name, accepted, end, most)
    print(accepted)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4]))
