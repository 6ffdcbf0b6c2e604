"""A job as BullMQ keeps it, and as a JobRecord."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from nuxt_queue.errors import ParseError, QueueError
from nuxt_queue.managers.jobs import JobRecord, JobState
from nuxt_queue.managers.options import Backoff, JobOptions
from nuxt_queue.rpc.codec import Encoded, text_of
from nuxt_queue.rpc.pieces import LARGE

__all__ = [
    "UNREADABLE",
    "check_job_id",
    "check_queue_name",
    "kept_options",
    "kept_text",
    "may_be_a_job",
    "record_of",
    "returned_value",
    "seen_record_of",
    "unreadable",
    "whole_times",
]

_NOTHING = Encoded(b"null")

_log = logging.getLogger(__name__)

_KEEP_LOGS = "kl"  # as BullMQ shortens it
_TIMES = ("timestamp", "processedOn", "finishedOn")
UNREADABLE = (
    ParseError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    RecursionError,
    OverflowError,
)
# Forms of Node's that we have no word for; BullMQ's scripts read them in the job, and do it.
_KEPT_BY_SCRIPTS = frozenset({"removeOnComplete", "removeOnFail"})

# What BullMQ keeps beside its jobs, under the same key and a colon.
_ITS_OWN = frozenset({
    "active", "completed", "de", "delayed", "events", "failed", "id", "limiter", "marker", "meta",
    "metrics", "paused", "pc", "priority", "prioritized", "repeat", "stalled", "stalled-check",
    "stalled-check-nq",
    "wait", "waiting-children",
})  # fmt: skip


def check_queue_name(name: str) -> None:
    """Refuse a name whose keys would be others' keys; raises QueueError."""
    if "{" in name or "}" in name:
        raise QueueError(
            f'queue name "{name}" has braces: they choose the slot of a cluster; put them into'
            " the prefix instead"
        )
    if name == "flow":
        raise QueueError('queue name "flow": Redis keeps the flows there; choose another')


def check_job_id(job_id: str) -> None:
    """Refuse an id that BullMQ has a meaning for; raises QueueError."""
    if job_id in _ITS_OWN:
        raise QueueError(f'job option "jobId" is "{job_id}", which is a key of BullMQ\'s own')
    if "{" in job_id or "}" in job_id:
        raise QueueError(f'job option "jobId" is "{job_id}": braces choose the slot of a cluster')
    if job_id.isdecimal():
        raise QueueError(
            f'job option "jobId" is "{job_id}": BullMQ numbers jobs itself; use another form'
        )


def may_be_a_job(job_id: str) -> bool:
    """Tell whether an id can be that of a job, and is no other key of BullMQ's."""
    return job_id not in _ITS_OWN and ":" not in job_id


def kept_options(options: JobOptions) -> dict[str, Any]:
    """Return a job's options as BullMQ reads them: what was given and nothing else."""
    kept = options.to_wire()
    if "keepLogs" in kept:
        kept[_KEEP_LOGS] = kept.pop("keepLogs")
    if "backoff" in kept:
        kept["backoff"] = {"type": options.backoff.type, "delay": options.backoff.delay_ms}
    return kept


def seen_record_of(
    queue: str, job_id: str, fields: Mapping[str, str], state: JobState
) -> JobRecord:
    """Return a job for whoever looks at it: of one that cannot be read, what can be."""
    try:
        return record_of(queue, job_id, fields, state)
    except UNREADABLE as error:
        record = JobRecord(job_id, fields.get("name", ""), queue, _NOTHING, JobOptions(), 0, state)
        record.failed_reason = fields.get("failedReason") or unreadable(error)
        return record


def unreadable(error: Exception) -> str:
    """Return why a job fails that cannot be read."""
    return f"the job in Redis cannot be read: {error}"


