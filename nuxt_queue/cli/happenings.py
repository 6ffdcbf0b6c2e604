"""What happens while jobs are served, in words: one short line an event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nuxt_queue.services.events import Event
from nuxt_queue.text import one_line
from nuxt_queue.timeline import brief, event_line

__all__ = ["Happening", "Narrator"]

_LONGEST = 4_000  # characters of a line; a timeline has all of it
_LONGEST_DATA = 200
_MOST_ATTEMPTS = 10_000  # that began; one that was interrupted may end elsewhere
_SILENT = frozenset({"process.started"})
_FLOW_WORDS = {
    "flow.start": "started",
    "flow.completed": "completed",
    "flow.failed": "failed",
    "flow.cancel": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of what happens.

    Attributes:
        at: Unix seconds.
        name: The job's name, or the flow's.
        job_id: The job's id, or the id of the flow's run.
        message: What happened; it holds nothing but what prints.
        is_bad: Whether somebody may have to do something.
    """

    at: float
    name: str
    job_id: str
    message: str
    is_bad: bool = False


@dataclass(slots=True)
class Narrator:
    """Puts events into words; remembers since when an attempt runs, and of which job it is."""

    _attempts: dict[str, tuple[str, float]] = field(default_factory=dict)

    def tell(self, event: Event) -> Happening | None:
        """Return the line of an event, None for one that is not worth a line."""
        if event.type in _SILENT:
            return None
        attempt = event.step_id or ""
        if event.type == "step.started":
            self._attempts[attempt] = (event.data["jobId"], event.ts)
            if len(self._attempts) > _MOST_ATTEMPTS:
                del self._attempts[next(iter(self._attempts))]
        job_id, since = self._attempts.get(attempt, (event.run_id, event.ts))
        if event.type in ("step.completed", "step.failed", "step.retry"):
            self._attempts.pop(attempt, None)
        message = one_line(_message(event, event.ts - since))
        if len(message) > _LONGEST:
            message = f"{message[:_LONGEST]}… {len(message)} characters"
        name = event.step_name or f"flow {event.flow_name}"
        return Happening(event.ts, one_line(name), one_line(job_id), message, _is_bad(event))


def _message(event: Event, took_s: float) -> str:
    data: dict[str, Any] = event.data
    again = f", attempt {event.attempt}" if (event.attempt or 1) > 1 else ""
    match event.type:
        case "step.started":
            words = f"started{again}"
        case "step.completed":
            words = f"completed in {took_s:.2f} s{again}"
        case "step.failed":
            words = f"failed after {took_s:.2f} s{again}: {data['error']}"
        case "step.retry":
            tried = f"attempt {data['attempt']} of {data['maxAttempts']}"
            words = f"{tried} failed, another one follows: {data['error']}"
        case "log" | "emit":
            words = _said(event)
        case known if known in _FLOW_WORDS:
            reason = f": {data['error']}" if data.get("error") else ""
            words = f"{_FLOW_WORDS[known]}{reason}"
        case other:
            words = f"{other}  {brief(data, _LONGEST_DATA)}"
    return words


def _said(event: Event) -> str:
    """Return a log line or an emit without the step, which has a column of its own."""
    width = len(event.step_name or "") + 2 if event.flow_name and event.step_name else 0
    return (event_line(event) or "")[width:]


def _is_bad(event: Event) -> bool:
    if event.type == "log":
        return event.data.get("level") == "error"
    return event.type in ("step.failed", "flow.failed")
