"""`nq conformance`: what is right passes, and what is wrong fails where it is wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from nbtools.exporter.vendor import vendor_sdk
from nuxt_queue.cli import main
from nuxt_queue.conformance import Clause, Report, examine
from nuxt_queue.errors import ConfigError
from nuxt_queue.runner.runtimes import BOOTSTRAP

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "samples" / "conformance"
WAIT_S = 5.0
AT_ONCE = 6  # examinations: most of their time is waiting

# Worker -> the clauses that it breaks, by number.
WRONG: dict[str, set[int]] = {
    "answers_batches_one_by_one": {13},
    "answers_notifications": {10, 13, 29},
    "answers_silent_batches": {14},
    "answers_twice": {8},
    "calls_what_there_is_not": {21, 35},
    "decodes_chunks": {11, 17},  # bytes that are no text become text
    "dies_of_cancel": {29},
    "dies_of_garbage": {11},
    "dies_of_stray_answers": {15},
    "drops_long_lines": {20, 40},
    "ends_with_an_error": {26},
    "forgets_the_version": {4},
    "goes_on_talking": {23},
    "has_text_for_a_code": {6},
    "ignores_garbage": {11},
    "ignores_what_is_no_request": {12, 13},  # there is one in the batch
    "knows_every_method": {9},
    "knows_no_shutdown": {28},
    "leaves_null_out": {5},
    "loses_the_rest": {3, 20},  # half a line is no message
    "makes_ids_strings": {7},
    "makes_numbers_strings": {31},
    "names_parameters_wrongly": {21, 35},
    "needs_our_variables": {30},
    "never_answers": {2},
    "never_ends": {26, 27, 39},
    "prints_nowhere": {37},
    "prints_on_the_wire": {8, 37},  # what it prints looks like an answer
    "reads_no_state": {33},
    "refuses_more_members": {16},
    "runs_a_second_job": {25},
    "says_hello": {3},
    "says_only_that_it_failed": {36},
    "shouts_its_levels": {34},
    "splits_at_more_than_newlines": {19, 31},  # such a character is among the values
    "swallows_refusals": {38},
    "takes_eight_messages_a_read": {18},
    "talks_first": {1},
    "uses_one_id": {22},
    "waits_for_a_result": {24},
    "waits_for_ever": {39},
    "waits_for_nobody": {41},
    "writes_long_lines": {40},
}
GROUPS = [sorted(WRONG)[start::4] for start in range(4)]


def run_with_path(folder: Path) -> str:
    """Write a program that runs a file, with a folder to import from."""
    return (
        f"import sys; sys.path.append({str(folder)!r});"
        " exec(compile(open(sys.argv[1]).read(), sys.argv[1], 'exec'))"
    )


def right_commands(folder: Path) -> dict[str, list[str]]:
    """List the workers that keep every clause."""
    handler = str(SAMPLES / "cooperates.py")
    vendor_sdk(folder)
    vendored = run_with_path(folder / ".nq")
    return {
        "no SDK": [sys.executable, "-I", "-S", str(SAMPLES / "plain.py")],
        "installed SDK": [sys.executable, handler],
        "vendored SDK": [sys.executable, "-I", "-S", "-c", vendored, handler],
        "as the runner starts it": [sys.executable, "-P", str(BOOTSTRAP), handler],
        "Perl": ["perl", str(ROOT / "examples" / "perl" / "worker.pl")],
        "Node": ["node", str(ROOT / "examples" / "node-plain" / "worker.mjs")],
    }


def failed(report: Report) -> dict[int, str]:
    return {v.clause.number: v.seen for v in report.verdicts if v.status == "FAIL"}


def command(sample: str) -> list[str]:
    """Start a sample as cheaply as Python starts, with its neighbours to be found."""
    return [sys.executable, "-I", "-S", "-c", run_with_path(SAMPLES), str(SAMPLES / f"{sample}.py")]


def test_no_sample_is_left_out() -> None:
    right = {"plain", "cooperates"}
    assert {path.stem for path in SAMPLES.glob("*.py")} == WRONG.keys() | right


@pytest.mark.parametrize("group", GROUPS, ids=["a", "b", "c", "d"])
async def test_a_worker_that_breaks_a_clause_fails_there_and_nowhere_else(group: list[str]) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def broken(sample: str) -> dict[int, str]:
        async with turns:
            return failed(await examine(command(sample), wait_s=WAIT_S, exit_s=WAIT_S))

    found = dict(zip(group, await asyncio.gather(*map(broken, group)), strict=True))
    assert {sample: set(problems) for sample, problems in found.items()} == {
        sample: WRONG[sample] for sample in group
    }, found


async def test_workers_of_every_kind_keep_every_clause(tmp_path: Path) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def examined(argv: list[str]) -> list[str]:
        async with turns:
            report = await examine(argv, wait_s=WAIT_S, exit_s=WAIT_S)
            return [line for line in report.lines() if "  ok  " not in line]

    right = right_commands(tmp_path)
    found = await asyncio.gather(*map(examined, right.values()))
    assert dict(zip(right, found, strict=True)) == {
        name: ["41 clauses: 41 ok, 0 FAIL, 0 not shown"] for name in right
    }


async def test_a_handler_that_does_not_help_is_judged_by_the_rest(tmp_path: Path) -> None:
    worker = tmp_path / "any.py"
    worker.write_text("from nuxt_queue import run_worker\nrun_worker(lambda job, ctx: job['x'])\n")
    report = await examine([sys.executable, str(worker)], wait_s=WAIT_S, exit_s=WAIT_S)
    statuses = {v.clause: v.status for v in report.verdicts}
    unseen = {clause for clause, status in statuses.items() if status == "not shown"}
    assert failed(report) == {}
    helped = {clause for clause in Clause if clause.number >= Clause.ECHO.number}
    assert unseen == helped | {Clause.KNOWN_CALLS, Clause.CALL_IDS, Clause.REFUSED_CALL}


# What a command does, and what its second clause says of it.
ODD_COMMANDS = {
    "exit 3": "the process exited with code 3",
    "echo gone >&2; kill -9 $$": "the process was killed by SIGKILL (9); it said: gone",
    "exec 1>&-; exec sleep 600": "it closed the wire",
    "exec yes": "it wrote more than 10000 lines",
    "exec tr '\\0' x < /dev/zero": "it wrote a line of more than 8 MiB",
}
SILENT_COMMANDS = {
    "exec sleep 600": "no answer within 1 s",
    "exec perl -e 'print STDERR qq(y\\n) while 1'": "no answer within 1 s",
    "trap '' TERM; sleep 600 & wait": "no answer within 1 s",
    'echo \'{"result": 1, "id": 7}\'; exec sleep 600': 'it answered {"result": 1, "id": 7}',
}


@pytest.mark.parametrize(
    ("commands", "wait_s"), [(ODD_COMMANDS, WAIT_S), (SILENT_COMMANDS, 1)], ids=["odd", "silent"]
)
async def test_a_command_that_is_no_worker_is_told_so_in_bounded_time(
    commands: dict[str, str], wait_s: float, tmp_path: Path
) -> None:
    async def examined(number: int, script: str) -> Report:
        command = tmp_path / f"command{number}"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        return await examine([str(command)], wait_s=wait_s)

    reports = await asyncio.gather(*(examined(n, script) for n, script in enumerate(commands)))
    told = [failed(report).get(2) for report in reports]
    assert dict(zip(commands, told, strict=True)) == commands
    assert all(report.count("FAIL") < 5 for report in reports)
    assert all(line.isprintable() for report in reports for line in report.lines())


NONSENSE = """
import json, sys
VALUES = [None, True, 0, -1.5, "end", [], [[]], [None], {}, {"id": "end"}, {"code": None}]
for line in sys.stdin:
    for value in VALUES:
        print(json.dumps(value))
        for key in ("id", "method", "result", "error", "params", "jsonrpc"):
            print(json.dumps({"id": "end", "method": "ctx.state.get", key: value}))
            print(json.dumps({"id": json.loads(line)["id"], "error": value, key: value}))
    sys.stdout.buffer.write(b"\\xff\\x00\\x1b[2J\\r\\n")
    sys.stdout.flush()
