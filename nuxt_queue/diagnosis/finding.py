"""Finding: one thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "fail", "ok", "warn"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: `ok`; `warn` when something may be missed; `FAIL` when something cannot work.
        what: What was looked at, one or two words.
        said: What was found.
        fix: What to do about it; empty when nothing is to be done.
    """

    level: Literal["ok", "warn", "FAIL"]
    what: str
    said: str
    fix: str = ""


def ok(what: str, said: str) -> Finding:
    """Return a finding that needs nothing to be done."""
    return Finding("ok", what, said)


def warn(what: str, said: str, fix: str = "") -> Finding:
    """Return a finding that somebody should look at; the fix may be in what is said."""
    return Finding("warn", what, said, fix)


def fail(what: str, said: str, fix: str = "") -> Finding:
    """Return a finding that something cannot work; a message that says the fix needs no other."""
    return Finding("FAIL", what, said, fix)
