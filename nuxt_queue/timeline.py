"""A run's timeline as a person reads it: a table of steps, and lines for what happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nuxt_queue.services.events import Event
from nuxt_queue.text import json_text, one_line

__all__ = [
    "StepSummary",
    "brief",
    "event_line",
    "step_table",
    "summarize",
    "table",
]

_MOST_LEVELS = 20  # of nesting; what is deeper is not for a look
_MOST_ITEMS = 8  # of a list; then its length says the rest
_DIGITS = 6  # of a float: beyond, two machines may differ, and nobody reads it
_LONGEST_VALUE = 300  # characters; a display is for a look
_LONGEST_PAYLOAD = 80  # characters, in a line of a terminal
_OUTCOMES = {
    "step.started": "running",
    "step.completed": "completed",
    "step.retry": "retrying",
    "step.failed": "failed",
}


@dataclass
class StepSummary:
    """What one step did, all its attempts together.

    Attributes:
        name: The step.
        status: `running`, `retrying`, `completed` or `failed`.
        pids: The processes it ran in, one an attempt; none for a step in this process.
        attempts: How often it was tried.
        duration_s: From its first start to its end; 0 while it runs.
        logs: How many lines it logged.
        emitted: The names of the events it emitted.
    """

    name: str
    status: str = "running"
    pids: list[int] = field(default_factory=list)
    attempts: int = 0
    duration_s: float = 0.0
    logs: int = 0
    emitted: list[str] = field(default_factory=list)
    started_at: float = 0.0


def summarize(events: Iterable[Event]) -> list[StepSummary]:
    """Return one summary a step, in the order in which they started."""
    steps: dict[str, StepSummary] = {}
    for event in events:
        if event.step_name is None:
            continue
        step = steps.setdefault(event.step_name, StepSummary(event.step_name))
        if event.type in _OUTCOMES:
            step.status = _OUTCOMES[event.type]
            step.duration_s = event.ts - step.started_at
        if event.type == "step.started":
            step.attempts += 1
            step.started_at = step.started_at or event.ts
            step.duration_s = 0.0
        elif event.type == "process.started":
            step.pids.append(event.data["pid"])
        elif event.type == "log":
            step.logs += 1
        elif event.type == "emit":
            step.emitted.append(event.data["name"])
    return list(steps.values())


def step_table(events: Iterable[Event]) -> str:
    """Return the table of a run: step, status, pid, duration, logs, emitted."""
    rows = [
        (
            step.name,
            step.status + (f" ({step.attempts} attempts)" if step.attempts > 1 else ""),
            ", ".join(map(str, step.pids)) or "-",
            f"{step.duration_s:.2f} s",
            str(step.logs),
            ", ".join(step.emitted) or "-",
        )
        for step in summarize(events)
    ]
    return table(("step", "status", "pid", "duration", "logs", "emitted"), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns as wide as their widest cell; numbers are set to the right.

    A cell is one printable line, whatever it is given.
    """
    rows = [tuple(map(one_line, row)) for row in rows]
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def event_line(event: Event, width: int = 0) -> str | None:
    """Return a log line or an emitted event as one line; None for other events.

    In a flow it begins with the step's name, as wide as `width`.
    """
    line = _event_line(event, width)
    return None if line is None else one_line(line)


def _event_line(event: Event, width: int) -> str | None:
    data: dict[str, Any] = dict(event.data)
    where = f"{event.step_name:<{width}}  " if event.flow_name and event.step_name else ""
    if event.type == "log":
        level, message = data.pop("level"), data.pop("message")
        extra = "".join(f"  {key}={brief(value)}" for key, value in data.items())
        return f"{where}{level:<5}  {message}{extra}"
    if event.type == "emit":
        return f"{where}emit   {data['name']}  {brief(data['payload'], _LONGEST_PAYLOAD)}"
    return None


def brief(value: Any, longest: int = _LONGEST_VALUE) -> str:
    """Write a JSON value the way one looks at it: short lists, few digits, one line."""
    text = _brief(value)
    return text if len(text) <= longest else f"{text[:longest]}…"


def _brief(value: Any, levels: int = _MOST_LEVELS) -> str:
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}" if value != int(value) else json_text(value)
    if not levels and value and isinstance(value, dict | list):
        return "{…}" if isinstance(value, dict) else "[…]"
    if isinstance(value, dict):
        pairs = (f"{json_text(k)}: {_brief(v, levels - 1)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        items = [_brief(item, levels - 1) for item in value[:_MOST_ITEMS]]
        more = [f"… {len(value)} in all"] if len(value) > _MOST_ITEMS else []
        return "[" + ", ".join(items + more) + "]"
    return json_text(value)


def _is_number(cell: str) -> bool:
    return cell.removesuffix(" s").replace(".", "", 1).isdigit()
