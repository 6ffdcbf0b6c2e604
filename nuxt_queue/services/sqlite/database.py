"""Database: one SQLite file, used from one thread, in transactions that callers share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from nuxt_queue.errors import QueueClosedError, QueueStorageError
from nuxt_queue.services.sqlite import in_use
from nuxt_queue.services.sqlite.location import (
    FileLock,
    check_log,
    find_file,
    make_file,
    prepare_directory,
    storage_error,
)
from nuxt_queue.services.sqlite.opened import Opened
from nuxt_queue.services.sqlite.pairing import stamp
from nuxt_queue.services.sqlite.schema import ADDED

__all__ = ["Database", "Durability", "Work"]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
Durability = Literal["full", "fast"]

_FILE, _LOCK = "queue.sqlite3", "queue.lock"
_MOST_AT_ONCE = 1_000  # works of one transaction: more would keep other processes waiting
_MOST_POSTED = 20_000  # works that nobody waits for, before their callers have to

_FORKED = (
    "the process that this one was forked from has it open, and a copy of an open file is of no"
    " use; start this process with 'spawn', or fork before the file is opened"
)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Item:
    work: Work[Any]
    writes: bool
    done: Callable[[Any, BaseException | None], None]


@dataclass(slots=True)
class _Beat:
    every_s: float
    work: Work[Any]
    tell: Callable[[Any, BaseException | None], None]
    due: float


class Database:
    """Answers reads and writes in the order in which they were asked for.

    Whatever waits when the thread is free becomes one transaction: a caller alone pays for one
    fsync, a thousand callers at once pay for one too.  A write is answered when it is safe:

    - `durability="full"`: on the disk, so that it survives the loss of power;
    - `durability="fast"`: in the hands of the operating system, so that it survives the death of
      this process, but the last moments may be lost with the machine.  Nothing is ever torn.

    Any thread and any event loop may ask; a process that was forked has to open its own.

    Args:
        directory: The folder of the file; made when it is not there, for its owner only.
        durability: What an answer means.

    Raises:
        QueueStorageError: The folder or what is in it cannot be used.
    """

    poll_s = 0.1
    """How often another process's changes have to be looked for."""

    def __init__(self, directory: str | Path, *, durability: Durability = "full") -> None:
        directory = prepare_directory(Path(directory))
        self.path = find_file(directory, _FILE)
        self._durability = durability
        if in_use.is_inherited(self.path):
            raise QueueStorageError(self.path, _FORKED)
        self._lock = FileLock(self.path.with_name(_LOCK))
        self._pid = os.getpid()
        self._inbox: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._beats: list[_Beat] = []
        self._closed = False
        self._said = ""  # of what could not be kept, since something was
        try:
            with self._lock.held():
                make_file(self.path)
                self._identity = in_use.opened(self.path)
                self._db = self._connect()
        except BaseException:
            self._lock.close()
            raise
        self._thread = threading.Thread(target=self._serve, name="nuxt-queue file", daemon=True)
        self._thread.start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction and return what it returned, once that is safe.

        When it raises, nothing of it is kept.

        Raises:
            QueueStorageError: It could not be kept, and was not.
        """
        return await self._ask(work, writes=True)

    async def read(self, work: Work[T]) -> T:
        """Return what `work` finds; it sees every write that was asked for before."""
        return await self._ask(work, writes=False)

    async def post(self, work: Work[Any]) -> None:
        """Have `work` written behind everything asked for before, without waiting for it."""
        self._refuse()
        if self._inbox.qsize() > _MOST_POSTED:
            await self.write(work)
            return
        self._inbox.put(_Item(work, writes=True, done=self._log_failure))

    def every(
        self,
        every_s: float,
        work: Work[T],
        tell: Callable[[T | None, BaseException | None], None],
    ) -> Callable[[], None]:
        """Run `work` again and again, also while the event loop is held up; return the way out.

        Args:
            every_s: Seconds between two runs.
            work: Runs in a transaction.
            tell: Gets what it returned, or None and why it failed, in the thread of the database.
        """
        beat = _Beat(every_s, work, tell, time.monotonic() + every_s)
        self._beats.append(beat)
        self._inbox.put(_Item(_nothing, writes=False, done=_ignore))  # so that it is counted in

        def stop() -> None:
            if beat in self._beats:
                self._beats.remove(beat)

        return stop

    async def close(self) -> None:
        """Write what was asked for and let go of the file; idempotent."""
        if not self._closed and self._pid == os.getpid():
            self._closed = True
            self._inbox.put(None)
            await asyncio.to_thread(self._thread.join)

    async def _ask(self, work: Work[T], *, writes: bool) -> T:
        self._refuse()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            if answer.cancelled():
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        def done(result: Any, error: BaseException | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop that asked has ended
                loop.call_soon_threadsafe(settle, result, error)

        self._inbox.put(_Item(work, writes, done))
        return await answer

    def _refuse(self) -> None:
        if self._pid != os.getpid():
            raise QueueStorageError(self.path, _FORKED)
        if self._closed:
            raise QueueClosedError(f"{self.path} is closed")

    def _log_failure(self, _result: Any, error: BaseException | None) -> None:
        if error is not None and str(error) != self._said:  # a beat would say it each second
            self._said = str(error)
            _log.error("something was not kept: %s", error)

    def _connect(self) -> sqlite3.Connection:
        """Open the file, which is there; the lock is held."""
        db: sqlite3.Connection | None = None
        try:
            db = sqlite3.connect(
                f"{self.path.as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            db.execute("PRAGMA busy_timeout = 5000")
            db.execute(f"PRAGMA synchronous = {'FULL' if self._durability == 'full' else 'NORMAL'}")
            db.execute("PRAGMA journal_size_limit = 67108864")
            db.execute("PRAGMA trusted_schema = OFF")
            db.executescript(ADDED)
        except sqlite3.Error as error:
            if db is not None:
                db.close()
            in_use.closed(self._identity)
            raise storage_error(self.path, error) from None
        self._opened = Opened(self.path)
        return db

    # Everything below runs in the thread.

    def _serve(self) -> None:
        open_for_work = True
        while open_for_work:
            try:
                batch, open_for_work = self._next_batch()
                if batch:
                    self._run(batch)
            except Exception:  # noqa: BLE001 without this thread nobody would ever be answered
                _log.exception("work for %s was not done", self.path)
        with contextlib.suppress(QueueStorageError, sqlite3.Error, OSError), self._lock.held():
            self._opened.close(self._db)
        in_use.closed(self._identity)
        self._lock.close()

    def _next_batch(self) -> tuple[list[_Item], bool]:
        """Wait for work and return all there is, and whether there may be more."""
        due = min((beat.due for beat in self._beats), default=None)
        wait_s = None if due is None else max(0.0, due - time.monotonic())
        batch = list(self._due_beats())
        try:
            item = self._inbox.get(timeout=0 if batch else wait_s)
            while item is not None:
                batch.append(item)
                if len(batch) >= _MOST_AT_ONCE:
                    return batch, True
                item = self._inbox.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _due_beats(self) -> Iterator[_Item]:
        now = time.monotonic()
        for beat in list(self._beats):
            if beat.due <= now:
                beat.due = now + beat.every_s
                yield _Item(beat.work, writes=True, done=self._teller(beat))

    def _teller(self, beat: _Beat) -> Callable[[Any, BaseException | None], None]:
        def done(result: Any, error: BaseException | None) -> None:
            self._log_failure(None, error)
            if beat in self._beats:
                beat.tell(result, error)

        return done

    def _run(self, batch: list[_Item]) -> None:
        try:
            if any(item.writes for item in batch):
                with self._lock.held():
                    self._opened.check(self._db)
                    outcomes = self._transact(batch)
                    self._opened.look()
            else:
                self._opened.check()
                outcomes = [self._attempt(item) for item in batch]
        except (sqlite3.Error, OSError) as error:
            outcomes = [(None, storage_error(self.path, error))] * len(batch)
            self._mend()
        except QueueStorageError as error:
            outcomes = [(None, error)] * len(batch)
        except Exception as error:  # noqa: BLE001 whoever asked must get an answer, whatever it is
            outcomes = [(None, error)] * len(batch)
        for item, (result, failure) in zip(batch, outcomes, strict=True):
            try:
                item.done(result, failure)
            except Exception:  # noqa: BLE001 whoever cannot take its answer must not stop the rest
                _log.exception("an answer of %s was not taken", self.path)

    def _transact(self, batch: list[_Item]) -> list[tuple[Any, BaseException | None]]:
        self._db.execute("BEGIN IMMEDIATE")
        changes = self._db.total_changes
        try:
            outcomes = [self._attempt(item) for item in batch]
            if self._db.total_changes != changes:
                stamp(self._db, self.path)
            self._db.execute("COMMIT")
            self._said = ""
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return outcomes

    def _attempt(self, item: _Item) -> tuple[Any, BaseException | None]:
        """Run one work; when it fails, undo it and leave the others as they are."""
        inside = self._db.in_transaction
        if inside:
            self._db.execute("SAVEPOINT work")
        try:
            result = item.work(self._db)
        except Exception as error:
            if inside and not self._db.in_transaction:
                raise  # SQLite has undone everything: the disk is full, or worse
            if inside:
                self._db.execute("ROLLBACK TO work")
                self._db.execute("RELEASE work")
            if isinstance(error, sqlite3.Error):
                return None, storage_error(self.path, error)
            return None, error
        if inside:
            self._db.execute("RELEASE work")
        return result, None

    def _mend(self) -> None:
        """Begin anew with the file, whatever state the failure has left the connection in."""
        try:
            with self._lock.held():
                self._opened.check(self._db)
                self._opened.close(self._db)
                check_log(self.path)
                self._db = self._connect()
        except Exception:  # noqa: BLE001 whoever asks next is told why
            _log.exception("%s cannot be opened again", self.path)


def _nothing(_db: sqlite3.Connection) -> None:
    pass


def _ignore(_result: Any, _error: BaseException | None) -> None:
    pass
