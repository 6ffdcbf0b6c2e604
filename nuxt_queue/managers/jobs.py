"""A job as a queue keeps it, and as a handler gets it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from nuxt_queue.managers.options import JobOptions
from nuxt_queue.rpc.codec import Encoded, decode, text_of
from nuxt_queue.rpc.pieces import LARGE, opened
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
        payload: Its JSON payload, flow identity included, as text.
        opts: Its options.
        state: Where it stands; `paused` is `waiting` in a paused queue.
        timestamp: When it was enqueued.
        processed_on: When its last attempt began.
        finished_on: When it completed or failed for good.
        attempts_made: How many attempts have ended, well or badly; one that was interrupted by
            the manager's end does not count.
        progress: What the handler last reported.
        result: What the handler returned, as text; None while there is nothing.
        failed_reason: Why the last attempt failed; None once completed.
        stacktrace: One text for each failed attempt.
    """

    id: str
    name: str
    queue: str
    payload: Encoded
    opts: JobOptions
    timestamp: int
    state: JobState = "waiting"
    processed_on: int | None = None
    finished_on: int | None = None
    attempts_made: int = 0
    progress: Any = None
    result: Encoded | None = None
    failed_reason: str | None = None
    stacktrace: list[str] = field(default_factory=list)
    _seen: _Payload | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def data(self) -> Any:
        """The payload itself; decoded at each call, so ask once."""
        return self.payload.value()

    @property
    def returnvalue(self) -> Any:
        """What the handler returned; decoded at each call, so ask once."""
        return None if self.result is None else self.result.value()

    def copied(self) -> JobRecord:
        """Return a record that changes of this one do not reach."""
        return replace(self, stacktrace=list(self.stacktrace))

    async def open(self) -> None:
        """Look into the payload, which of a long one takes a thread some time."""
        if self._seen is None:
            payload, is_long = self.payload, len(self.payload) > LARGE
            self._seen = await asyncio.to_thread(_open, payload) if is_long else _open(payload)

    def to_wire(self) -> dict[str, Any]:
        """Return the host's job object; what is not known yet is left out."""
        wire = {
            "id": self.id,
            "name": self.name,
            "data": self.payload,
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
            wire["returnvalue"] = self.result  # null is a result too
        copied: dict[str, Any] = decode(text_of(wire))
        return copied

    @property
    def repeat_key(self) -> str | None:
        """What is the same for each time of a repeated job; None for any other."""
        return self.opts.repeat.key(self.name) if self.opts.repeat else None

    def scope(self) -> Scope:
        """Return the identity of the attempt that runs now or next."""
        seen = self._payload
        flow_id, flow_name = seen.flow_id, seen.flow_name
        attempt = self.attempts_made + 1
        data = seen.data if isinstance(seen.data, dict) else {}
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
        """Return the job as a handler sees it; what is long in it is `Encoded`.

        The data of a flow's job is `{flowId, flowName, input}`, or the payload with the two ids
        among its keys, as hosts differ.  A step's input is keyed by event: of a single event the
        payload becomes `data`, of several the whole; `inputs` has them by event.

        Args:
            subscribes: The events that start the step.
        """
        data = self._payload.input
        job = {
            "id": self.id,
            "name": self.name,
            "data": data,
            "attemptsMade": self.attempts_made,
            "opts": self.opts.to_wire(),
        }
        if isinstance(data, dict) and data and data.keys() <= set(subscribes):
            job["inputs"] = data
            if len(data) == 1:
                (job["data"],) = data.values()
        return job

    @property
    def _payload(self) -> _Payload:
        if self._seen is None:
            self._seen = _open(self.payload)
        return self._seen


@dataclass(frozen=True, slots=True)
class _Payload:
    """What a manager has to know of a job's payload; what is long in it stays `Encoded`."""

    data: Any
    flow_id: str | None = None
    flow_name: str | None = None
    input: Any = None


def _open(payload: Encoded) -> _Payload:
    data = opened(payload) if len(payload) > LARGE else payload.value()
    if not (isinstance(data, dict) and isinstance(data.get("flowId"), str) and data["flowId"]):
        return _Payload(data, input=data)
    name = data.get("flowName")
    rest = {key: value for key, value in data.items() if key not in _FLOW_KEYS}
    given = opened(data.get("input", rest))
    return _Payload(data, data["flowId"], name if isinstance(name, str) else None, given)


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
    return JobRecord(job_id, job.name, job.queue, job.payload, opts, now_ms)
