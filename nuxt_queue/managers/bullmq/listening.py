"""What happens in queues, also in other processes: the streams of BullMQ's events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, get_args

from nuxt_queue.errors import QueueStorageError
from nuxt_queue.managers.bullmq.records import returned_value
from nuxt_queue.managers.queue_events import QueueEvent, QueueEventType
from nuxt_queue.services.cancelling import is_cancelling
from nuxt_queue.services.redis.server import RedisServer, end

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
        self._client = server.client(repeats=False, text=True, wait_s=_BLOCK_S)
        self._readers: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}

    def follow(self, queue: str) -> None:
        """Begin to read the stream of a queue."""
        if queue not in self._readers:
            ready = asyncio.Event()
            task = asyncio.create_task(self._read(queue, ready), name=f"events of {queue}")
            self._readers[queue] = (task, ready)

    async def ready(self, queue: str) -> None:
        """Wait until nothing that happens from now on is missed, if a queue is followed."""
        if queue in self._readers:
            await self._readers[queue][1].wait()

    async def close(self) -> None:
        """Stop reading."""
        await asyncio.gather(*(end(task) for task, _ in self._readers.values()))
        await self._client.aclose()

    async def _read(self, queue: str, ready: asyncio.Event) -> None:
        key = f"{self._prefix}:{queue}:events"
        last: str | None = None
        told = False
        while True:
            try:
                if last is None:
                    async with self._server.answering():
                        newest = await self._client.xrevrange(key, count=1)
                    last = newest[0][0] if newest else "0-0"
                    ready.set()
                entries = await self._entries(key, last)
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelling():
                    raise
                if not told:
                    what = str(error) if isinstance(error, QueueStorageError) else repr(error)
                    _log.warning("events of queue %s are not heard: %s", queue, what)
                told = True
                await asyncio.sleep(_RETRY_S)
                continue
            told = False
            for entry_id, fields in entries:
                last = entry_id
                event = _event(queue, fields)
                if event is not None:
                    self._tell(event)

    async def _entries(self, key: str, last: str) -> list[tuple[str, dict[str, str]]]:
        with self._server.speaking():
            found = await self._client.xread({key: last}, block=round(_BLOCK_S * 1000), count=500)
        return found[0][1] if found else []


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
