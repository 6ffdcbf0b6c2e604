"""The lease by which a manager holds its jobs, and by which it gets those of a dead one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from nuxt_queue.managers.file import event_log, owners
from nuxt_queue.managers.file.job_rows import Claim
from nuxt_queue.managers.file.job_table import adopt, release
from nuxt_queue.managers.queue_events import QueueEvent
from nuxt_queue.services.sqlite import Database

__all__ = ["Lease"]

_BEAT_S = 1.0  # between two looks at who is alive


@dataclass(frozen=True, slots=True)
class _Beat:
    alive: bool
    stranded: list[Claim]


class Lease:
    """Says that a manager is alive, and looks who is not, in the thread of the file.

    So a handler that holds up the event loop does not cost its manager its jobs.

    Args:
        database: The file.
        on_lost: Called when others have taken this manager for dead, and with it its jobs.
        on_stranded: Gets the jobs of dead managers, which are this one's now.
    """

    def __init__(
        self,
        database: Database,
        on_lost: Callable[[], None],
        on_stranded: Callable[[list[Claim]], None],
    ) -> None:
        self._database, self._on_lost, self._on_stranded = database, on_lost, on_stranded
        self._owner = owners.Owner.here()
        self._seen: owners.Seen = {}
        self.trouble = ""
        """Why this manager could not say that it is alive, the last time; else empty."""
        self._stop: Callable[[], None] | None = None

    @property
    def owner_id(self) -> str:
        """The name under which the manager holds jobs."""
        return self._owner.id

    async def begin(self) -> None:
        """Hold it from now on; idempotent."""
        if self._stop is not None:
            return
        loop = asyncio.get_running_loop()

        def tell(found: _Beat | None, error: BaseException | None) -> None:
            self.trouble = "" if error is None else str(error)
            try:
                if found is not None and (found.stranded or not found.alive):
                    loop.call_soon_threadsafe(self._on_beat, found)
            finally:
                if loop.is_closed():  # nobody runs what is held here: others may have it
                    self._cease()

        self._stop = self._database.every(_BEAT_S, self._beat, tell)
        await self._database.write(lambda db: owners.enlist(db, self._owner))

    async def end(self) -> None:
        """Put back what is still held, without a used attempt, and let go; idempotent.

        Raises:
            QueueStorageError: It could not be put back; others will see that this process is gone.
        """
        if self._stop is None:
            return
        self._cease()

        def put_back(db: sqlite3.Connection) -> None:
            release(db, self._owner.id)
            owners.retire(db, self._owner)

        await self._database.write(put_back)

    def _cease(self) -> None:
        """Say no more that the manager is alive."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    def _beat(self, db: sqlite3.Connection) -> _Beat:
        # After a long hold-up everybody is late: the others are given time for a sign of life.
        is_late = owners.is_late(db, self._owner)
        alive = owners.keep_alive(db, self._owner)
        stranded: list[Claim] = []
        for dead in [] if is_late else owners.dead_owners(db, self._owner, self._seen):
            for claim in adopt(db, dead, self._owner.id):
                stranded.append(claim)
                event = QueueEvent("stalled", claim.job.queue, claim.job.id)
                event_log.note(db, self._owner.id, event)
            owners.bury(db, dead)
        event_log.trim(db)
        return _Beat(alive, stranded)

    def _on_beat(self, found: _Beat) -> None:
        if not found.alive:
            self._on_lost()
        if found.stranded:
            self._on_stranded(found.stranded)
