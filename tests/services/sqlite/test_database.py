"""Database: shared transactions, answers only for what is safe, failures that lose nothing."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
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
            with pytest.raises(
                QueueStorageError, match=rf"queue\.lock: process {os.getpid()} has held"
            ):
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
async def main():
    database = Database(sys.argv[1])
    await database.write(lambda db: None)
    if os.fork() == 0:
        said = []
        try:
            await database.write(lambda db: None)
        except QueueStorageError as error:
            said.append(str(error))
        try:
            Database(sys.argv[1])
        except QueueStorageError as error:
            said.append(str(error))
        Database(sys.argv[2])  # another file is its own affair
        print(*said, sep="\\n", flush=True)
        os._exit(0)
    os.wait()
    await database.write(lambda db: None)
    await database.close()
asyncio.run(main())
"""


def test_a_forked_process_may_not_use_what_its_parent_has_open(tmp_path: Path) -> None:
    """Faults 80: SQLite would believe that it holds the parent's locks, and lose what it writes."""
    said = subprocess.check_output(
        [sys.executable, "-W", "ignore", "-c", FORK, tmp_path / "a", tmp_path / "b"],
        text=True,
        timeout=WAIT_S,
    ).splitlines()

    assert len(said) == 2
    assert all("the process that this one was forked from has it open" in line for line in said)


LOCK_AND_FORK = """
import asyncio, os, signal, sys
from nuxt_queue.services.sqlite import Database
def fork_and_die(db):
    if os.fork() == 0:
        os.close(1)
        signal.pause()
    print("forked", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(Database(sys.argv[1]).write(fork_and_die))
"""


async def test_a_lock_does_not_outlive_its_holder_in_a_copy_of_it(tmp_path: Path) -> None:
    """Faults 80: a fork inherits the descriptor, and with it the lock."""
    command = [sys.executable, "-c", LOCK_AND_FORK, str(tmp_path)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    try:
        said, _ = holder.communicate(timeout=WAIT_S)
        assert said == b"forked\n"
        async with Database(tmp_path) as database:
            await database.write(add("a"))
    finally:
        os.killpg(holder.pid, signal.SIGKILL)


TWICE = """
import asyncio, os, signal, subprocess, sys
from nuxt_queue.services.sqlite import Database
def add(name):
    return lambda db: db.execute("INSERT INTO queues (name) VALUES (?)", (name,)) and None
OTHER = "import sys, asyncio; from nuxt_queue.services.sqlite import Database"
OTHER += "; asyncio.run(Database(sys.argv[1]).close())"
async def main():
    first = Database(sys.argv[1])
    await first.write(add("first"))
    second = Database(sys.argv[1])
    subprocess.run([sys.executable, "-c", OTHER, sys.argv[1]], check=True)
    for n in range(10):
        await first.write(add(f"n{n}"))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_a_file_that_is_opened_twice_in_one_process_keeps_what_was_accepted(
    tmp_path: Path,
) -> None:
    """Faults 73: as a cell that is run again; a descriptor closed beside SQLite ends its locks."""
    done = subprocess.run([sys.executable, "-c", TWICE, tmp_path], timeout=WAIT_S, check=False)

    assert done.returncode == -signal.SIGKILL
    async with Database(tmp_path) as database:
        assert await database.read(names) == ["first", *(f"n{n}" for n in range(10))]


async def test_a_file_that_is_moved_away_while_it_is_open_accepts_nothing_more(
    tmp_path: Path,
) -> None:
    async with Database(tmp_path) as database:
        await database.write(add("a"))
        for path in tmp_path.glob("queue.sqlite3*"):
            path.rename(tmp_path / f"moved-{path.name}")
        with pytest.raises(QueueStorageError, match="was moved or deleted while it was open"):
            await database.write(add("b"))
        for path in tmp_path.glob("moved-*"):
            path.rename(tmp_path / path.name.removeprefix("moved-"))
        await database.write(add("c"))

        assert await database.read(names) == ["a", "c"]


async def test_a_beat_goes_on_while_the_event_loop_is_held_up(database: Database) -> None:
    """Faults 65: a handler that blocks the loop does not cost its manager its jobs."""
    beats: list[int] = []
    several = threading.Event()

    def tell(count: int | None, _error: BaseException | None) -> None:
        assert count is not None
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
