"""What commands say, and their exit status."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from nuxt_queue.timeline import event_line, one_line

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
    "say",
]

DONE, FAILED, BAD_CALL, INTERRUPTED = 0, 1, 2, 130


def say(message: str, status: int = DONE) -> int:
    """Say something in one line, such as why a command ends, and return its status."""
    print(f"nq: {one_line(message)}", file=sys.stderr)
    return status


def print_json(value: Any) -> None:
    """Print a result; what could move the cursor or turn the text is written as escapes."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if not text.replace("\n", "").isprintable():
        seen = (c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)
        text = "".join(seen)
    print(text)


def print_findings(found: ScanResult) -> None:
    """Say what a scan could not use, and what looks like a slip."""
    for problem in found.problems:
        print(f"problem: {one_line(str(problem))}", file=sys.stderr)
    for warning in found.warnings:
        print(f"warning: {one_line(str(warning))}", file=sys.stderr)


def print_event(event: Event, width: int = 0) -> None:
    """Show a log line or an emitted event as it happens."""
    line = event_line(event, width)
    if line is not None:
        print(line, file=sys.stderr)


def print_failure(error: dict[str, Any]) -> None:
    """Say why a job failed, and where in the user's own code."""
    spot = error["location"]
    at = f" ({_place(spot)})" if spot else ""
    for line in error["traceback"].rstrip("\n").splitlines():
        print(one_line(line), file=sys.stderr)
    print(one_line(f"failed: {error['type']}: {error['message']}{at}"), file=sys.stderr)
    if "hint" in error:
        print(one_line(f"hint: {error['hint']}"), file=sys.stderr)


def _place(spot: dict[str, Any]) -> str:
    if "notebook" in spot:
        return f"{spot['notebook']}, cell {spot['cell']}, line {spot['cellLine']}"
    return f"{spot['file']}:{spot['line']}"
