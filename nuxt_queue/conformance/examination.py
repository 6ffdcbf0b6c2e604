"""Examines a command: one probe after the other, each in fresh processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nuxt_queue.conformance import contract, framing, life, requests
from nuxt_queue.conformance.bench import Bench, Probe
from nuxt_queue.conformance.clauses import Clause, Report
from nuxt_queue.conformance.laws import blame, judge_laws
from nuxt_queue.runner.programs import find_program

__all__ = ["examine"]

_EXIT_S = 2.0  # a host would kill it then
_NO_HELP = "it takes a handler that helps, see docs/protocol.md"


async def examine(
    command: Sequence[str], *, wait_s: float = 10.0, exit_s: float = _EXIT_S
) -> Report:
    """Start a command as a worker, again and again, and report what it gets right.

    Its handler is run some forty times, with data that says that it is a probe.

    Args:
        command: The program, by name or path, and its arguments.
        wait_s: How long to wait for each thing that it has to say.
        exit_s: How long it is given to end.

    Raises:
        ConfigError: If there is no such program.
    """
    program = find_program("COMMAND", command[0], Path.cwd())
    report = Report(command)
    bench = Bench((program, *command[1:]), wait_s, report, exit_s)
    if not await life.first_job(bench):
        blame(bench)
        for clause in Clause:
            report.unseen(clause, "it has not answered its first job")
        return report
    helped: tuple[Probe, ...] = contract.PROBES if bench.cooperates else ()
    for probe in (*requests.PROBES, *framing.PROBES, *life.PROBES, *helped):
        await probe(bench)
    for clause in Clause:
        if clause.number >= Clause.ECHO.number and not bench.cooperates:
            report.unseen(clause, _NO_HELP)
    judge_laws(bench)
    return report
