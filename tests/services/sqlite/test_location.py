"""Where the file is: made for its owner only; what is not ours is refused and left as it is."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nuxt_queue.errors import QueueStorageError
from nuxt_queue.services.sqlite import Database
from nuxt_queue.services.sqlite.location import FileLock
from nuxt_queue.services.sqlite.schema import APPLICATION_ID

FILE = "queue.sqlite3"


async def make(directory: Path) -> Path:
    async with Database(directory) as database:
        await database.write(lambda db: db.execute("INSERT INTO queues (name) VALUES ('q')"))
    return directory / FILE


async def test_folder_and_files_are_their_owners_only_whatever_the_umask(tmp_path: Path) -> None:
    """Faults 100."""
    before = os.umask(0)
    try:
        async with Database(tmp_path / "data") as database:
            await database.write(lambda db: db.execute("INSERT INTO queues (name) VALUES ('q')"))
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "data").iterdir()}
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert modes.keys() == {FILE, f"{FILE}-wal", f"{FILE}-shm", "queue.lock"}
    assert set(modes.values()) == {0o600}


async def test_nothing_but_the_file_and_its_lock_is_left_when_it_is_closed(tmp_path: Path) -> None:
    await make(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {FILE, "queue.lock"}


async def test_a_file_of_an_earlier_release_gets_what_it_lacks(tmp_path: Path) -> None:
    await Database(tmp_path).close()
    earlier = sqlite3.connect(tmp_path / "queue.sqlite3")
    earlier.executescript("DROP TRIGGER job_logs_removed; DROP TABLE job_logs;")
    earlier.close()

    async with Database(tmp_path) as database:
        sql = "SELECT name FROM sqlite_master WHERE name LIKE 'job_logs%' ORDER BY name"
        found = await database.read(lambda db: db.execute(sql).fetchall())

    assert found == [("job_logs",), ("job_logs_removed",)]


async def test_a_new_file_has_its_name_on_the_disk_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is synchronised when the file has its name, or a power failure loses it."""
    synced: list[bool] = []
    fsync = os.fsync

    def noting(fd: int) -> None:
        if os.fstat(fd).st_ino == tmp_path.stat().st_ino:
            synced.append((tmp_path / FILE).exists())
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noting)
    async with Database(tmp_path):
        assert synced == [True]


def test_a_lock_whose_folder_is_gone_closes_nothing_but_its_own_descriptor(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    lock = FileLock(folder / "lock")
    (folder / "lock").unlink()
    folder.rmdir()

    with pytest.raises(FileNotFoundError), lock.held():
        pass
    others = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    lock.close()

    for other in others:
        os.close(other)


def version(file: Path, application: int, number: int) -> None:
    db = sqlite3.connect(file)
    db.execute(f"PRAGMA application_id = {application}")
    db.execute(f"PRAGMA user_version = {number}")
    db.execute("CREATE TABLE theirs (x)")
    db.commit()
    db.close()


def damage(file: Path) -> None:
    """Overwrite a page in the middle, as a bad disk does."""
    raw = bytearray(file.read_bytes())
    raw[4096:12288] = os.urandom(8192)
    file.write_bytes(bytes(raw))


# what is there instead of our file, and what is said
FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda file: file.write_bytes(b""), "it is empty, so whatever was in it is lost"),
    "text": (lambda file: file.write_text("hello" * 100), "it is not an SQLite file"),
    "beginning": (lambda file: file.write_bytes(b"SQLite format 3\0"), "it is not an SQLite file"),
    "another's": (lambda file: version(file, 0, 0), "another program's SQLite file"),
    "newer": (lambda file: version(file, APPLICATION_ID, 99), "a newer release of this package"),
    "folder": (lambda file: file.mkdir(), "it is a folder, not a file"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_that_is_not_ours_is_refused_by_name_and_left_as_it_is(
    tmp_path: Path, kind: str
) -> None:
    """Faults 76."""
    put, says = FOREIGN[kind]
    file = tmp_path / FILE
    put(file)
    before = file.read_bytes() if file.is_file() else None

    with pytest.raises(QueueStorageError, match=says) as caught:
        Database(tmp_path)

    assert str(file) in str(caught.value)
    assert (file.read_bytes() if file.is_file() else None) == before
    assert {path.name for path in tmp_path.iterdir()} == {FILE, "queue.lock"}


async def test_a_damaged_file_is_refused_by_name_and_left_as_it_is(tmp_path: Path) -> None:
    """Faults 76: never silently empty."""
    file = await make(tmp_path)
    damage(file)
    before = file.read_bytes()

    with pytest.raises(QueueStorageError, match="it is damaged"):
        Database(tmp_path)

    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("make_place", "says"),
    [
        (lambda place: place.write_text("x"), "it is no folder; give one"),
        (lambda place: place.symlink_to(place), "it is no folder; give one"),
    ],
    ids=["file", "loop"],
)
def test_a_place_that_is_no_folder_is_refused_by_name(
    tmp_path: Path, make_place: Callable[[Path], object], says: str
) -> None:
    """Faults 75."""
    place = tmp_path / "data"
    make_place(place)

    with pytest.raises(QueueStorageError, match=says) as caught:
        Database(place)

    assert str(place) in str(caught.value)


OPEN_AS_NOBODY = """
import os, sys
from nuxt_queue.errors import QueueStorageError
from nuxt_queue.services.sqlite import Database
if os.geteuid() == 0:
    os.setuid(65534)  # nobody: what root may not do cannot be told
try:
    Database(sys.argv[1])
except QueueStorageError as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["file", "folder"])
async def test_what_may_not_be_written_is_refused_by_name(what: str) -> None:
    """Faults 75: a read-only file and a read-only folder."""
    # Not in pytest's folders, which only their owner may enter.
    directory = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    try:
        file = await make(directory)
        directory.chmod(0o777 if what == "file" else 0o555)
        (directory / "queue.lock").chmod(0o666)
        file.chmod(0o444 if what == "file" else 0o666)
        if what == "folder":
            (directory / "queue.lock").unlink()
        said = subprocess.check_output(
            [sys.executable, "-c", OPEN_AS_NOBODY, directory], text=True, timeout=20
        )
    finally:
        directory.chmod(0o777)
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()

    assert said.startswith(str(directory))
    assert "Permission denied" in said


def test_an_sqlite_that_is_too_old_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))

    with pytest.raises(QueueStorageError, match=r"SQLite 3\.35 or newer is needed"):
        Database(tmp_path / "data")

    assert not (tmp_path / "data").exists()


async def test_two_processes_that_make_the_file_at_once_share_one(tmp_path: Path) -> None:
    code = "import sys; from nuxt_queue.services.sqlite import Database; Database(sys.argv[1])"
    both = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(4)]
    assert [process.wait(20) for process in both] == [0] * 4

    async with Database(tmp_path) as database:
        assert await database.read(lambda db: db.execute("SELECT count(*) FROM jobs").fetchone())
    assert {path.name for path in tmp_path.iterdir()} == {FILE, "queue.lock"}
