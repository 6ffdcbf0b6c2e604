"""How a run of a flow stands, as others see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = ["FlowRun", "FlowStatus", "StepStatus", "iso_time"]

FlowStatus = Literal["running", "completed", "failed", "cancelled"]
StepStatus = Literal["queued", "running", "retrying", "awaiting", "completed", "failed"]


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


def iso_time(seconds: float) -> str:
    """Return unix seconds as the host writes times: UTC, milliseconds, `Z`."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
