"""Where the file is: made once, for its owner only; refused by name when it cannot be ours."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from nuxt_queue.errors import QueueStorageError
from nuxt_queue.services.sqlite import in_use
from nuxt_queue.services.sqlite.files import aside, found_beside, restore
from nuxt_queue.services.sqlite.pairing import (
    Mark,
    log_of,
    mark_of,
    mark_without_log,
    salts_of,
)
from nuxt_queue.services.sqlite.place import about_network
from nuxt_queue.services.sqlite.schema import APPLICATION_ID, SCHEMA, VERSION

__all__ = ["FileLock", "check_log", "find_file", "make_file", "prepare_directory", "storage_error"]

_MAGIC = b"SQLite format 3\0"
_HEADER = 100  # bytes
_OLDEST = (3, 35)  # the first that can say which rows it has changed
_LOCK_S = 10.0  # a transaction takes milliseconds: whoever holds the lock this long is stuck
_LOCK_POLL_S = 0.0003
# The check of a larger file would take longer than one waits; its damage shows when it is met.
_CHECKED_BYTES = 64 * 1024 * 1024

_log = logging.getLogger(__name__)

_REASONS = {
    "SQLITE_FULL": "the disk is full, so nothing was accepted; make room",
    "SQLITE_READONLY": "it is read-only; give this user the right to write it and its folder",
    "SQLITE_PERM": "this user may not use it; look at the rights of the file and its folder",
    "SQLITE_CANTOPEN": "it cannot be opened; look at the rights of the file and its folder",
    "SQLITE_CORRUPT": "it is damaged and was left as it is; {aside}",
    "SQLITE_NOTADB": "it is not an SQLite file and was left as it is; {aside}",
    "SQLITE_BUSY": "another program holds it locked; end that program",
    "SQLITE_LOCKED": "another program holds it locked; end that program",
    "SQLITE_IOERR": "it cannot be written or read; is the disk full, or gone?",
}


def storage_error(path: Path, error: sqlite3.Error | OSError) -> QueueStorageError:
    """Return the error that says in the user's words what SQLite or the system said."""
    if isinstance(error, OSError):
        return QueueStorageError(path, f"{error.strerror or error}")
    name = getattr(error, "sqlite_errorname", None) or ""
    for start, reason in _REASONS.items():
        if name.startswith(start):
            what = reason.replace("{aside}", aside(path))
            return QueueStorageError(path, f"{what} ({name}: {error})")
    return QueueStorageError(path, f"{error} ({name or type(error).__name__})")


class FileLock:
    """One process at a time: every transaction that writes, and with it every checkpoint.

    SQLite before 3.51.3 can lose a committed transaction when one connection writes while another
    starts the log anew; under one lock they never meet.  With newer ones it still saves the
    sleeping and waking by which SQLite waits.

    Args:
        path: The file that is locked; made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._fd = self._open()
        except OSError as error:
            raise storage_error(path, error) from None

    def _open(self) -> int:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        in_use.close_in_forks(fd)
        return fd

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for a block; a lock file that was removed meanwhile is made again.

        Raises:
            QueueStorageError: Somebody else holds it and does not let go.
        """
        deadline = time.monotonic() + _LOCK_S
        while not self._try():
            if time.monotonic() > deadline:
                holder = in_use.holder_of(self._path)
                who = f"process {holder}" if holder else "another process"
                raise QueueStorageError(
                    self._path, f"{who} has held the lock for {_LOCK_S:g} s; is it stopped?"
                )
            time.sleep(_LOCK_POLL_S)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        in_use.forget_descriptor(self._fd)
        os.close(self._fd)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        found = os.fstat(self._fd)
        if in_use.identity_of(self._path) == (found.st_dev, found.st_ino):
            return True
        # Others lock the file that has the name now, or will when it is made.
        former, self._fd = self._fd, self._open()
        in_use.forget_descriptor(former)
        os.close(former)
        return False


def prepare_directory(directory: Path) -> Path:
    """Make the folder if it is not there, for its owner only; return it absolute.

    Raises:
        QueueStorageError: It cannot be made, is no folder, or SQLite is too old.
    """
    directory = directory.absolute()
    if sqlite3.sqlite_version_info < _OLDEST:
        raise QueueStorageError(
            directory,
            f"SQLite {'.'.join(map(str, _OLDEST))} or newer is needed, and this Python has"
            f" {sqlite3.sqlite_version}; use another Python",
        )
    try:
        made = not directory.exists()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if made:
            directory.chmod(0o700)  # whatever the umask is
    except FileExistsError:
        raise QueueStorageError(directory, "it is no folder; give one") from None
    except (OSError, RuntimeError) as error:
        reason = error if isinstance(error, OSError) else OSError(str(error))
        raise storage_error(directory, reason) from None
    _warn_of_network(directory)
    return directory


