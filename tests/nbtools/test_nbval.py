"""Notebooks under nbval, as a project runs them in CI (exporter R25).

`make test` runs all notebooks of ours with it, twice: one process, then several with the file.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nbval.plugin import get_sanitize_patterns

ROOT = Path(__file__).parents[2]
SANITIZE = ROOT / "nbtools" / "nbval-sanitize.cfg"
GREET = ROOT / "notebooks" / "00_greet.ipynb"

UNSTABLE = """\
import os, time, uuid
print(object(), uuid.uuid4(), "pid:", os.getpid())
print(time.strftime("%Y-%m-%dT%H:%M:%SZ"), "/tmp/" + uuid.uuid4().hex)"""
STORED = """\
<object object at 0x7f0000000010> 00000000-0000-0000-0000-000000000000 pid: 1
2001-01-01T00:00:00Z /tmp/tmp0
"""

SAME = [
    ("<function f at 0x7f1e0c3d5f70>", "<function f at 0x104f2b6d0>"),
    ("2026-01-02 03:04:05.678", "2027-11-12 13:14:15,9"),
    ("at 2026-01-02T03:04:05+01:00.", "at 2026-01-02T03:04Z."),
    ("run 123e4567-e89b-12d3-a456-426614174000", "run 00000000-0000-4000-8000-00000000000A"),
    ("x\nCPU times: user 2 µs, sys: 1 µs\nWall time: 5 µs\ny",
     "x\nCPU times: user 3 ms, sys: 0 ns\nWall time: 6 s\ny"),
    ("5 ns ± 1 ns per loop (mean ± std. dev. of 7 runs)", "7 µs ± 0 ns per loop (mean ± x)"),
    ("/tmp/tmpabc123/x.csv", "/var/folders/zz/a_b+c/T/tmpdef/x.csv"),
    ("process 17 ended", "process 4711 ended"),
]  # fmt: skip
DIFFERENT = [
    ("accuracy 0.97", "accuracy 0.96"),
    ("0x1f", "0x2f"),
    ("took 5 ms", "took 6 ms"),
    ("2026-01-02", "2026-01-03"),
    ("processed 17", "processed 18"),
    ("ValueError: /data/a.csv", "ValueError: /data/b.csv"),
]


def _sanitized(text: str) -> str:
    for pattern, replacement in get_sanitize_patterns(SANITIZE.read_text()):
        text = re.sub(pattern, replacement, text)
    return text


@pytest.mark.parametrize("pair", SAME)
def test_what_is_never_the_same_twice_is_taken_for_the_same(pair: tuple[str, str]) -> None:
    assert pair[0] != pair[1]
    assert _sanitized(pair[0]) == _sanitized(pair[1])


@pytest.mark.parametrize("pair", DIFFERENT)
def test_a_result_that_differs_still_differs(pair: tuple[str, str]) -> None:
    assert _sanitized(pair[0]) != _sanitized(pair[1])


def _unstable() -> dict[str, Any]:
    """Return a notebook whose outputs were stored on another day, by another process."""
    output = {"output_type": "stream", "name": "stdout", "text": STORED}
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": 1}
    cells = [{**cell, "outputs": [output], "source": UNSTABLE}]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def test_notebooks_pass_in_processes_side_by_side_with_and_without_a_kernelspec(
    tmp_path: Path,
) -> None:
    """R25: under xdist's `loadscope` the cells of a notebook share a kernel."""
    shutil.copy(GREET, tmp_path / "named.ipynb")
    document = json.loads(GREET.read_text())
    assert document["metadata"].pop("kernelspec")["name"] == "python3"
    (tmp_path / "nameless.ipynb").write_text(json.dumps(document))
    (tmp_path / "unstable.ipynb").write_text(json.dumps(_unstable()))
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
    )
    options = ["--nbval", "--nbval-current-env", f"--nbval-sanitize-with={SANITIZE}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-n2", "--dist=loadscope", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    ran = re.findall(r"^\[(gw\d)\].* PASSED (\w+)::ipynb::", done.stdout, re.MULTILINE)
    assert len(ran) == 7
    assert len(set(ran)) == 3  # a notebook in one process
    assert len({process for process, _ in ran}) == 2
