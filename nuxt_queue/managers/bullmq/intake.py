"""Taking jobs from one queue, whatever happens to Redis meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time

from nuxt_queue.errors import QueueStorageError
from nuxt_queue.managers.bullmq.markers import BLOCK_S, Markers
from nuxt_queue.managers.bullmq.queue import BullMQQueue, Taken
from nuxt_queue.services.cancelling import end, is_cancelling
from nuxt_queue.services.redis.server import RedisServer

__all__ = ["Intake"]


_log = logging.getLogger(__name__)


class Intake:
    """Takes one job after the other, until it is stopped.

    Args:
        server: The server.
        queue: The queue, over a client whose commands are sent once.
        markers: Where to wait for a job.
        owner: The beginning of the tokens of the locks.
        stop: Set when no further job may be taken.
        retry_s: Between two attempts to reach a Redis that is away.
    """

    def __init__(
        self,
        server: RedisServer,
        queue: BullMQQueue,
        markers: Markers,
        owner: str,
        stop: asyncio.Event,
        retry_s: float,
    ) -> None:
        self._retry_s = retry_s
        self._server, self._queue, self._markers, self._stop = server, queue, markers, stop
        self._tokens = (f"{owner}:{n}" for n in itertools.count(1))
        # The token and the time with which a job may have been taken.
        self._unsure: tuple[str, int] | None = None
        self._away = self._is_shown = False
        self.trouble = ""
        """Why no job can be taken now; else empty."""

    async def next(self) -> Taken | None:
        """Wait for a job and take it; None when stopped."""
        pause_s = 0.0
        while not self._stop.is_set():
            try:
                if pause_s:
                    await self._rest(pause_s)
                    if self._stop.is_set():
                        break
                pause_s = self._retry_s
                if not self._is_shown:
                    await self._markers.show(self._queue.name)
                    self._is_shown = True
                taken = await self._take()
                self._reached()
                if taken is not None:
                    return taken
                await self._wait()
                pause_s = 0
            except QueueStorageError as error:
                self._missed(error)
            except (Exception, asyncio.CancelledError):
                if is_cancelling():
                    raise
                _log.exception("a job of queue %s cannot be taken", self._queue.name)
        return None

    async def _take(self) -> Taken | None:
        async with self._server.answering():
            if self._unsure is not None:
                taken = await self._queue.find(*self._unsure)
                if taken is not None:
                    self._unsure = None
                    return taken
            token = next(self._tokens)
            self._unsure = (token, time.time_ns() // 1_000_000)
            taken = await self._queue.take(token)
            self._unsure = None
            return taken

    async def _wait(self) -> None:
        """Wait until there may be something to take."""
        wait_s, limited = self._queue.pause_s(BLOCK_S)
        if limited:
            await self._rest(wait_s)
            return
        coming = asyncio.ensure_future(self._markers.wait(self._queue.name, wait_s))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({coming, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                coming.result()
        finally:
            stopping.cancel()
            await end(coming)

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    def _missed(self, error: QueueStorageError) -> None:
        self.trouble = str(error)
        if not self._away:
            _log.warning("queue %s waits for Redis: %s", self._queue.name, error)
        self._away = True

    def _reached(self) -> None:
        self.trouble = ""
        if self._away:
            _log.info("queue %s goes on", self._queue.name)
        self._away = False
