"""Database: shared transactions, answers only for what is safe, failures that lose nothing."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.errors import QueueError, QueueStorageError
from nuxt_queue.services.sqlite import Database, location

WAIT_S = 10.0


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(tmp_path) as made:
        yield made


def add(name: str) -> Any:
    return lambda db: db.execute("INSERT INTO queues (name) VALUES (?)", (name,)) and None


def names(db: sqlite3.Connection) -> list[str]:
    return [name for (name,) in db.execute("SELECT name FROM queues ORDER BY name")]


async def test_a_read_sees_every_write_that_was_asked_for_before(database: Database) -> None:
    writing = asyncio.ensure_future(database.write(add("a")))
    await asyncio.sleep(0)  # it asks now
    await database.post(add("b"))

    assert await database.read(names) == ["a", "b"]
    await writing


async def test_callers_at_once_share_a_transaction(database: Database) -> None:
    """One fsync for all: otherwise a thousand callers would wait for a thousand of them."""
    begun: list[str] = []
    await database.read(lambda db: db.set_trace_callback(begun.append))

    await asyncio.gather(*(database.write(add(f"n{n:03}")) for n in range(500)))

    assert len(await database.read(names)) == 500
    assert sum(sql.startswith("BEGIN") for sql in begun) < 50


async def test_a_work_that_fails_takes_nothing_of_the_others_along(database: Database) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO queues (name) VALUES ('half')")
        raise ValueError("no")

    outcomes = await asyncio.gather(
        database.write(add("a")),
        database.write(half),
        database.write(add("a")),
        database.write(add("b")),
        return_exceptions=True,
    )

    assert await database.read(names) == ["a", "b"]
    assert outcomes[0] is None
    assert outcomes[3] is None
    assert isinstance(outcomes[1], ValueError)
    assert isinstance(outcomes[2], QueueStorageError)  # there already


async def test_a_full_disk_is_an_error_and_what_was_accepted_is_there_when_it_has_room_again(
    database: Database,
) -> None:
    """Faults 75: SQLite's own answer to a disk that is full."""
    accepted: list[int] = []
    await database.read(lambda db: db.execute("PRAGMA max_page_count = 60").fetchall())

    async def fill() -> None:
        for n in range(1000):
            await database.write(add(f"{n:03}" + "x" * 1000))
            accepted.append(n)

    with pytest.raises(QueueStorageError, match=r"queue\.sqlite3: the disk is full.*make room"):
        await fill()

    assert 0 < len(accepted) < 1000
    await database.read(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchall())
    await database.write(add("later"))

    kept = await database.read(names)
    assert [int(name[:3]) for name in kept if name != "later"] == accepted
    assert "later" in kept


FILL = """
import asyncio, resource, sys
from nuxt_queue.errors import QueueStorageError
from nuxt_queue.services.sqlite import Database
async def main():
    async with Database(sys.argv[1]) as database:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        n = 0
        try:
            while True:
                row = (f"{n:04}" + "x" * 1000,)
                await database.write(
                    lambda db: db.execute("INSERT INTO queues (name) VALUES (?)", row) and None
                )
                n += 1
        except QueueStorageError as error:
            print(n, error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        await database.write(
            lambda db: db.execute("INSERT INTO queues (name) VALUES ('later')") and None
        )
asyncio.run(main())
"""


async def test_a_file_that_may_not_grow_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    """Faults 75: RLIMIT_FSIZE, where SQLite sees an input/output error."""
    said = subprocess.check_output(
        [sys.executable, "-c", FILL, tmp_path], text=True, timeout=WAIT_S
    )

    accepted, _, message = said.partition(" ")
    assert "it cannot be written or read" in message
    async with Database(tmp_path) as database:
        kept = await database.read(names)
    assert len(kept) == int(accepted) + 1
    assert "later" in kept


async def test_writes_wait_for_the_lock_of_the_file(tmp_path: Path) -> None:
    """Faults 73: two writers never meet, so that no checkpoint runs beside a write."""
    async with Database(tmp_path) as database:
        with (tmp_path / "queue.lock").open("r+") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            writing = asyncio.ensure_future(database.write(add("a")))
            await asyncio.sleep(0.05)
            assert not writing.done()
            fcntl.flock(other, fcntl.LOCK_UN)
        async with asyncio.timeout(WAIT_S):
            await writing


