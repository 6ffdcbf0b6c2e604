"""Any tree of files that end in .ipynb ends in verdicts, never in a traceback (exporter R20)."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from pathlib import Path

import pytest

from nbtools.errors import NbtoolsError
from nbtools.exporter import render_notebook
from nbtools.notebook import parse_notebook
from tests.nbtools.test_goldens import NOTEBOOKS

ROOT = Path(__file__).parents[2]
BROKEN = (b"", b"[]", b"\xff\xfe{", b'{"nbformat": 4}', b"<<<<<<< HEAD\n=======\n>>>>>>> x\n")


def test_make_corpus_prints_a_table_of_verdicts(tmp_path: Path) -> None:
    for number, notebook in enumerate(NOTEBOOKS):
        folder = tmp_path / str(number % 3)
        folder.mkdir(exist_ok=True)
        (folder / notebook.name).write_bytes(notebook.read_bytes())
    for number, raw in enumerate(BROKEN):
        (tmp_path / f"broken-{number}.ipynb").write_bytes(raw)
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "corpus.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert f"{len(NOTEBOOKS) + len(BROKEN)} notebooks, as it is" in done.stdout
    assert "not read: NQ004" in done.stdout
    assert done.stdout.endswith("\n0 tracebacks\n")


@pytest.mark.parametrize("seed", range(10))
def test_a_damaged_notebook_is_exported_or_refused_and_nothing_else(seed: int) -> None:
    """R20, faults 108: cut, doubled, swapped and overwritten at random; the seed says how."""
    chance = random.Random(seed)
    for notebook in chance.sample(NOTEBOOKS, 20):
        raw = bytearray(notebook.read_bytes())
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(raw))
            to = min(len(raw), at + chance.randrange(1, 40))
            what = chance.randrange(5)
            if what == 0:
                del raw[at:to]
            elif what == 1:
                raw[at:at] = raw[at:to]
            elif what == 2:
                raw[at:to] = bytes(chance.randrange(256) for _ in range(to - at))
            elif what == 3:
                raw[at:to] = chance.choice([b"null", b"{}", b"[]", b'""', b"\\ud800", b"1e999"])
            else:
                del raw[max(at, 50) :]
        with contextlib.suppress(NbtoolsError):  # refused: that is a verdict
            text = render_notebook(parse_notebook(bytes(raw), "job.ipynb")).text
            compile(text, "<worker>", "exec", dont_inherit=True)