def find_file(directory: Path, name: str) -> Path:
    """Return where a file is that may be a link: SQLite keeps its log beside what it leads to.

    Raises:
        QueueStorageError: The link leads nowhere, to a disk that is not there for instance.
    """
    path = directory / name
    if not path.is_symlink():
        return path
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError):
        target = path.readlink()
        raise QueueStorageError(
            path, f"it is a link to {target}, which is not there; is its disk mounted?"
        ) from None


def make_file(path: Path) -> None:
    """Make the file if there is none; otherwise see that it is ours.  The lock is held.

    A new file gets its name when its tables are in it: one without is none of ours.

    Raises:
        QueueStorageError: It cannot be made, or what is there cannot be used; that is left as it
            is.
    """
    try:
        _check_beside(path)
        if not path.exists():
            _make(path)
        elif not in_use.is_open_here(path):
            # Whoever opens and closes it beside SQLite ends the locks that SQLite holds on it for
            # this process, and with them what its other connections have written.
            _check_header(path)
        check_log(path)
        _check_inside(path)
    except (sqlite3.Error, OSError) as error:
        raise storage_error(path, error) from None


def _make(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        draft.chmod(0o600)
        db = sqlite3.connect(draft, isolation_level=None)
        try:
            db.executescript(
                f"PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {VERSION};"
                "PRAGMA journal_mode = WAL;"
                "PRAGMA synchronous = FULL;"
                f"BEGIN; {SCHEMA} COMMIT;"
            )
        finally:
            db.close()
        draft.replace(path)
        _sync(path.parent)
    finally:
        for left in path.parent.glob(draft.name + "*"):
            left.unlink(missing_ok=True)


def _check_beside(path: Path) -> None:
    """Refuse what SQLite would replay into a file that it does not belong to."""
    beside = found_beside(path)
    names = ", ".join(each.name for each in beside)
    if beside and not path.exists():
        raise QueueStorageError(
            path,
            f"it is missing, and {names} of it is left, which would damage a new one. Put it back"
            f" beside them; or, to begin anew, {aside(path)}",
        )
    journals = [each for each in beside if each.name.endswith("-journal")]
    if any(each.stat().st_size for each in journals):
        raise QueueStorageError(
            path,
            f"{path.name}-journal beside it is another program's and would damage it; move it away",
        )


def check_log(path: Path, mark: Mark | None = None) -> None:
    """Refuse a log that does not belong to the file.  The lock is held.

    Args:
        path: The file.
        mark: What a connection sees that has the file open.

    Raises:
        QueueStorageError: It does not belong to it; both are left as they are.
    """
    salts = salts_of(path)
    alone = mark_without_log(path) if salts else None
    if alone is None:
        return
    seen = mark or _mark_seen(path)
    if seen is not None and not seen.allows(alone, salts):
        raise QueueStorageError(
            path,
            f"it and {log_of(path).name} do not belong together: one of them was copied or moved"
            " without the other, and both were left as they are. Put back the one that is missing;"
            f" or, to restore a copy or begin anew, {aside(path)}",
        )


def _mark_seen(path: Path) -> Mark | None:
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return mark_of(db)
    finally:
        db.close()


def _check_header(path: Path) -> None:
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or a pipe"
        raise QueueStorageError(path, f"it is {kind}, not a file; move it away")
    # Opened for writing too, so that a file that cannot be written is refused now.
    with path.open("r+b") as file:
        header = file.read(_HEADER)
    if not header:
        raise QueueStorageError(
            path, f"it is empty, so whatever was in it is lost; to begin anew, {aside(path)}"
        )
    if not header.startswith(_MAGIC) or len(header) < _HEADER:
        raise QueueStorageError(
            path, f"it is not an SQLite file and was left as it is; {aside(path)}"
        )
    _check_version(path, int.from_bytes(header[68:72]), int.from_bytes(header[60:64]))


def _check_version(path: Path, application: int, version: int) -> None:
    if application != APPLICATION_ID:
        raise QueueStorageError(
            path, "it is another program's SQLite file; it was left as it is: give another folder"
        )
    if version != VERSION:
        age = "a newer release" if version > VERSION else "an older release"
        raise QueueStorageError(
            path,
            f"it was made by {age} of this package (format {version}, this one has {VERSION});"
            " it was left as it is: use that release",
        )


def _check_inside(path: Path) -> None:
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        # What is written in the log only, as well.
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        _check_version(path, application, version)
        found = "ok"
        if path.stat().st_size <= _CHECKED_BYTES:
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    finally:
        db.close()
    if found != "ok":
        raise QueueStorageError(
            path, f"it is damaged ({found}) and was left as it is; {restore(path)}"
        )


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _warn_of_network(directory: Path) -> None:
    doubt = about_network(directory)
    if doubt is not None:
        _log.warning("%s %s; %s", directory, *doubt)