async def test_a_lock_that_is_never_let_go_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "_LOCK_S", 0.05)
    async with Database(tmp_path) as database:
        with (tmp_path / "queue.lock").open("r+") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(QueueStorageError, match=r"queue\.lock: another process has held"):
                await database.write(add("a"))
        await database.write(add("b"))

        assert await database.read(names) == ["b"]


async def test_every_thread_and_every_loop_may_ask(database: Database) -> None:
    """Faults 80: two loops, threads."""

    def elsewhere(name: str) -> None:
        asyncio.run(database.write(add(name)))

    threads = [threading.Thread(target=elsewhere, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)

    assert await database.read(names) == [f"t{n}" for n in range(8)]


FORK = """
import asyncio, os, sys
from nuxt_queue.errors import QueueStorageError
from nuxt_queue.services.sqlite import Database
database = Database(sys.argv[1])
child = os.fork()
if child == 0:
    async def main():
        try:
            await database.read(lambda db: 1)
        except QueueStorageError as error:
            os.write(1, str(error).encode())
        await database.close()
        async with Database(sys.argv[1]) as own:
            os.write(1, f" {await own.read(lambda db: 1)}".encode())
    asyncio.run(main())
    os._exit(0)
os.waitpid(child, 0)
asyncio.run(database.close())
"""


def test_a_forked_process_has_to_open_its_own(tmp_path: Path) -> None:
    """Faults 80."""
    said = subprocess.check_output(
        [sys.executable, "-W", "ignore", "-c", FORK, tmp_path], text=True, timeout=WAIT_S
    )

    assert said.endswith("opened before this process was forked; open it again here 1")


async def test_a_beat_goes_on_while_the_event_loop_is_held_up(database: Database) -> None:
    """Faults 65: a handler that blocks the loop does not cost its manager its jobs."""
    beats: list[int] = []
    several = threading.Event()

    def tell(count: int) -> None:
        beats.append(count)
        if len(beats) >= 3:
            several.set()

    stop = database.every(0.01, lambda db: len(names(db)), tell)
    assert several.wait(WAIT_S)  # holds up the loop on purpose
    stop()

    assert set(beats) == {0}


async def test_what_was_posted_is_written_before_the_file_is_closed(tmp_path: Path) -> None:
    async with Database(tmp_path) as database:
        for n in range(100):
            await database.post(add(f"{n:03}"))
        await database.post(lambda _db: 1 / 0)  # logged, and in nobody's way

    async with Database(tmp_path) as database:
        assert len(await database.read(names)) == 100


async def test_a_closed_file_answers_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path)
    await database.close()
    await database.close()

    with pytest.raises(QueueError, match="is closed"):
        await database.read(names)


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("fast", 1)])
async def test_durability_says_when_a_write_is_answered(
    tmp_path: Path, durability: Any, level: int
) -> None:
    """Faults 71: FULL and NORMAL, as SQLite calls them."""
    async with Database(tmp_path, durability=durability) as database:
        found = await database.read(lambda db: db.execute("PRAGMA synchronous").fetchone())
        journal = await database.read(lambda db: db.execute("PRAGMA journal_mode").fetchone())

    assert found == (level,)
    assert journal == ("wal",)


async def test_names_of_any_kind_stay_values(tmp_path: Path) -> None:
    """Faults 96: parameters only; no name becomes a path or SQL."""
    odd = [
        "../x",
        "/abs",
        "a\x00b",
        "%2e%2e",
        "a\\b",
        "C:",
        ".",
        "CON",
        "x" * 300,
        "'; DROP--",
        "\u2024",
    ]
    async with Database(tmp_path / "data") as database:
        for name in odd:
            await database.write(add(name))
        assert set(await database.read(names)) == set(odd)

    assert {path.name for path in (tmp_path / "data").iterdir()} == {"queue.sqlite3", "queue.lock"}
    assert os.listdir(tmp_path) == ["data"]  # noqa: PTH208 names
