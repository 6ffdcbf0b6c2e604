"""A job as a queue keeps it, and as a handler gets it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from nuxt_queue.managers.options import JobOptions
from nuxt_queue.services.scope import Scope

__all__ = ["JOB_STATES", "JobRecord", "JobState", "next_time_of"]

JobState = Literal["waiting", "active", "completed", "failed", "delayed", "paused"]
JOB_STATES: tuple[JobState, ...] = get_args(JobState)

_FLOW_KEYS = frozenset({"flowId", "flowName"})


@dataclass(slots=True)
class JobRecord:
    """One job of a queue.  Times are unix milliseconds, as on the wire.

    Attributes:
        id: Unique in its queue.
        name: Which handler runs it.
        queue: Its queue.
        data: Its JSON payload, flow identity included.
        opts: Its options.
        state: Where it stands; `paused` is `waiting` in a paused queue.
        timestamp: When it was enqueued.
        processed_on: When its last attempt began.
        finished_on: When it completed or failed for good.
        attempts_made: How many attempts have ended, well or badly; one that was interrupted by
            the manager's end does not count.
        progress: What the handler last reported.
        returnvalue: What the handler returned.
        failed_reason: Why the last attempt failed; None once completed.
        stacktrace: One text for each failed attempt.
    """

    id: str
    name: str
    queue: str
    data: Any
    opts: JobOptions
    timestamp: int
    state: JobState = "waiting"
    processed_on: int | None = None
    finished_on: int | None = None
    attempts_made: int = 0
    progress: Any = None
    returnvalue: Any = None
    failed_reason: str | None = None
    stacktrace: list[str] = field(default_factory=list)

    def to_wire(self) -> dict[str, Any]:
        """Return the host's job object; what is not known yet is left out."""
        wire = {
            "id": self.id,
            "name": self.name,
            "data": self.data,
            "opts": self.opts.to_wire(),
            "state": self.state,
            "timestamp": self.timestamp,
            "processedOn": self.processed_on,
            "finishedOn": self.finished_on,
            "attemptsMade": self.attempts_made,
            "progress": self.progress,
            "failedReason": self.failed_reason,
            "stacktrace": self.stacktrace or None,
        }
        wire = {key: value for key, value in wire.items() if value is not None or key == "data"}
        if self.state == "completed":
            wire["returnvalue"] = self.returnvalue  # null is a result too
        return copy.deepcopy(wire)

    @property
    def repeat_key(self) -> str | None:
        """What is the same for each time of a repeated job; None for any other."""
        return self.opts.repeat.key(self.name) if self.opts.repeat else None

    def scope(self) -> Scope:
        """Return the identity of the attempt that runs now or next."""
        flow_id, flow_name = self._flow_identity()
        attempt = self.attempts_made + 1
        data = self.data if isinstance(self.data, dict) else {}
        resumed = data if flow_id and data.get("awaitResolved") is True else {}
        return Scope(
            job_id=self.id,
            queue=self.queue,
            flow_id=flow_id,
            flow_name=flow_name,
            step_name=self.name,
            step_id=f"{flow_id or self.id}__{self.name}__attempt-{attempt}",
            attempt=attempt,
            trigger=resumed.get("awaitData"),
            await_config=resumed.get("awaitConfig"),
        )

    def for_handler(self, subscribes: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the job as a handler sees it, in copies that the handler may change.

        The data of a flow's job is `{flowId, flowName, input}`, or the payload with the two ids
        among its keys, as hosts differ.  A step's input is keyed by event: of a single event the
        payload becomes `data`, of several the whole; `inputs` has them by event.

        Args:
            subscribes: The events that start the step.
        """
        data = copy.deepcopy(self.data)
        if isinstance(data, dict) and self._flow_identity()[0] is not None:
            rest = {key: value for key, value in data.items() if key not in _FLOW_KEYS}
            data = data.get("input", rest)
        job = {
            "id": self.id,
            "name": self.name,
            "data": data,
            "attemptsMade": self.attempts_made,
            "opts": self.opts.to_wire(),
        }
        if isinstance(data, dict) and data and data.keys() <= set(subscribes):
            job["inputs"] = copy.deepcopy(data)
            if len(data) == 1:
                (job["data"],) = data.values()
        return job

    def _flow_identity(self) -> tuple[str | None, str | None]:
        data = self.data
        if not (isinstance(data, dict) and isinstance(data.get("flowId"), str) and data["flowId"]):
            return None, None
        name = data.get("flowName")
        return data["flowId"], name if isinstance(name, str) else None


def next_time_of(job: JobRecord, now_ms: int) -> JobRecord | None:
    """Return the job that follows a repeated one, delayed until its time; None when none does.

    Times that have passed while nobody looked are left out.
    """
    repeat = job.opts.repeat
    if repeat is None or (repeat.limit is not None and repeat.count >= repeat.limit):
        return None
    due_ms = repeat.next_ms(max(now_ms, job.timestamp + job.opts.delay_ms))
    if due_ms is None:
        return None
    job_id = f"{repeat.key(job.name)}-{due_ms}"
    counted = repeat.model_copy(update={"count": repeat.count + 1})
    # Copied without being checked: a time may be further away than an option may say.
    opts = job.opts.model_copy(
        update={"delay_ms": due_ms - now_ms, "job_id": job_id, "repeat": counted}
    )
    return JobRecord(job_id, job.name, job.queue, copy.deepcopy(job.data), opts, now_ms)