"""


async def test_a_worker_that_says_anything_is_judged_and_harms_nobody(tmp_path: Path) -> None:
    worker = tmp_path / "nonsense.py"
    worker.write_text(NONSENSE, "utf-8")
    report = await examine([sys.executable, "-I", "-S", str(worker)], wait_s=1)
    assert {3, 4, 5, 6, 8} <= failed(report).keys()
    assert all(line.isprintable() for line in report.lines())


async def test_a_command_that_only_echoes_is_no_worker() -> None:
    """It sends the host's requests back as calls, and the host's refusals as answers."""
    problems = failed(await examine(["cat"], wait_s=1))
    assert problems[21] == 'there is no "execute"'
    assert len(problems) > 5


async def test_a_command_that_cannot_be_started_fails_the_first_clause(tmp_path: Path) -> None:
    command = tmp_path / "command"
    command.write_bytes(b"\x7fELF nonsense")
    command.chmod(0o755)
    report = await examine([str(command)])
    assert failed(report) == {1: "it cannot be started: Exec format error"}
    assert report.count("not shown") == len(Clause) - 1


async def test_a_command_that_is_not_there_is_a_bad_call(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'there is no "no-such-worker" on the path'):
        await examine(["no-such-worker"])
    with pytest.raises(ConfigError, match="is a directory; name the program in it"):
        await examine([str(tmp_path)])


def test_nq_conformance_prints_a_line_a_clause_and_exits_0_when_nothing_fails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    worker = ROOT / "examples" / "perl" / "worker.pl"
    assert main(["conformance", "--", "perl", str(worker)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert (err, len(lines)) == ("", len(Clause) + 1)
    assert lines[0] == " 1  ok         starts, and says nothing until it is asked"
    assert lines[-1] == "41 clauses: 41 ok, 0 FAIL, 0 not shown"


def test_nq_conformance_exits_1_when_something_fails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["conformance", "--timeout", "1000", "--json", "--", "sh", "-c", "exit 4"]) == 1
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (err, report["command"]) == ("", ["sh", "-c", "exit 4"])
    assert (report["passed"], report["ok"], report["failed"], report["notShown"]) == (
        False,
        0,
        1,
        40,
    )
    assert report["clauses"][1] == {
        "number": 2,
        "clause": "answers execute with a result or an error",
        "status": "FAIL",
        "seen": "the process exited with code 4",
    }


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--", "no-such-worker"], 'nq: COMMAND: there is no "no-such-worker" on the path ('),
        (["--timeout", "0", "--", "sh"], "nq: --timeout is 0; give milliseconds above 0"),
    ],
)
def test_a_bad_call_of_nq_conformance_is_one_line(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["conformance", *argv]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(said)