def record_of(queue: str, job_id: str, fields: Mapping[str, str], state: JobState) -> JobRecord:
    """Return the job that a hash of BullMQ's holds, whoever produced it.

    An attempt during which its worker was lost counts: BullMQ keeps those apart (`stc`).

    Raises:
        Exception: One of UNREADABLE: whoever wrote it did not write what BullMQ reads.
    """
    raw = json.loads(fields.get("opts") or "{}")
    if "rjk" in fields:
        raw.pop("repeat", None)  # BullMQ's own scheduler repeats it
    completed = state == "completed"
    return JobRecord(
        id=job_id,
        name=fields.get("name", ""),
        queue=queue,
        payload=kept_text(fields.get("data") or "null"),
        opts=_options(raw),
        timestamp=_moment(fields, "timestamp") or 0,
        state=state,
        processed_on=_moment(fields, "processedOn"),
        finished_on=_moment(fields, "finishedOn"),
        attempts_made=int(fields.get("atm") or 0) + int(fields.get("stc") or 0),
        progress=json.loads(fields["progress"]) if "progress" in fields else None,
        result=returned_value(fields.get("returnvalue")) if completed else None,
        failed_reason=None if completed else fields.get("failedReason"),
        stacktrace=json.loads(fields.get("stacktrace") or "[]"),
    )


def _options(raw: Mapping[str, Any]) -> JobOptions:
    """Read the options that another producer may have written: what we do not know is its own."""
    found: dict[str, Any] = {}
    for kept, value in raw.items():
        alias = "keepLogs" if kept == _KEEP_LOGS else kept
        name = _NAMES.get(alias)
        if name is None or value is None:
            continue
        try:
            found[name] = getattr(JobOptions.read({alias: value}, refused={}), name)
        except QueueError as error:
            if alias == "delay":  # our own repeated jobs may be further away than one may ask for
                found[name] = int(value)
            elif alias in _KEPT_BY_SCRIPTS:
                pass
            elif alias == "backoff":
                found[name] = _foreign_backoff(value)
            else:
                _log.warning("an option of another producer is left out: %s", error)
    return JobOptions().model_copy(update=found)


def _foreign_backoff(value: Any) -> Backoff:
    """Read a backoff with a strategy or settings of a Node producer's own."""
    given = value if isinstance(value, dict) else {}
    delay = given.get("delay")
    delay_ms = delay if isinstance(delay, int) and delay > 0 else 0
    if given.get("type") == "exponential":
        return Backoff(type="exponential", delay_ms=delay_ms)
    if given.get("type") != "fixed":
        _log.warning('backoff "%s" is unknown here: always its delay', given.get("type"))
    return Backoff(type="fixed", delay_ms=delay_ms)


def whole_times(fields: Mapping[str, str]) -> dict[str, str]:
    """Return a job's hash with the times in whole milliseconds, as the package reads them."""
    times = {name: str(_moment(fields, name)) for name in _TIMES if fields.get(name)}
    return {**fields, **times}


def _moment(fields: Mapping[str, str], name: str) -> int | None:
    # A producer may have taken it from a clock of fractions.
    return int(float(fields[name])) if fields.get(name) else None


def kept_text(text: str) -> Encoded:
    """Return a value as it is kept; a long one is checked by whoever runs the job.

    Raises:
        ParseError: A short one is not JSON.
    """
    value = Encoded(text.encode("utf-8", "surrogatepass"))
    if len(value) <= LARGE:
        value.value()
    return value


def returned_value(text: str | None) -> Encoded | None:
    """Return a result as it is kept; None for JSON that is deeper than anybody can look."""
    if text is None:
        return None
    try:
        return kept_text(text)
    except ParseError:
        return Encoded(text_of(text)) if _is_bare(text) else None


def _is_bare(text: str) -> bool:
    """Return True for a text that Node has written as it is: no reader takes it for JSON."""
    try:
        json.loads(text)
    except RecursionError:
        return False
    except ValueError:
        return True
    return False


_NAMES = {field.alias or name: name for name, field in JobOptions.model_fields.items()}
