"""The file and its log: what does not belong together is never used together."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nuxt_queue.errors import QueueStorageError
from nuxt_queue.services.sqlite import Database
from tests.services.sqlite.test_database import add, names

FILE, WAL, SHM = "queue.sqlite3", "queue.sqlite3-wal", "queue.sqlite3-shm"
LOCK = "queue.lock"
WAIT_S = 30

# Writes names and dies as it stands: the log stays.
KILLED = """
import asyncio, os, signal, sys
from nuxt_queue.services.sqlite import Database
async def main():
    database = Database(sys.argv[1])
    for name in sys.argv[2:]:
        await database.write(lambda db: db.execute("INSERT INTO queues (name) VALUES (?)", (name,)))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def killed_after(directory: Path, *written: str) -> None:
    command = [sys.executable, "-c", KILLED, str(directory), *written]
    subprocess.run(command, timeout=WAIT_S, check=False)
    assert (directory / WAL).stat().st_size > 0


async def stored(directory: Path) -> list[str]:
    async with Database(directory) as database:
        return await database.read(names)


def contents(directory: Path) -> dict[str, bytes]:
    """Return what is in the files; the index of the log is made anew by whoever looks."""
    found = directory.glob("queue.sqlite3*")
    return {path.name: path.read_bytes() for path in found if path.name != SHM}


def advised(error: QueueStorageError) -> str:
    """Return the command that a message gives."""
    found = re.search(r"mkdir .* && mv .*?/(?=;|$| \()", str(error))
    assert found is not None, error
    return found[0]


def follow(command: str) -> None:
    subprocess.run(["bash", "-c", command], check=True, timeout=WAIT_S)


async def test_a_new_file_is_never_made_beside_what_is_left_of_another(tmp_path: Path) -> None:
    killed_after(tmp_path, "a", "b")
    moved = tmp_path / "elsewhere"
    (tmp_path / FILE).rename(moved)
    before = contents(tmp_path)

    with pytest.raises(QueueStorageError, match=f"it is missing, and {WAL}, {SHM} of it") as caught:
        Database(tmp_path)

    assert contents(tmp_path) == before
    moved.rename(tmp_path / FILE)
    assert await stored(tmp_path) == ["a", "b"]
    killed_after(tmp_path, "c")
    (tmp_path / FILE).unlink()
    follow(advised(caught.value))
    assert await stored(tmp_path) == []


@pytest.mark.parametrize("left", [WAL, SHM, "queue.sqlite3-journal"])
def test_whatever_is_left_alone_is_refused_by_name(tmp_path: Path, left: str) -> None:
    (tmp_path / left).write_bytes(b"x" * 64)

    with pytest.raises(QueueStorageError, match=f"it is missing, and {left} of it is left"):
        Database(tmp_path)

    assert not (tmp_path / FILE).exists()


async def test_an_older_copy_is_not_used_with_the_log_of_a_later_state(tmp_path: Path) -> None:
    async with Database(tmp_path) as database:
        await database.write(add("a"))
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tmp_path / FILE, copy)
    async with Database(tmp_path) as database:
        await database.write(add("b"))
    killed_after(tmp_path, "c")
    shutil.copy(copy / FILE, tmp_path / FILE)
    before = contents(tmp_path)

    with pytest.raises(QueueStorageError, match=f"it and {WAL} do not belong together") as caught:
        Database(tmp_path)

    assert contents(tmp_path) == before
    follow(advised(caught.value))
    shutil.copy(copy / FILE, tmp_path / FILE)
    assert await stored(tmp_path) == ["a"]


async def test_the_log_of_another_file_is_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    killed_after(one, "a")
    killed_after(other, "b", "c")
    shutil.copy(other / WAL, one / WAL)

    with pytest.raises(QueueStorageError, match="do not belong together"):
        Database(one)


async def test_every_pair_of_a_file_and_a_log_is_used_only_if_nothing_is_wrong_with_it(
    tmp_path: Path,
) -> None:
    """Copies at many moments, each file with each log: their own always, no other if it harms."""
    live = tmp_path / "live"
    moments: list[tuple[Path, list[str]]] = []
    for opened in range(3):
        async with Database(live) as database:
            await database.write(lambda db: db.execute("PRAGMA wal_autocheckpoint = 4") and None)
            for n in range(8):
                await asyncio.gather(*(database.write(add(f"{opened}{n}{k}")) for k in range(n)))
                if n % 3 == 2:
                    await database.write(lambda db: db.execute("DELETE FROM queues") and None)
                moment = tmp_path / f"moment{len(moments)}"
                moment.mkdir()
                for name in (FILE, WAL):
                    shutil.copy(live / name, moment)
                moments.append((moment, await database.read(names)))
    logs = [each for each in moments if (each[0] / WAL).stat().st_size]
    refused = 0
    for file, _ in moments:
        for log, wanted in logs:
            pair = tmp_path / "pair"
            pair.mkdir()
            shutil.copy(file / FILE, pair)
            shutil.copy(log / WAL, pair)
            try:
                found = await stored(pair)
            except QueueStorageError:
                assert file != log, "a file was refused with its own log"
                refused += 1
            else:
                assert found == wanted
                assert verdict(pair) == "ok"
            shutil.rmtree(pair)
    assert refused > len(moments) * len(logs) / 2, refused
    assert len(logs) > 12


