"""What a connection has open is still what is found under its name."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from nuxt_queue.errors import QueueStorageError
from nuxt_queue.services.sqlite import in_use
from nuxt_queue.services.sqlite.location import check_log
from nuxt_queue.services.sqlite.pairing import mark_of

__all__ = ["Opened"]


class Opened:
    """The file and its log as they were when a connection opened them.

    A file that is moved, deleted or replaced under a connection goes on being written by it: what
    is accepted then is where nobody finds it, or damages what took the place.

    Args:
        path: The file, opened and read; the lock is held.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._is_closed = path, False
        names = (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm")))
        self._files = {each: in_use.identity_of(each) for each in names}
        # The last connection of a process that closes a file writes the log into it and removes the
        # log, both by name; one that may only read cannot.
        self._reader = sqlite3.connect(
            f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False
        )
        self._reader.execute("SELECT 1 FROM sqlite_master").fetchone()
        self.look()

    def look(self) -> None:
        """Take note of the file as the last transaction has left it; the lock is held."""
        self._changed_at = _changed_at(self._path)

    def check(self, db: sqlite3.Connection | None = None) -> None:
        """Refuse to go on with files that are others by now.

        Args:
            db: The connection; the lock is held.  It tells whether the log still belongs to the
                file, when that was written by somebody else.

        Raises:
            QueueStorageError: One of them was moved, deleted or replaced.
        """
        for each, identity in self._files.items():
            if self._is_closed and each != self._path:
                continue
            if in_use.identity_of(each) != identity:
                what = "it" if each == self._path else f"{each.name} beside it"
                raise QueueStorageError(
                    self._path,
                    f"{what} was moved or deleted while it was open, and nothing more is accepted;"
                    " put it back, or start this process anew",
                )
        if db is not None and not self._is_closed and _changed_at(self._path) != self._changed_at:
            check_log(self._path, mark_of(db))

    def close(self, db: sqlite3.Connection) -> None:
        """Close the connection; files that are others by now are left as they are."""
        if self._is_closed:
            return
        try:
            self.check(db)
        except QueueStorageError:
            db.close()
            self._reader.close()
        else:
            self._reader.close()
            db.close()
        self._is_closed = True


def _changed_at(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
