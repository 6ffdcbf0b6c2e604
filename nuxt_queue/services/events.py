"""The bus on which steps and flows say what happened."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nuxt_queue.rpc.codec import decode, text_of
from nuxt_queue.services.cancelling import is_cancelling
from nuxt_queue.services.event_stream import Event, EventStream, MemoryEventStream
from nuxt_queue.services.scope import Scope

__all__ = ["Event", "EventBus", "Listener", "Unsubscribe"]

Unsubscribe = Callable[[], None]

_log = logging.getLogger(__name__)


Listener = Callable[[Event], Awaitable[None] | None]


@dataclass(eq=False, slots=True)
class _Subscription:
    listener: Listener
    run_id: str | None

    @property
    def may_wait(self) -> bool:
        return inspect.iscoroutinefunction(self.listener) or inspect.iscoroutinefunction(
            getattr(self.listener, "__call__", None)  # noqa: B004 an object's own call, to see what it is
        )


@dataclass(eq=False, slots=True)
class _Delivery:
    """The events of one run that still have to reach the listeners, and the task doing it."""

    pending: deque[tuple[Event, asyncio.Future[None]]] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class EventBus:
    """Publish events to listeners in this process and have each run's timeline kept.

    The events of one run reach every listener in the order in which they were published, also
    when a listener publishes.  A listener that raises, or a stream that is away, is logged and
    never reaches the publisher.

    Args:
        stream: Where the timelines are kept; in memory unless given.
        clock: Unix time in seconds.
    """

    def __init__(
        self, stream: EventStream | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._stream, self._clock = stream or MemoryEventStream(), clock
        self._last_id = 0
        self._subscriptions: list[_Subscription] = []
        self._deliveries: dict[str, _Delivery] = {}

    async def publish(
        self,
        type: str,  # noqa: A002 the wire's own word
        scope: Scope,
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        """Record an event and deliver it; return when every listener is done with it.

        Called from a listener of the same run it returns at once, and the event is delivered
        next.

        Args:
            type: The event's type.
            scope: Where it happened; without a step name, an event of the flow itself.
            data: JSON values; copied.  Those that are `Encoded` stay so until a listener looks.
        """
        step = scope.step_name is not None
        ts = self._clock()
        self._last_id = max(self._last_id + 1, int(ts * 1_000_000))
        event = Event(
            type=type,
            run_id=scope.run_id,
            flow_name=scope.flow_name,
            step_name=scope.step_name,
            step_id=scope.step_id,
            attempt=scope.attempt if step else None,
            kept_data={name: _copied(value) for name, value in (data or {}).items()},
            id=self._last_id,
            ts=ts,
        )
        await self._keep(event)
        listeners = self._listeners(event)
        if any(listener.may_wait for listener in listeners) or event.run_id in self._deliveries:
            await self._deliver(event)
        else:  # never waits, so that a call of ctx can be answered where no loop runs
            for listener in listeners:
                await _call(listener.listener, event)
        return event

    def subscribe(self, listener: Listener, *, run_id: str | None = None) -> Unsubscribe:
        """Call `listener` with every event, or with those of one run; return the way out."""
        subscription = _Subscription(listener, run_id)
        self._subscriptions.append(subscription)

        def unsubscribe() -> None:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

        return unsubscribe

    async def read(self, run_id: str) -> list[Event]:
        """Return the run's timeline, oldest first; empty for an unknown run."""
        return await self._stream.read(run_id)

    async def _keep(self, event: Event) -> None:
        try:
            await self._stream.append(event)
        except Exception:  # noqa: BLE001 a timeline with a hole is no reason to stop a job
            _log.exception("event %s of run %s could not be kept", event.type, event.run_id)

    def _listeners(self, event: Event) -> list[_Subscription]:
        return [each for each in self._subscriptions if each.run_id in (None, event.run_id)]

    async def _deliver(self, event: Event) -> None:
        # A task of its own delivers: a publisher that is cancelled takes no event with it.
        delivery = self._deliveries.setdefault(event.run_id, _Delivery())
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        delivery.pending.append((event, done))
        if delivery.task is None:
            delivery.task = asyncio.create_task(self._drain(event.run_id, delivery))
        elif delivery.task is asyncio.current_task():
            return  # a listener published: waiting for the task that runs it would never end
        await done

    async def _drain(self, run_id: str, delivery: _Delivery) -> None:
        try:
            while delivery.pending:
                event, done = delivery.pending.popleft()
                for subscription in self._listeners(event):
                    await _call(subscription.listener, event)
                if not done.done():
                    done.set_result(None)
        finally:
            delivery.task = None
            self._deliveries.pop(run_id, None)
            for _event, done in delivery.pending:
                done.cancel()


async def _call(listener: Listener, event: Event) -> None:
    try:
        outcome = listener(event)
        if inspect.isawaitable(outcome):
            await outcome
    except asyncio.CancelledError:
        if is_cancelling():
            raise
        _log.exception("a listener was cancelled on event %s", event.type)
    except Exception:  # noqa: BLE001 whatever a listener raises stays with the listener
        _log.exception("a listener failed on event %s", event.type)


def _copied(value: Any) -> Any:
    """Copy JSON data; by its text, since copying it part by part would be recursive."""
    return decode(text_of(value)) if type(value) in (dict, list) else value
