"""The clauses of docs/protocol.md, each with its number, and what was found about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["Clause", "Report", "Verdict"]


class Clause(Enum):
    """One thing that a worker does; those from `ECHO` on need the handler's help to be seen."""

    STARTS = (1, "starts, and says nothing until it is asked")
    ANSWERS = (2, "answers execute with a result or an error")
    ONLY_MESSAGES = (3, "writes nothing but messages on the wire")
    VERSION = (4, 'says "jsonrpc": "2.0" in every message')
    ONE_OF_TWO = (5, "has either a result or an error in every answer, null included")
    ERROR_SHAPE = (6, "gives every error an integer code and a string message")
    SAME_ID = (7, "repeats the id of the request, its type included")
    ONCE = (8, "answers once")
    UNKNOWN_METHOD = (9, "answers an unknown method with -32601")
    NOTIFICATIONS = (10, "never answers a notification")
    NOT_JSON = (11, "answers what is not JSON with -32700 and the id null, and goes on")
    NO_REQUEST = (12, "answers JSON that is no request with -32600, and goes on")
    BATCH = (13, "answers a batch with one array")
    SILENT_BATCH = (14, "answers a batch of notifications with nothing")
    STRAY_ANSWERS = (15, "ignores answers that it has not asked for")
    MORE_MEMBERS = (16, "ignores members that it does not know")
    PIECES = (17, "takes a message that comes in pieces, cut inside a character")
    PACKED = (18, "takes several messages that come at once")
    NEWLINE = (19, "ends a message at a newline and at nothing else")
    LARGE = (20, "takes a message of 1 MiB")
    KNOWN_CALLS = (21, "calls methods that there are, with the parameters that they have")
    CALL_IDS = (22, "gives each of its calls an id of its own")
    LAST_WORD = (23, "says nothing more after its answer")
    REFUSED_CALL = (24, "answers when the host refuses its calls")
    ONE_JOB = (25, "refuses a second execute with -32001")
    ENDS = (26, "ends after its answer, at the latest with its input, with code 0")
    END_OF_INPUT = (27, "ends with its input when it has no job, with code 0")
    SHUTDOWN = (28, "answers shutdown and ends")
    CANCEL = (29, "answers its job once, also when it is asked to cancel")
    PLAIN_HOST = (30, "works under a host that sets no variable but NUXT_QUEUE_CHILD_PROCESS")
    ECHO = (31, "brings every value back as it was")
    LARGE_ANSWER = (32, "writes an answer of 1 MiB whole")
    STATE = (33, "sets state and reads it back")
    LOG = (34, "logs with level, message and metadata")
    EMIT = (35, "emits an event with its payload")
    FAILS = (36, "answers a failure of its handler with an error that says what failed")
    PRINTS = (37, "keeps what its handler prints off the wire, and hands it to the host")
    HANDED_ON = (38, "hands a refused call on to its handler")
    HANGS_UP = (39, "ends with its input while it waits for an answer")
    SHORT_LINES = (40, "answers with an error what is too long for a host that loses long lines")
    WINDOW = (41, "leaves at most 64 KiB unanswered under such a host, and loses nothing")

    @property
    def number(self) -> int:
        """Its number in docs/protocol.md."""
        return int(self.value[0])

    @property
    def title(self) -> str:
        """What the worker does."""
        return str(self.value[1])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about one clause.

    Attributes:
        clause: The clause.
        status: `ok`, `FAIL`, or `not shown` where nothing could be seen.
        seen: What was seen, or why nothing was.
    """

    clause: Clause
    status: str
    seen: str = ""

    def to_wire(self) -> dict[str, Any]:
        """Return the verdict as JSON data."""
        clause = self.clause
        return {
            "number": clause.number,
            "clause": clause.title,
            "status": self.status,
            "seen": self.seen,
        }


@dataclass(slots=True)
class Report:
    """Everything that was found about one command; the first word on a clause stands.

    Attributes:
        command: The command and its arguments.
        found: The verdicts that are in.
    """

    command: Sequence[str]
    found: dict[Clause, Verdict] = field(default_factory=dict)

    def ok(self, clause: Clause, seen: str = "") -> None:
        """Note that a clause holds."""
        self.found.setdefault(clause, Verdict(clause, "ok", seen))

    def fail(self, clause: Clause, seen: str) -> None:
        """Note that a clause does not hold."""
        self.found.setdefault(clause, Verdict(clause, "FAIL", seen))

    def judge(self, clause: Clause, problem: str | None, seen: str = "") -> None:
        """Note that a clause holds unless there is a problem."""
        if problem is None:
            self.ok(clause, seen)
        else:
            self.fail(clause, problem)

    def unseen(self, clause: Clause, why: str) -> None:
        """Note that nothing could be seen of a clause."""
        self.found.setdefault(clause, Verdict(clause, "not shown", why))

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdicts on all clauses, in their order."""
        nothing = "nothing was seen of it"
        return [self.found.get(c) or Verdict(c, "not shown", nothing) for c in Clause]

    def count(self, status: str) -> int:
        """Count the clauses of one status."""
        return sum(verdict.status == status for verdict in self.verdicts)

    def lines(self) -> list[str]:
        """Return the report as a person reads it: a line a clause, and the sum."""
        lines = []
        for verdict in self.verdicts:
            seen = f": {verdict.seen}" if verdict.seen else ""
            clause = verdict.clause
            lines.append(f"{clause.number:>2}  {verdict.status:<9}  {clause.title}{seen}")
        counts = ", ".join(f"{self.count(s)} {s}" for s in ("ok", "FAIL", "not shown"))
        return [*lines, f"{len(lines)} clauses: {counts}"]

    def to_wire(self) -> dict[str, Any]:
        """Return the report as one JSON object."""
        return {
            "command": list(self.command),
            "passed": self.count("FAIL") == 0,
            "ok": self.count("ok"),
            "failed": self.count("FAIL"),
            "notShown": self.count("not shown"),
            "clauses": [verdict.to_wire() for verdict in self.verdicts],
        }
