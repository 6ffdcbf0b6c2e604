"""What happens to the jobs of a queue, for those who listen."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

from nuxt_queue.errors import QueueError
from nuxt_queue.rpc.codec import Encoded

__all__ = ["QueueEvent", "QueueEventType", "QueueEvents", "QueueListener"]

QueueEventType = Literal[
    "waiting",
    "active",
    "progress",
    "completed",
    "failed",
    "delayed",
    "paused",
    "resumed",
    "stalled",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QueueEvent:
    """One change in a queue.

    Attributes:
        type: What happened; `failed` means for good, an attempt that will be repeated is `waiting`
            or `delayed` again.
        queue: Where.
        job_id: The job; None when it happened to the queue.
        result: The result, with `completed`, as JSON text.
        failed_reason: The reason, with `failed`.
    """

    type: QueueEventType
    queue: str
    job_id: str | None = None
    result: Encoded | None = None
    failed_reason: str | None = None

    @property
    def returnvalue(self) -> Any:
        """The result itself, with `completed`; decoded at each call."""
        return None if self.result is None else self.result.value()


QueueListener = Callable[[QueueEvent], Awaitable[None] | None]


class QueueEvents:
    """The listeners of a manager.  None of them can hold up or break the processing of jobs."""

    def __init__(self) -> None:
        self._listeners: dict[tuple[str, str], list[QueueListener]] = {}
        self._tasks: set[asyncio.Future[None]] = set()

    @property
    def has_listeners(self) -> bool:
        """Whether anybody listens."""
        return any(self._listeners.values())

    def on(self, queue: str, event: str, callback: QueueListener) -> Callable[[], None]:
        """Call back at every such event of a queue; return the way out.

        Raises:
            QueueError: There is no event of that name.
        """
        known = get_args(QueueEventType)
        if event not in known:
            raise QueueError(f'unknown queue event "{event}"; known: {", ".join(known)}')
        listeners = self._listeners.setdefault((queue, event), [])
        listeners.append(callback)

        def unsubscribe() -> None:
            if callback in listeners:
                listeners.remove(callback)

        return unsubscribe

    def tell(self, event: QueueEvent) -> None:
        """Call the listeners in order; coroutines run on their own, beside the caller."""
        for callback in list(self._listeners.get((event.queue, event.type), ())):
            try:
                outcome = callback(event)
            except (Exception, asyncio.CancelledError):  # noqa: BLE001 it stays with the listener
                _log.exception("a listener failed on %s of queue %s", event.type, event.queue)
                continue
            if inspect.isawaitable(outcome):
                task = asyncio.ensure_future(outcome)
                self._tasks.add(task)
                task.add_done_callback(partial(self._ended, event))

    async def drain(self, timeout_s: float) -> None:
        """Wait for listeners that still run, then cancel them."""
        if not self._tasks:
            return
        _done, late = await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in late:
            task.cancel()

    def _ended(self, event: QueueEvent, task: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error(
                "a listener failed on %s of queue %s", event.type, event.queue, exc_info=error
            )
