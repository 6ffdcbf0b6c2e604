"""The README's example is true: its cells are the notebook's, its output is what is printed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from nbtools import run_local
from nuxt_queue.cli import serve
from nuxt_queue.rpc.codec import MAX_DEPTH
from nuxt_queue.runner import Timeouts
from nuxt_queue.runner.run import Terms

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
CELLS = [text.rstrip("\n") for language, text in BLOCKS if language == "python"][:3]


def test_the_cells_shown_are_those_of_the_notebook() -> None:
    notebook = json.loads((ROOT / "notebooks" / "00_greet.ipynb").read_text("utf-8"))
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sources == CELLS


async def test_the_try_out_shows_what_is_shown() -> None:
    namespace: dict[str, object] = {"__name__": "notebook"}
    exec("\n".join(CELLS[:2]), namespace)
    run = await run_local(namespace["handler"], {"name": "Ada"})  # type: ignore[arg-type]  # it is one
    shown = next(text for language, text in BLOCKS if language == "text")
    assert repr(run) == shown.rstrip("\n")


def typed(session: str, folder: Path) -> str:
    """Type the commands of a session and return what a terminal would show."""
    shown = []
    for line in session.splitlines():
        if not line.startswith("$ "):
            continue
        command, *args = shlex.split(line[2:])
        done = subprocess.run(
            [Path(sys.executable).with_name(command), *args],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        shown.append(f"{line}\n{done.stdout}")
    return "".join(shown)


def test_the_commands_print_what_is_shown(tmp_path: Path) -> None:
    shutil.copy(ROOT / "notebooks" / "00_greet.ipynb", tmp_path / "greet.ipynb")
    session = next(text for language, text in BLOCKS if language == "console")
    assert typed(session, tmp_path) == session


def test_the_refusal_is_what_is_shown(tmp_path: Path) -> None:
    handler = "#| nq: handler\n@define_worker\ndef handler(job, ctx):\n    return math.pi"
    config = CELLS[0].replace("greet", "forgot")
    cells: list[dict[str, object]] = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "source": source}
        for source in ("import math", config, handler)
    ]
    notebook = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}
    (tmp_path / "forgot.ipynb").write_text(json.dumps(notebook), "utf-8")
    session = [text for language, text in BLOCKS if language == "console"][1]
    assert typed(session, tmp_path) == session


def test_the_limits_are_the_real_ones() -> None:
    terms, times = Terms(), Timeouts()

    assert f"| {terms.max_message >> 20} MiB, {MAX_DEPTH} levels deep |" in README
    assert f"| {terms.max_output >> 20} MiB a stream, in lines of at most 64 KiB |" in README
    assert f"| {terms.timeout_ms // 60_000} min, 10 min for `node-isolated` |" in README
    assert (times.cancel_s, times.exit_s, times.term_s) == (2.0, 10.0, 2.0)
    assert "to exit after the answer, to act on SIGTERM | 2 s, 10 s, 2 s |" in README
    assert f"| Grace {serve._GRACE_S:g} s. |" in README


def test_every_file_that_is_named_is_there() -> None:
    """Each promise names the test that shows it."""
    named = re.findall(r"\]\(((?!http)[^)#]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert sum(path.startswith("tests/") for path in named) >= 10
