"""What happened in each run, kept: the port, and the stream in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from nuxt_queue.rpc.codec import Encoded, decode, plain, text_of

__all__ = ["Event", "EventStream", "MemoryEventStream"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a run.

    Attributes:
        type: For example `step.completed`, `emit`, `log`, `flow.start`.
        run_id: The flow's id, or the job's for a plain job.
        flow_name: The flow, if any.
        step_name: The job's name; None for events of the flow itself.
        step_id: The attempt's id.
        attempt: 1 for the first attempt.
        kept_data: What belongs to this type of event; values in it may be `Encoded`.
        id: Microseconds of unix time at which it was published; a publisher uses none twice.
        ts: Unix time in seconds.
    """

    type: str
    run_id: str
    flow_name: str | None
    step_name: str | None
    step_id: str | None
    attempt: int | None
    kept_data: dict[str, Any]
    id: int
    ts: float

    @property
    def data(self) -> dict[str, Any]:
        """What belongs to this type of event."""
        if any(type(value) is Encoded for value in self.kept_data.values()):
            return {name: plain(value) for name, value in self.kept_data.items()}
        return self.kept_data

    def to_wire(self) -> dict[str, Any]:
        """Return the host's form: camelCase, absent fields left out; a copy."""
        wire: dict[str, Any] = decode(text_of(self.kept()))
        return wire

    def kept(self) -> dict[str, Any]:
        """Return the host's form as it is kept, with values that may be `Encoded`."""
        wire = {
            "id": self.id,
            "ts": self.ts,
            "type": self.type,
            "runId": self.run_id,
            "flowName": self.flow_name,
            "stepName": self.step_name,
            "stepId": self.step_id,
            "attempt": self.attempt,
            "data": self.kept_data,
        }
        return {key: value for key, value in wire.items() if value is not None}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Return the event that `to_wire` wrote."""
        return cls(
            type=wire["type"],
            run_id=wire["runId"],
            flow_name=wire.get("flowName"),
            step_name=wire.get("stepName"),
            step_id=wire.get("stepId"),
            attempt=wire.get("attempt"),
            kept_data=wire["data"],
            id=wire["id"],
            ts=wire["ts"],
        )


class EventStream(ABC):
    """Keep the timeline of each run, for every process that looks at it.

    A stream tells a story and decides nothing: flows do not depend on it.  So `append` may return
    before the event is safe, as long as the events of one publisher keep their order.
    """

    @abstractmethod
    async def append(self, event: Event) -> None:
        """Add an event to the end of its run's timeline."""

    @abstractmethod
    async def read(self, run_id: str) -> list[Event]:
        """Return a run's timeline, oldest first, with all that was appended here before."""

    @abstractmethod
    async def drop(self, run_id: str) -> None:
        """Forget a run's timeline."""


class MemoryEventStream(EventStream):
    """An EventStream of this process.  It never waits, so it serves where no loop runs.

    Args:
        max_runs: How many runs keep a timeline; the run that began first is dropped.
        max_events: How many events one timeline keeps; the oldest are dropped.
    """

    def __init__(self, *, max_runs: int = 1_000, max_events: int = 10_000) -> None:
        self._max_runs, self._max_events = max_runs, max_events
        self._timelines: dict[str, deque[Event]] = {}

    async def append(self, event: Event) -> None:
        """Add an event to the end of its run's timeline."""
        if event.run_id not in self._timelines:
            while len(self._timelines) >= self._max_runs:
                del self._timelines[next(iter(self._timelines))]
            self._timelines[event.run_id] = deque(maxlen=self._max_events)
        self._timelines[event.run_id].append(event)

    async def read(self, run_id: str) -> list[Event]:
        """Return a run's timeline, oldest first."""
        return list(self._timelines.get(run_id, ()))

    async def drop(self, run_id: str) -> None:
        """Forget a run's timeline."""
        self._timelines.pop(run_id, None)
