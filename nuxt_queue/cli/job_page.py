"""One job with everything that is kept of it, for a person."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from nuxt_queue.cli.log_lines import LogLine, lines_of
from nuxt_queue.services.flow_status import iso_time
from nuxt_queue.text import one_line, quoted
from nuxt_queue.timeline import brief

if TYPE_CHECKING:
    from nuxt_queue.managers import JobRecord
    from nuxt_queue.managers.job_logs import LogRecord

__all__ = ["age", "job_page"]

_LOG_LINES = 10
_LABEL = 10  # characters of "attempts  "
# In a worker's traceback each frame of an exported worker names the place in its notebook.
_FRAME = re.compile(r'^ *File "([^"]+)", line (\d+), in [^\[]+(?:\[(.+, cell \d+, line \d+)\])?$')


def job_page(job: JobRecord, logs: list[LogRecord]) -> list[str]:
    """Return a job as lines: how it stands, what it got and gave, why it failed, what it logged."""
    rows = [
        ("job", job.id),
        ("queue", job.queue),
        ("name", job.name),
        ("state", _state(job)),
        ("attempts", f"{job.attempts_made} of {job.opts.max_attempts}"),
        ("enqueued", _moment(job.timestamp)),
        ("started", _moment(job.processed_on)),
        ("ended", _ended(job)),
        ("options", _options(job.opts.to_wire())),
        ("data", brief(job.data)),
        ("progress", "" if job.progress is None else brief(job.progress)),
        ("result", brief(job.returnvalue) if job.state == "completed" else ""),
        ("reason", job.failed_reason or ""),
        ("place", _place(job.stacktrace[-1]) if job.stacktrace and job.failed_reason else ""),
    ]
    lines = [f"{label:<{_LABEL}}{one_line(text)}" for label, text in rows if text]
    first = job.attempts_made - len(job.stacktrace) + (job.state != "completed")
    for attempt, stack in enumerate(job.stacktrace, max(first, 1)):
        if stack:
            lines += ["", f"traceback of attempt {attempt}", *quoted(stack)]
    if logs:
        shown = logs[-_LOG_LINES:]
        rest = f", the last {len(shown)} of {len(logs)} lines" if len(shown) < len(logs) else ""
        lines += ["", f"log{rest}"]
        for record in shown:
            lines += lines_of(LogLine(record), iso_time(record.id / 1e6) if record.id else "-")
    return lines


def age(seconds: float) -> str:
    """Return how long something is ago, in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


def _state(job: JobRecord) -> str:
    if job.state in ("waiting", "delayed", "paused") and job.attempts_made:
        return f"{job.state} for attempt {job.attempts_made + 1}"
    return job.state


def _moment(at_ms: int | None) -> str:
    if at_ms is None:
        return ""
    return f"{iso_time(at_ms / 1000)}, {age(time.time() - at_ms / 1000)} ago"


def _ended(job: JobRecord) -> str:
    if job.finished_on is None:
        return ""
    took_ms = job.finished_on - (job.processed_on or job.finished_on)
    return f"{_moment(job.finished_on)}, after {took_ms / 1000:.2f} s"


def _options(given: dict[str, Any]) -> str:
    return "  ".join(f"{name}={brief(value)}" for name, value in given.items() if name != "jobId")


def _place(stack: str) -> str:
    """Return the last line of a notebook or a file that a traceback names."""
    frames = [found for line in stack.splitlines() if (found := _FRAME.match(line))]
    in_notebook = [frame[3] for frame in frames if frame[3]]
    if in_notebook:
        return str(in_notebook[-1])
    return f"{frames[-1][1]}, line {frames[-1][2]}" if frames else ""
