"""EventStream in Redis: one stream for each run."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from typing import Any

from nuxt_queue.errors import QueueStorageError
from nuxt_queue.rpc.codec import decode, text_of
from nuxt_queue.services.event_stream import Event, EventStream
from nuxt_queue.services.redis.server import RedisServer, key_part

__all__ = ["RedisEventStream"]

_BATCH = 500  # events in one message to Redis
_PAUSE_S = 0.02  # log lines of this time go together
_RETRY_S = 0.5  # between two attempts to reach a Redis that is away

_log = logging.getLogger(__name__)


class RedisEventStream(EventStream):
    """An EventStream that any number of machines share.

    What happened to a step or a flow is in Redis when `append` returns, if Redis is there.  Log
    lines, of which a job may write very many, follow within milliseconds, in their order and with
    what comes after them.  Events that Redis does not take are kept here, the newest `max_events`,
    and sent again until it takes them; one that was taken twice is read once.

    Args:
        server: The server.
        prefix: What every key begins with.
        ttl_s: How long a timeline is kept after its last event: the host's `eventTTL`.
        max_events: How many events one timeline keeps, about.
    """

    def __init__(
        self,
        server: RedisServer,
        prefix: str = "nq",
        *,
        ttl_s: int = 604_800,
        max_events: int = 10_000,
    ) -> None:
        self._server, self._prefix = server, prefix
        self._ttl_s, self._max_events = ttl_s, max_events
        self._client = server.client(repeats=True)
        self._publisher = uuid.uuid4().hex
        self._pending: deque[Event] = deque(maxlen=max_events)
        self._writing = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None
        self._is_away = False

    async def close(self) -> None:
        """Write what is left, and let go of the connections."""
        if self._later is not None:
            self._later.cancel()
        try:
            await self._flush()
        except QueueStorageError as error:
            _log.warning("%d events are lost: %s", len(self._pending), error)
        await self._client.aclose()

    async def append(self, event: Event) -> None:
        """Add an event to the end of its run's timeline."""
        self._pending.append(event)
        # While Redis is away a job does not wait for each of its events.
        if not self._is_away and (event.type != "log" or len(self._pending) >= _BATCH):
            await self._try_to_flush()
        if self._pending and (self._later is None or self._later.done()):
            self._later = asyncio.create_task(self._flush_soon())

    async def read(self, run_id: str) -> list[Event]:
        """Return a run's timeline, oldest first."""
        await self._flush()
        async with self._server.answering():
            entries = await self._client.xrange(self._key(run_id))
        # An event whose answer was lost has been sent again.
        events: dict[tuple[bytes, int], Event] = {}
        for _, fields in entries:
            event = Event.from_wire(decode(fields[b"event"]))
            events.setdefault((fields[b"publisher"], event.id), event)
        return list(events.values())

    async def drop(self, run_id: str) -> None:
        """Forget a run's timeline."""
        await self._flush()
        async with self._server.answering():
            await self._client.delete(self._key(run_id))

    async def _flush_soon(self) -> None:
        """Write what waits; again and again while Redis is away."""
        await asyncio.sleep(_PAUSE_S)
        while True:
            try:
                await self._try_to_flush()
            except Exception:  # noqa: BLE001 the next event takes them along
                _log.exception("%d events are not written yet", len(self._pending))
            if not self._is_away:
                return
            await asyncio.sleep(_RETRY_S)

    async def _try_to_flush(self) -> None:
        try:
            await self._flush()
            self._is_away = False
        except QueueStorageError as error:
            if not self._is_away:
                _log.warning("%d events wait for Redis: %s", len(self._pending), error)
            self._is_away = True

    async def _flush(self) -> None:
        """Write what was appended before this call."""
        async with self._writing:
            while self._pending:
                batch = [self._pending.popleft() for _ in range(min(_BATCH, len(self._pending)))]
                try:
                    await self._write(batch)
                except BaseException:
                    room = self._max_events - len(self._pending)
                    self._pending.extendleft(reversed(batch[-room:] if room > 0 else []))
                    raise

    async def _write(self, batch: list[Event]) -> None:
        async with self._server.answering():
            pipe = self._client.pipeline(transaction=False)
            for event in batch:
                fields: dict[Any, Any] = {
                    "type": event.type,
                    "event": text_of(event.kept()),
                    "publisher": self._publisher,
                }
                pipe.xadd(self._key(event.run_id), fields, maxlen=self._max_events)
            for run_id in {event.run_id for event in batch}:
                pipe.expire(self._key(run_id), self._ttl_s)
            await pipe.execute()

    def _key(self, run_id: str) -> str:
        return f"{self._prefix}:flow:{key_part(run_id)}"
