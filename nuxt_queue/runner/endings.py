"""The ends of jobs' processes: waited for briefly by the job, then beside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Endings"]

_MOST = 32  # beside the jobs; then a job waits for its own
_CLOSE_S = 2.0  # for all of them, when the runner closes; then they are hurried

_log = logging.getLogger(__name__)


class Endings:
    """The endings that no job waits for any more; none is left when `close` returns."""

    def __init__(self) -> None:
        self._beside: dict[asyncio.Task[None], Callable[[], None]] = {}

    async def see_through(
        self,
        ending: Coroutine[Any, Any, None],
        hurry: Callable[[], None],
        within_s: float | None,
    ) -> None:
        """Wait for an ending, which comes to its end whatever happens.

        Args:
            ending: It must not be cancelled.
            hurry: Makes it quick; called when the caller is cancelled.
            within_s: How long to wait; afterwards it goes on beside.  None for as long as it takes.
        """
        task = asyncio.ensure_future(ending)
        cancelled = False
        while not task.done():
            try:
                await asyncio.wait({task}, timeout=within_s)
            except asyncio.CancelledError:
                cancelled, within_s = True, None
                hurry()
            if within_s is not None and not task.done():
                if len(self._beside) < _MOST:
                    self._beside[task] = hurry
                    task.add_done_callback(self._ended)
                    return
                within_s = None
        task.result()
        if cancelled:
            raise asyncio.CancelledError

    async def close(self) -> None:
        """Wait for all of them; those that take long are hurried."""
        if self._beside:
            await asyncio.wait({*self._beside}, timeout=_CLOSE_S)
        for hurry in self._beside.values():
            hurry()
        if self._beside:
            await asyncio.wait({*self._beside})

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._beside[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the end of a job's process could not be dealt with", exc_info=error)
