"""docs/protocol.md cannot drift: its tables are the code's, and its job is done by real parties.

`NQ_UPDATE_GOLDENS=1 pytest tests/docs` writes the table of clauses anew.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.conformance import Clause
from nuxt_queue.errors import (
    InternalError,
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    ParseError,
    RpcError,
)
from nuxt_queue.rpc import methods
from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.sdk import entry
from nuxt_queue.sdk.failures import to_rpc_error
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "protocol.md"
TEXT = PAGE.read_text("utf-8")
WAIT_S = 20.0


def table(heading: str, column: str) -> dict[str, list[str]]:
    """Return the rows of the table whose first column has a name, below a heading."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = section.split(f"| {column} |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0].strip("`"): row[1:] for row in cells}


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_calls_of_the_page_are_those_that_are_answered() -> None:
    stated = table("What a worker may ask", "method")
    stated.pop(methods.STARTED)
    stated.pop(methods.LEFT_BEHIND)
    parameters = {
        method: [*required, *(f"{name}?" for name in optional)]
        for method, (required, optional) in JobContext.parameters().items()
    }
    assert {method: names(row[0]) for method, row in stated.items()} == parameters


def test_every_method_of_the_wire_is_on_the_page() -> None:
    stated = table("What a worker may ask", "method") | table("What the host asks", "method")
    constants = {
        value
        for name, value in vars(methods).items()
        if name.isupper() and isinstance(value, str) and not name.startswith(("ENV_", "CONFIRM"))
    }
    assert stated.keys() == constants


def test_the_fields_variables_and_levels_of_the_page_are_the_codes() -> None:
    assert table("What the host asks", "field").keys() == set(methods.CONTEXT_FIELDS.values())
    variables = {value for name, value in vars(methods).items() if name.startswith("ENV_")}
    assert table("Output", "variable").keys() == variables
    (levels,) = [line for line in TEXT.splitlines() if line.startswith("The levels are")]
    assert names(levels.partition(".")[0]) == list(methods.LOG_LEVELS)


def test_the_errors_of_the_page_are_the_codes() -> None:
    kinds = (
        ParseError,
        InvalidRequestError,
        MethodNotFoundError,
        InvalidParamsError,
        InternalError,
        RpcError,
    )
    codes = [str(kind.code) for kind in kinds]
    assert list(table("Errors", "code")) == [*codes, str(entry._BUSY)]
    error = ModuleNotFoundError("x", name="x")
    assert table("Errors", "member").keys() == to_rpc_error(error, "import").data.keys()


def test_the_clauses_of_the_page_are_those_that_are_examined() -> None:
    rows = "\n".join(f"| {clause.number} | {clause.title} |" for clause in Clause)
    head = "| clause | a worker |\n|---|---|\n"
    start = TEXT.index(head) + len(head)
    end = TEXT.index("\n\n", start)
    if os.environ.get("NQ_UPDATE_GOLDENS"):
        PAGE.write_text(TEXT[:start] + rows + TEXT[end:], "utf-8")
    assert PAGE.read_text("utf-8")[start:].startswith(f"{rows}\n\n")


TRANSCRIPT = [
    (line[0], json.loads(line[2:]))
    for line in TEXT.split("```text\n")[1].split("```")[0].splitlines()
]
WORKERS = {
    "perl": ["perl", str(ROOT / "examples" / "perl" / "worker.pl")],
    "node": ["node", str(ROOT / "examples" / "node-plain" / "worker.mjs")],
}


@pytest.mark.parametrize("command", WORKERS.values(), ids=WORKERS)
def test_a_worker_says_what_the_page_says_that_it_says(command: list[str]) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        methods.ENV_CHILD: "1",
        methods.ENV_FRAMING: "lines",
    }
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as worker:
        assert worker.stdin
        assert worker.stdout
        for who, message in TRANSCRIPT:
            if who == ">":
                worker.stdin.write(json.dumps(message).encode() + b"\n")
                worker.stdin.flush()
            else:
                assert json.loads(worker.stdout.readline()) == message
        assert worker.stdout.read() == b""  # it ends by itself
    assert worker.returncode == 0


PARROT = """
import json, sys
for who, message in json.loads({transcript!r}):
    if who == "<":
        print(json.dumps(message), flush=True)
    else:
        print(sys.stdin.readline().strip(), file=sys.stderr, flush=True)
"""


async def test_the_host_says_what_the_page_says_that_it_says(tmp_path: Path) -> None:
    """Its side, to a worker that says its lines and tells on stderr what it hears."""
    worker = tmp_path / "parrot.py"
    worker.write_text(PARROT.format(transcript=json.dumps(TRANSCRIPT)), "utf-8")
    heard: list[Any] = []
    bus = EventBus()
    bus.subscribe(
        lambda event: (
            heard.append(json.loads(event.data["message"]))
            if event.data.get("stream") == "stderr"
            else None
        )
    )
    scope = Scope(
        "7", "count-words", "run-7", "hamlet", "worker", "run-7__worker__attempt-1", attempt=1
    )
    job = TRANSCRIPT[0][1]["params"]["job"]
    parrot = ChildProcessRunner(worker, "parrot", 15_000, command=(sys.executable,))
    async with asyncio.timeout(WAIT_S), parrot as runner:
        result = await runner.execute(job, ContextService(MemoryStateStore(), bus).for_job(scope))
    assert result == TRANSCRIPT[-1][1]["result"]
    assert heard == [message for who, message in TRANSCRIPT if who == ">"]
