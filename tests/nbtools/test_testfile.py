"""Cells marked as tests become a test file, outside the folder of the workers (exporter R25)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nbtools import cli
from nbtools.exporter import where_in

Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]

CONFIG = ("nq-config", 'config = {"queue": "greet"}')
HANDLER = (
    "nq-handler",
    (
        "async def handler(job, ctx):\n"
        "    await ctx.state.set('n', 1)\n"
        "    return {'text': f\"Hello {job['data']['name']}\"}"
    ),
)
UNMARKED = ("", "import math\nfrom nbtools import run_local\nprint('a look')")
AWAITS = (
    "nq-test",
    (
        'text = """\n   kept\nas it is"""\n'
        "run = await run_local(handler, {'name': 'Ada'})\n"
        "assert run.result == {'text': 'Hello Ada'}"
    ),
)
SHARES = (
    "nq-test",
    (
        "#| a comment\nassert run.state == {'n': 1}\n\n"
        "assert text == '\\n   kept\\nas it is'\nx: int = int(math.pi)\nassert x == 3"
    ),
)
DEFINES = (
    "nq-test",
    "import pytest\n\n@pytest.mark.parametrize('n', [1, 2])\ndef test_n(n):\n    assert n < 3\n",
)


@pytest.fixture(autouse=True)
def _in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _export(write: Write, *cells: tuple[str, str], options: tuple[str, ...] = ()) -> int:
    write(CONFIG, HANDLER, *cells, name="greet.ipynb", bare=True)
    return cli.main(["-o", "workers", "--tests", "tests", *options, "greet.ipynb"])


def _pytest(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "pytest", "-p", "no:cacheprovider", "tests"]
    return subprocess.run(
        [*command, *options],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # they take seconds to load
    )


def test_test_cells_become_tests_that_pass(write_notebook: Write, capsys: Capture) -> None:
    """R25: awaiting, sharing names as in the notebook, with the imports that they need."""
    assert _export(write_notebook, UNMARKED, AWAITS, SHARES, DEFINES) == 0
    assert capsys.readouterr().out.splitlines()[1] == (
        "tests/test_greet.py  from greet.ipynb, 4 cells"
    )
    assert [path.name for path in Path("workers").iterdir()] == ["greet.py"]
    done = _pytest("-q", "-rA")
    assert "4 passed" in done.stdout
    assert "test_cell_4" in done.stdout
    assert "a look" not in Path("tests/test_greet.py").read_text()


def test_every_line_of_a_test_finds_its_way_back(write_notebook: Write) -> None:
    """R14."""
    assert _export(write_notebook, UNMARKED, AWAITS, SHARES, DEFINES) == 0
    text = Path("tests/test_greet.py").read_text()
    sources = {3: UNMARKED[1], 4: AWAITS[1], 5: SHARES[1], 6: DEFINES[1]}
    seen = set()
    for number, line in enumerate(text.split("\n"), 1):
        place = where_in(text, number)
        if place:
            written = sources[place.cell].split("\n")[place.line - 1]
            assert line in {written, f"    {written}"}
            seen.add((place.cell, place.line))
    assert seen >= {(4, line) for line in range(1, 6)} | {(5, line) for line in range(1, 7)}


def test_a_failing_test_fails(write_notebook: Write) -> None:
    cells = (UNMARKED, ("nq-test", AWAITS[1].replace("Hello Ada", "Bye")))
    assert _export(write_notebook, *cells) == 0
    assert "1 failed" in _pytest("-q").stdout


def test_a_current_test_file_is_not_touched_and_an_edited_one_is_kept(
    write_notebook: Write, capsys: Capture
) -> None:
    """R17, R18."""
    assert _export(write_notebook, UNMARKED, AWAITS, options=("--check",)) == 1
    assert not Path("tests").exists()
    assert _export(write_notebook, UNMARKED, AWAITS) == 0
    before = Path("tests/test_greet.py").stat().st_mtime_ns
    assert _export(write_notebook, UNMARKED, AWAITS) == 0
    assert _export(write_notebook, UNMARKED, AWAITS, options=("--check",)) == 0
    assert Path("tests/test_greet.py").stat().st_mtime_ns == before
    capsys.readouterr()
    with Path("tests/test_greet.py").open("a") as file:
        file.write("# mine\n")
    assert _export(write_notebook, UNMARKED, AWAITS) == 1
    assert "NQ402 tests/test_greet.py was changed by hand" in capsys.readouterr().err


def test_tests_below_the_workers_are_refused(write_notebook: Write, capsys: Capture) -> None:
    """R13, host-contract 1.1: every .py there is taken for a worker."""
    write_notebook(CONFIG, HANDLER, UNMARKED, AWAITS, name="greet.ipynb", bare=True)
    for tests in ("workers", "workers/tests", "x/../workers/deep"):
        assert cli.main(["greet.ipynb", "-o", "workers", "--tests", tests]) == 1
        assert "NQ408 " in capsys.readouterr().err
    assert [path.name for path in Path("workers").iterdir()] == ["greet.py"]


@pytest.mark.parametrize(
    ("source", "code", "line"),
    [
        ("x = 1\nassert undefined_here", "NQ206", 2),
        ("display(1)", "NQ206", 1),
        ("!ls", "NQ203", 1),
        ("from os import *", "NQ214", 1),
        ("x = 1\nyield x", "NQ201", 2),
        ("import asyncio\ndef test_a(): ...\nawait asyncio.sleep(0)", "NQ204", 0),
    ],
)
def test_a_cell_that_is_no_test_in_a_file_is_refused_at_its_line(
    source: str, code: str, line: int, write_notebook: Write, capsys: Capture
) -> None:
    assert _export(write_notebook, ("nq-test", source)) == 1
    place = f", line {line}" if line else ""
    assert f"greet.ipynb, cell 3{place}: {code} " in capsys.readouterr().err
    assert not Path("tests").exists()


def test_a_notebook_without_test_cells_makes_none(write_notebook: Write, capsys: Capture) -> None:
    assert _export(write_notebook) == 0
    assert "no cell is marked nq-test" in capsys.readouterr().err
    assert not Path("tests").exists()
