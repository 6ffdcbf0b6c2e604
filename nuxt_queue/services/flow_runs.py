"""What a flow is, and how far one run of it has come: pure bookkeeping, no input or output."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = [
    "FlowDefinition",
    "FlowRun",
    "FlowStatus",
    "FlowTally",
    "RunRecord",
    "Step",
    "StepStatus",
]

FlowStatus = Literal["running", "completed", "failed", "cancelled"]
StepStatus = Literal["queued", "running", "retrying", "completed", "failed"]

_OPEN: frozenset[StepStatus] = frozenset({"queued", "running", "retrying"})

# `subscribes` may name a step instead of an event: `step:train` stands for its completion.
STEP_TOKEN = "step:"  # noqa: S105 no secret


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a flow.

    Attributes:
        name: The step, which is also the name of its jobs.
        queue: The queue its jobs go to.
        worker_id: The worker file's id.
        subscribes: Events that start it, or `step:<name>` for the completion of a step.
        emits: Events it says it emits.
        join: `all` waits for every event of `subscribes`, `any` starts at the first.
    """

    name: str
    queue: str
    worker_id: str
    subscribes: tuple[str, ...] = ()
    emits: tuple[str, ...] = ()
    join: Literal["all", "any"] = "all"


@dataclass(frozen=True, slots=True)
class FlowDefinition:
    """A flow: where it enters, and its other steps by name."""

    name: str
    entry: Step
    steps: dict[str, Step] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlowRun:
    """How one run of a flow stands; a snapshot.

    Attributes:
        id: The flow id, which is also the run id of its events and the key of its state.
        flow_name: The flow.
        status: `running`, or how it ended.
        started_at: Unix seconds.
        finished_at: Unix seconds; None while it runs.
        steps: The status of every step that was started, in the order of starting.
        error: Why it failed, None otherwise.
    """

    id: str
    flow_name: str
    status: FlowStatus
    started_at: float
    finished_at: float | None
    steps: dict[str, StepStatus]
    error: str | None

    def to_wire(self) -> dict[str, Any]:
        """Return the host's `RunningFlow`, with `finishedAt`, `steps` and `error` beside it."""
        return {
            "id": self.id,
            "flowName": self.flow_name,
            "status": self.status,
            "startedAt": iso_time(self.started_at),
            "stepCount": len(self.steps),
            "completedSteps": sum(status == "completed" for status in self.steps.values()),
            "finishedAt": None if self.finished_at is None else iso_time(self.finished_at),
            "steps": dict(self.steps),
            "error": self.error,
        }


@dataclass(eq=False, slots=True)
class RunRecord:
    """One run as the engine keeps it.

    An emit belongs to the attempt that made it: it counts for joins once that attempt completes,
    and is forgotten when the attempt fails.  The first emit of a name wins.

    Attributes:
        signals: What has been emitted by completed steps: payload by event.
        done: Set when the run has ended.
    """

    id: str
    definition: FlowDefinition
    payload: Any
    started_at: float
    status: FlowStatus = "running"
    finished_at: float | None = None
    error: str | None = None
    steps: dict[str, StepStatus] = field(default_factory=dict)
    signals: dict[str, Any] = field(default_factory=dict)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    _emits: dict[str, dict[str, Any]] = field(default_factory=dict)

    def begin_attempt(self, step: str) -> None:
        """Note that an attempt of a step runs."""
        self.steps[step] = "running"
        self._emits[step] = {}

    def emit(self, step: str | None, event: str, payload: Any) -> None:
        """Note what a step emitted; what no step emitted counts at once."""
        emits = self.signals if step is None else self._emits.setdefault(step, {})
        emits.setdefault(event, payload)

    def end_attempt(self, step: str, status: StepStatus, result: Any = None) -> None:
        """Note how an attempt ended; completion makes its emits count."""
        self.steps[step] = status
        emits = self._emits.pop(step, {})
        if status == "completed":
            emits[STEP_TOKEN + step] = result
            for event, payload in emits.items():
                self.signals.setdefault(event, payload)

    def joined(self) -> list[tuple[Step, dict[str, Any]]]:
        """Return the steps that may start now, with their input keyed by event."""
        return [
            (step, {event: self.signals[event] for event in step.subscribes if event in known})
            for step in self._unstarted()
            if (known := self.signals.keys() & set(step.subscribes))
            and (step.join == "any" or len(known) == len(set(step.subscribes)))
        ]

    def triggered(self, event: str, payload: Any) -> list[tuple[Step, dict[str, Any]]]:
        """Return the steps that the emit of one event starts without waiting for its step."""
        return [
            (step, {event: payload})
            for step in self._unstarted()
            if step.join == "any" and event in step.subscribes
        ]

    def is_exhausted(self) -> bool:
        """Tell whether nothing is queued or running: what has not started by now never will."""
        return not any(status in _OPEN for status in self.steps.values())

    def end(self, status: FlowStatus, now: float, error: str | None = None) -> None:
        """End the run."""
        self.status, self.finished_at, self.error = status, now, error
        self.done.set()

    def snapshot(self) -> FlowRun:
        """Return how the run stands."""
        return FlowRun(
            self.id,
            self.definition.name,
            self.status,
            self.started_at,
            self.finished_at,
            dict(self.steps),
            self.error,
        )

    def _unstarted(self) -> list[Step]:
        return [step for name, step in self.definition.steps.items() if name not in self.steps]


class FlowTally:
    """How often one flow ran, and how its runs ended."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._last_run_at: float | None = None
        self._last_completed_at: float | None = None

    def note_start(self, now: float) -> None:
        """Count a run."""
        self._counts["total"] += 1
        self._last_run_at = now

    def note_end(self, status: FlowStatus, now: float) -> None:
        """Count how a run ended."""
        self._counts[_COUNTER_OF[status]] += 1
        if status == "completed":
            self._last_completed_at = now

    def to_wire(self, name: str, registered_at: float, *, running: int) -> dict[str, Any]:
        """Return the host's `FlowStats`."""
        counters = ("total", "success", "failure", "cancel", "running", "awaiting")
        return {
            "name": name,
            "displayName": name,
            "registeredAt": iso_time(registered_at),
            "lastRunAt": self._last_run_at and iso_time(self._last_run_at),
            "lastCompletedAt": self._last_completed_at and iso_time(self._last_completed_at),
            "stats": {key: self._counts[key] for key in counters} | {"running": running},
            "version": 1,
        }


_COUNTER_OF = {"completed": "success", "failed": "failure", "cancelled": "cancel"}


def iso_time(seconds: float) -> str:
    """Return unix seconds as the host writes times: UTC, milliseconds, `Z`."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
