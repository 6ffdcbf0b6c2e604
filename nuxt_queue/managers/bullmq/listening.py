"""What happens in queues, also in other processes: the streams of BullMQ's events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, get_args

from nuxt_queue.errors import QueueStorageError
from nuxt_queue.managers.bullmq.records import returned_value
from nuxt_queue.managers.queue_events import QueueEvent, QueueEventType
from nuxt_queue.services.cancelling import end, is_cancelling
from nuxt_queue.services.redis.server import RedisServer

__all__ = ["QueueStreams"]

_BLOCK_S = 5.0  # one reading waits so long in Redis
_RETRY_S = 1.0

_KINDS: dict[str, QueueEventType] = {kind: kind for kind in get_args(QueueEventType)}

_log = logging.getLogger(__name__)


class QueueStreams:
    """Tells what is written to the event streams of some queues from now on.

    Args:
        server: The server.
        prefix: What the keys begin with.
        tell: Gets each event.
    """

    def __init__(
        self, server: RedisServer, prefix: str, tell: Callable[[QueueEvent], None]
    ) -> None:
        self._server, self._prefix, self._tell = server, prefix, tell
        self._client = server.own_client(wait_s=_BLOCK_S)
        self._ready: dict[str, asyncio.Event] = {}  # by queue: whether its stream is read
        self._last: dict[str, str] = {}  # by key of a stream: the last entry that was read
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def follow(self, queue: str) -> None:
        """Begin to read the stream of a queue."""
        if queue not in self._ready:
            self._ready[queue] = asyncio.Event()
            self._changed.set()
            if self._task is None:
                self._task = asyncio.create_task(self._read(), name="events of queues")

    async def ready(self, queue: str) -> None:
        """Wait until nothing that happens from now on is missed, if a queue is followed."""
        if queue in self._ready:
            await self._ready[queue].wait()

    async def close(self) -> None:
        """Stop reading."""
        if self._task is not None:
            await end(self._task)
        await self._client.aclose()

    async def _read(self) -> None:
        """Read all streams over one connection, whatever happens to Redis meanwhile."""
        told = False
        while True:
            try:
                self._changed.clear()
                await self._find_ends()
                entries = await self._entries()
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelling():
                    raise
                if not told:
                    what = str(error) if isinstance(error, QueueStorageError) else repr(error)
                    _log.warning("events of queues are not heard: %s", what)
                told = True
                await asyncio.sleep(_RETRY_S)
                continue
            told = False
            for key, found in entries:
                for entry_id, fields in found:
                    self._last[key] = entry_id
                    event = _event(key.split(":")[-2], fields)
                    if event is not None:
                        self._tell(event)

    async def _find_ends(self) -> None:
        """Find where the streams that are new here end now."""
        for queue, ready in list(self._ready.items()):
            if not ready.is_set():
                key = f"{self._prefix}:{queue}:events"
                async with self._server.answering():
                    newest = await self._client.xrevrange(key, count=1)
                self._last[key] = newest[0][0] if newest else "0-0"
                ready.set()

    async def _entries(self) -> list[tuple[str, list[tuple[str, dict[str, str]]]]]:
        """Wait for what is new in any of the streams, or for another one to read."""
        reading = asyncio.ensure_future(
            self._client.xread(dict(self._last), block=round(_BLOCK_S * 1000), count=500)
        )
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({reading, changed}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return []
            with self._server.speaking():
                found = reading.result()
        finally:
            changed.cancel()
            await end(reading)
        return list(found.items() if isinstance(found, dict) else found or [])


def _event(queue: str, fields: Mapping[str, Any]) -> QueueEvent | None:
    """Return what an entry says; None for what our contract has no word for."""
    kind = _KINDS.get(fields.get("event", ""))
    if kind is None:
        return None
    try:
        returned = returned_value(fields.get("returnvalue") or None)
    except RecursionError:  # it is deeper than anybody can look
        returned = None
    return QueueEvent(
        kind,
        queue,
        fields.get("jobId"),
        result=returned,
        failed_reason=fields.get("failedReason"),
    )
