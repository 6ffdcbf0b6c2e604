"""What the managers promise when things go wrong, by number, and that each has its tests.

Tests name the numbers in their docstrings: `Faults 70`.
"""

from __future__ import annotations

import re

from tests.citations import cited

PROMISES = {
    53: "SIGTERM: no job starts, what ends in time counts, the rest waits again, no attempt used",
    54: "a second signal kills at once and puts back; the exit status is not 0",
    55: "a signal while it starts, while it spawns, while it idles; Ctrl-C is not the children's",
    56: "a listener that raises is logged, and stops nothing",
    57: "closing twice, starting twice, registering twice",
    58: "loops in other threads, forked parents, a host that ignores SIGCHLD",
    59: "Redis away at the start: producers fail within 5 s by name, workers wait, back within 2 s",
    60: "a killed worker's job is back within 25 s",
    61: "a job that kills its worker each time stops after its attempts, and says so",
    62: "a Redis that restarts: all complete, runs <= jobs + concurrency, idle meanwhile",
    63: "a Redis that hangs: all complete; late outcomes are refused, their handlers cancelled",
    64: "an outcome that cannot be written is written later, and is not the handler's failure",
    65: "an event loop that is blocked keeps its locks, and is warned about",
    66: "eviction, a replica, a login, a wrong key, loading: refused or warned of, by name",
    67: "Node's BullMQ and this one work each other's jobs, the same way",
    68: "two managers on one queue: none completes twice",
    69: "the oldest and the newest bullmq package that may be installed",
    70: "writers that are killed lose nothing that was accepted",
    71: "on the disk before it is accepted; torn logs come back to what was whole",
    72: "managers on one file take each job once, and none finds it locked",
    73: "writers and checkpoints take turns where SQLite needs it",
    74: "a manager that is killed at any moment: its jobs end, none runs again once it is recorded",
    75: "a full disk, a read-only file or folder, none at all: an error by name, nothing lost",
    76: "a file that is damaged, foreign, newer or empty is refused, and left as it is",
    77: "a network file system or a container's layer is told of",
    78: "clocks that jump, time zones, far times",
    79: "large backlogs and files; what is kept is bounded",
    80: "processes that are forked, several loops, threads",
    81: "a second job of the same id is not made",
}
PLACES = ["contract", "managers", "services", "process", "cli"]
AT_LENGTH = ["soak"]
ONLY_AT_LENGTH = {69}  # installs packages


def _named(docstring: str) -> list[str]:
    lists = re.findall(r"[Ff]aults (\d+(?:(?:, | and |, and )\d+)*)", docstring)
    return [number for each in lists for number in re.findall(r"\d+", each)]


def test_every_promise_of_the_managers_has_a_test() -> None:
    shown, at_length = cited(PLACES, _named), cited(AT_LENGTH, _named)

    missing = [number for number in PROMISES if str(number) not in shown]

    assert set(missing) == ONLY_AT_LENGTH
    assert all(str(number) in at_length for number in ONLY_AT_LENGTH)
