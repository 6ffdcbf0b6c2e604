"""What commands say, and their exit status.

Everything that a command prints leaves through here, one printable line at a time: what it repeats
of other people's text cannot steer the terminal or pass for a line of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nuxt_queue.text import json_text, one_line, quoted
from nuxt_queue.timeline import event_line, step_table, table

if TYPE_CHECKING:
    from nuxt_queue.registry import ScanResult
    from nuxt_queue.services.events import Event

__all__ = [
    "BAD_CALL",
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "print_event",
    "print_failure",
    "print_findings",
    "print_json",
    "print_step_table",
    "print_table",
    "put",
    "remark",
    "say",
]

DONE, FAILED, BAD_CALL, INTERRUPTED = 0, 1, 2, 130


def say(message: str, status: int = DONE) -> int:
    """Say something in one line, such as why a command ends, and return its status."""
    remark(f"nq: {message}")
    return status


def put(line: str) -> None:
    """Print a line of the result."""
    print(one_line(line), flush=True)


def remark(line: str) -> None:
    """Print a line about the result, on stderr."""
    print(one_line(line), file=sys.stderr)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their headings; each cell is one printable line."""
    print(table(head, rows))


def print_step_table(events: Sequence[Event]) -> None:
    """Print the table of a run."""
    print(step_table(events))


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a result as JSON in which every character prints; as one line without an indent."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    print(json_text(value, indent=indent, ascii_only=encoding != "utf8"), flush=True)


def print_findings(found: ScanResult) -> None:
    """Say what a scan could not use, and what looks like a slip."""
    for problem in found.problems:
        remark(f"problem: {problem}")
    for warning in found.warnings:
        remark(f"warning: {warning}")


def print_event(event: Event, width: int = 0) -> None:
    """Show a log line or an emitted event as it happens."""
    line = event_line(event, width)
    if line is not None:
        remark(line)


def print_failure(error: dict[str, Any]) -> None:
    """Say why a job failed, and where in the user's own code."""
    spot = error["location"]
    at = f" ({_place(spot)})" if spot else ""
    for line in quoted(error["traceback"]) if error["traceback"] else ():
        remark(line)
    remark(f"failed: {error['type']}: {error['message']}{at}")
    if "hint" in error:
        remark(f"hint: {error['hint']}")


def _place(spot: dict[str, Any]) -> str:
    if "notebook" in spot:
        return f"{spot['notebook']}, cell {spot['cell']}, line {spot['cellLine']}"
    return f"{spot['file']}:{spot['line']}"