def verdict(directory: Path) -> str:
    db = sqlite3.connect(directory / FILE)
    try:
        return str(db.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        db.close()


async def test_a_folder_that_is_copied_while_it_is_used_is_whole(tmp_path: Path) -> None:
    """The file before its log, as their names have it."""
    live, copy = tmp_path / "live", tmp_path / "copy"
    async with Database(live) as database:
        for n in range(50):
            await database.write(add(f"n{n:02}"))
        shutil.copytree(live, copy)
        await database.write(add("later"))

    assert await stored(copy) == [f"n{n:02}" for n in range(50)]


async def test_a_journal_of_another_program_is_refused(tmp_path: Path) -> None:
    await stored(tmp_path)
    (tmp_path / "queue.sqlite3-journal").write_bytes(b"x" * 512)

    with pytest.raises(QueueStorageError, match=r"-journal beside it is another program's"):
        Database(tmp_path)


def remove(directory: Path, name: str) -> None:
    (directory / name).unlink()


def replace(directory: Path, name: str) -> None:
    shutil.copy(directory / name, directory / "copy")
    (directory / "copy").replace(directory / name)


@pytest.mark.parametrize("change", [remove, replace])
@pytest.mark.parametrize("name", [FILE, WAL, SHM])
async def test_what_is_removed_or_replaced_under_a_server_ends_its_work_and_nothing_else(
    tmp_path: Path, name: str, change: Callable[[Path, str], None]
) -> None:
    async with Database(tmp_path) as database:
        await database.write(add("a"))
        change(tmp_path, name)
        before = contents(tmp_path)
        for ask in (database.read, database.write):
            with pytest.raises(QueueStorageError, match="was moved or deleted while it was open"):
                await ask(names)
        if name == FILE and change is remove:
            with pytest.raises(QueueStorageError, match="it is missing"):
                Database(tmp_path)

    assert contents(tmp_path) == before


async def test_a_server_whose_files_are_gone_leaves_those_of_the_next_alone(tmp_path: Path) -> None:
    async with Database(tmp_path) as old:
        await old.write(add("old"))
        for path in tmp_path.glob("queue*"):
            path.unlink()
        async with Database(tmp_path) as new:
            await new.write(add("new"))
            with pytest.raises(QueueStorageError, match="was moved or deleted"):
                await old.write(add("lost"))
            await old.close()
            await new.write(add("newer"))

    assert await stored(tmp_path) == ["new", "newer"]
    assert verdict(tmp_path) == "ok"


async def test_a_copy_that_is_written_over_the_open_file_is_noticed_and_kept(
    tmp_path: Path,
) -> None:
    async with Database(tmp_path) as database:
        await database.write(add("a"))
    copy = tmp_path / "copy"
    shutil.copy(tmp_path / FILE, copy)
    async with Database(tmp_path) as database:
        await database.write(add("b"))
    async with Database(tmp_path) as database:
        await database.write(add("c"))
        shutil.copy(copy, tmp_path / FILE)  # the same file, with another content

        with pytest.raises(QueueStorageError, match="do not belong together"):
            await database.write(add("d"))

    assert (tmp_path / FILE).read_bytes() == copy.read_bytes()


async def test_a_lock_file_that_is_removed_is_made_again_and_locks(tmp_path: Path) -> None:
    async with Database(tmp_path) as one, Database(tmp_path) as two:
        await one.write(add("a"))
        (tmp_path / LOCK).unlink()
        await asyncio.gather(*(each.write(add(f"{n}")) for n, each in enumerate((one, two))))

        assert one._lock._fd != two._lock._fd
        fds = (one._lock._fd, two._lock._fd)
        assert {os.fstat(fd).st_ino for fd in fds} == {(tmp_path / LOCK).stat().st_ino}


async def test_a_file_behind_a_link_has_its_log_and_lock_beside_it(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    await stored(there)
    here.mkdir()
    (here / FILE).symlink_to(there / FILE)

    async with Database(here) as linked, Database(there) as direct:
        await linked.write(add("a"))
        assert await direct.read(names) == ["a"]

    assert {path.name for path in here.iterdir()} == {FILE}


def test_a_link_that_leads_nowhere_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / FILE).symlink_to("/not/there")

    with pytest.raises(QueueStorageError, match="is a link to /not/there, which is not there"):
        Database(tmp_path)

    assert (tmp_path / FILE).is_symlink()
