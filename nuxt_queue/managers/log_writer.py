"""Log lines on their way to the jobs that they are kept with."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from nuxt_queue.managers.job_logs import LogRecord, LogWindow
from nuxt_queue.managers.jobs import JobRecord
from nuxt_queue.services.events import Event

__all__ = ["AttemptLog", "LogWriter", "WriteLogs"]

_GATHER_S = 0.02  # lines of this time are written together
_AGAIN_S = 0.5  # between two attempts to write what could not be written
_TRIES = 100

_log = logging.getLogger(__name__)

WriteLogs = Callable[[JobRecord, list[str], int], Awaitable[None]]
"""Adds lines to those of a job and keeps so many, the newest; a job that is gone gets none."""


class LogWriter:
    """Writes the log lines of running jobs behind them, in their order, many at a time.

    A job neither waits for its lines, as long as the engine takes them, nor fails with them.

    Args:
        write: How the engine keeps lines.
    """

    def __init__(self, write: WriteLogs) -> None:
        self._write = write
        self._open: set[AttemptLog] = set()

    def of(self, job: JobRecord) -> AttemptLog:
        """Return what takes the lines of an attempt."""
        return AttemptLog(job, self._write, self._open)

    async def close(self, within_s: float) -> None:
        """Write what is left; what the engine does not take in this time is lost."""
        logs = list(self._open)
        await asyncio.gather(*(each.finish(within_s) for each in logs))
        for each in logs:
            each.give_up()


class AttemptLog:
    """The log lines of one attempt that have not been written yet."""

    def __init__(self, job: JobRecord, write: WriteLogs, writing: set[AttemptLog]) -> None:
        self._job, self._write, self._writing = job, write, writing
        self._keep = job.opts.keep_logs
        self._window = LogWindow(self._keep)
        self._pending: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._failures = 0

    def take(self, event: Event) -> None:
        """Take a line; it is written soon."""
        if not self._keep:
            return
        text = LogRecord.of(event).to_text()
        self._window.take(text)
        self._pending.append(text)
        if self._task is None or self._task.done():
            self._writing.add(self)
            self._task = asyncio.create_task(self._drain(), name=f"logs of job {self._job.id}")

    async def finish(self, within_s: float) -> None:
        """Have everything written now; what the engine does not take in this time follows later."""
        self._hurry.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=within_s)

    def give_up(self) -> None:
        """Drop what has not been written."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            self._warn_of_loss()

    async def _drain(self) -> None:
        try:
            while self._pending:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), _GATHER_S)
                await self._write_pending()
        finally:
            self._writing.discard(self)

    async def _write_pending(self) -> None:
        batch, self._pending = self._pending[-self._window.keep :], []
        try:
            await self._write(self._job, batch, self._window.keep)
            self._failures = 0
        except Exception as error:  # noqa: BLE001 no log line is a reason to stop a job
            self._failures += 1
            if self._failures == 1:
                _log.warning("log lines of job %s cannot be kept now: %s", self._job.id, error)
            if self._failures > _TRIES:
                self._warn_of_loss()
                return
            self._pending = batch + self._pending
            await asyncio.sleep(_AGAIN_S)

    def _warn_of_loss(self) -> None:
        _log.warning("log lines of job %s of queue %s are lost", self._job.id, self._job.queue)
