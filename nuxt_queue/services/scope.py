"""Which job a call, an event or a piece of state belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nuxt_queue.rpc.methods import CONTEXT_FIELDS

__all__ = ["Scope"]


@dataclass(frozen=True, slots=True)
class Scope:
    """The identity of one attempt of one job, inside its flow if it has one.

    Attributes:
        job_id: The job's id; for an event of a flow itself, the flow's id.
        queue: The queue the job came from.
        flow_id: The run of the flow, None for a plain job.
        flow_name: The flow's name, None for a plain job.
        step_name: The job's name; None when the scope is a flow and no job of it.
        step_id: `<flow or job id>__<job name>__attempt-<n>`.
        attempt: 1 for the first attempt.
        trigger: What resumed a step that waited, if anything.
        await_config: The step's await settings, if any.
    """

    job_id: str
    queue: str
    flow_id: str | None = None
    flow_name: str | None = None
    step_name: str | None = None
    step_id: str | None = None
    attempt: int = 1
    trigger: Any = None
    await_config: Any = None

    @property
    def run_id(self) -> str:
        """The id under which events are kept: the flow's, or the job's own."""
        return self.flow_id or self.job_id

    def to_wire(self) -> dict[str, Any]:
        """Return the `context` of an `execute` request: seven fields, and two more when set."""
        fields = {wire: getattr(self, name) for name, wire in CONTEXT_FIELDS.items()}
        optional = {CONTEXT_FIELDS["trigger"], CONTEXT_FIELDS["await_config"]}
        return {k: v for k, v in fields.items() if v is not None or k not in optional}
