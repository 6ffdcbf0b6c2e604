"""`--with-deps` takes what the marked cells need from unmarked ones, and no more (exporter R8)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbtools import cli
from nbtools.errors import ExportError
from nbtools.exporter import export_notebook, where_in

Write = Callable[..., Path]

# The unmarked cell (cell 2), what the marked cell after it says, and which lines are taken.
SLICES = {
    "an import": ("import os\nimport math\nprint(os.name)", "A = math.pi", "2"),
    "a chain": ("a = 1\nb = a + 1\nc = b + 1\nd = 9", "X = c", "1-3"),
    "a function and its names": (
        "import re\nimport os\nW = re.compile('x')\ndef f(t):\n    return W.match(t)\n\nf('x')",
        "X = f('a')",
        "1,3-5",
    ),
    "only the last meaning": ("x = 1\nx = 2\nx = 3", "Y = x", "3"),
    "an assignment that reads itself": ("x = 1\nx = x + 1\nx += 1\nx = 0 * x", "Y = x", "1-4"),
    "a branch": ("x = 1\nif x:\n    x = 2", "Y = x", "1-3"),
    "both branches": ("x = 1\nc = 1\nif c:\n    x = 2\nelse:\n    x = 3", "Y = x", "2-6"),
    "a fallback": ("np = 0\ntry:\n    import numpy as np\nexcept ImportError:\n    np = None",
                   "Y = np", "2-5"),
    "a try that may leave it": ("x = 0\ntry:\n    x = int('1')\nexcept ValueError:\n    pass",
                                "Y = x", "1-5"),
    "a loop": ("t = {}\nfor i in range(3):\n    t[i] = i\nprint(t)", "Y = t", "1-3"),
    "what changes it": ("r = []\nr.append(1)\nr[0] = 2\nr.index(2)\nprint(r)", "Y = r", "1-3"),
    "what changes an argument": (
        "import random\nr = [1, 2]\nrandom.shuffle(r)\nsorted(r)", "Y = r", "1-3"),
    "what configures a module": (
        "import numpy as np\nnp.set_printoptions()\nnp.ones(3).sum()", "Y = np.pi", "1-2"),
    "a decorator and a base": (
        "from functools import cache\nclass B: ...\n@cache\ndef f(): ...\nclass A(B):\n  g = f",
        "Y = A()", "1-6"),
    "a name in a later line of the same cell": (
        "def f(): return g()\nx = 1\ndef g(): return x\n", "def h(): return f()", "1-3"),
    "statements that share a line": ("import os; x = 1; y = 2\nz = 3", "Y = x", "1"),
    "a string of several lines": ('t = """\na\n  b"""\nu = 1', "Y = t", "1-3"),
    "a default, not a local": (
        "n = 2\nm = 3\ndef f(a=n):\n    m = a\n    return m", "Y = f()", "1,3-5"),
    "a comprehension": ("xs = [1]\nys = [x for x in xs]\nx = 5", "Y = ys", "1-2"),
    "an annotation": ("class T: ...\nU = 1", "def f(a: T): ...", "1"),
    "beside magics": ("%matplotlib inline\nimport math\n!ls\n%time x = 1", "Y = math.pi", "2"),
    "unpacking": ("a, (b, *c) = 1, (2, 3)\nd = 4", "Y = c", "1"),
    "a walrus": ("if (n := 3) > 2:\n    pass", "Y = n", "1-2"),
    "a with": ("import os\nwith open(os.devnull) as f:\n    text = f.read()", "Y = text", "1-3"),
    "nothing": ("import os\nprint(os.name)", "Y = 1", ""),
}  # fmt: skip


def _lines(taken: tuple[Any, ...]) -> str:
    numbers = sorted({n for each in taken for n in range(each.first, each.last + 1)})
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] + 1 == number:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)


@pytest.mark.parametrize("name", SLICES)
def test_exactly_what_is_needed_is_taken(name: str, write_notebook: Write) -> None:
    """R8: backward slice, statement by statement; every line of it finds its way back (R14)."""
    source, marked, lines = SLICES[name]
    exported = export_notebook(write_notebook(("", source), ("nq-export", marked)), with_deps=True)
    assert _lines(exported.taken) == lines
    assert {each.cell for each in exported.taken} <= {2}
    texts = exported.text.split("\n")
    for number, (cell, line) in exported.places.items():
        place = where_in(exported.text, number)
        assert place
        assert (place.cell, place.line) == (cell, line)
        if cell == 2:
            assert texts[number - 1] == source.split("\n")[line - 1]


@pytest.mark.parametrize("name", SLICES)
def test_what_is_taken_means_what_it_means_in_the_notebook(
    name: str, write_notebook: Write
) -> None:
    source, marked, _ = SLICES[name]
    if "%" in source:
        return  # a kernel's language
    exported = export_notebook(write_notebook(("", source), ("nq-export", marked)), with_deps=True)
    here: dict[str, Any] = {"__name__": "notebook", "__file__": "x"}
    there = dict(here)
    exec(f"{source}\n{marked}", here)
    exec(exported.text, there)
    for key in ("Y", "X"):
        if isinstance(here.get(key), str | int | list | dict):
            assert name == "what changes an argument" or here[key] == there[key]


def test_names_of_functions_take_their_meaning_before_the_cell_that_needs_them(
    write_notebook: Write,
) -> None:
    """R8: a definition after the marked cell is a try-out, unless there is no other."""
    cells = (("", "x = 1"), ("nq-export", "def f(): return x, y"), ("", "x = 2\ny = 3"))
    exported = export_notebook(write_notebook(*cells), with_deps=True)
    assert [(each.cell, each.first, each.names) for each in exported.taken] == [
        (2, 1, ("x",)),
        (4, 2, ("y",)),
    ]


def test_what_a_marked_cell_defines_is_not_taken_from_another(write_notebook: Write) -> None:
    cells = (("", "x = 1"), ("nq-export", "x = 2"), ("", "y = x"), ("nq-export", "Z = y"))
    exported = export_notebook(write_notebook(*cells), with_deps=True)
    assert [each.cell for each in exported.taken] == [4]


def test_a_constant_of_the_config_is_taken(write_notebook: Write) -> None:
    exported = export_notebook(
        write_notebook(
            ("", "from nuxt_queue import define_config\nMINUTE = 60_000\nHOUR = 60 * MINUTE"),
            ("nq-config", "config = define_config({'worker': {'timeout': HOUR}})"),
            ("nq-handler", "def handler(job, ctx): ..."),
            bare=True,
        ),
        with_deps=True,
    )
    assert exported.config["worker"]["timeout"] == 3_600_000
    assert _lines(exported.taken) == "2-3"  # the config itself is a literal: it needs no function


def test_skipped_cells_and_tests_are_not_taken(write_notebook: Write) -> None:
    for tag in ("nq-skip", "nq-test"):
        notebook = write_notebook((tag, "x = 1"), ("nq-export", "Y = x"))
        with pytest.raises(ExportError, match="NQ205 'x' is defined in cell 2"):
            export_notebook(notebook, with_deps=True)


def test_what_cannot_be_taken_is_told_at_its_own_cell(write_notebook: Write) -> None:
    """R8: a magic, an await and a name of the kernel are refused where they stand."""
    for source, code, line in (
        ("import os\nfiles = !ls", "NQ203", 2),
        ("import asyncio\n\nfiles = await asyncio.sleep(0)", "NQ204", 3),
        ("files = get_ipython().x", "NQ206", 1),
        ("from . import files", "NQ208", 1),
    ):
        with pytest.raises(ExportError) as caught:
            export_notebook(
                write_notebook(("", source), ("nq-export", "Y = files")), with_deps=True
            )
        assert [(d.code, d.cell, d.line) for d in caught.value.diagnostics if not d.is_warning] == [
            (code, 2, line)
        ]


def test_the_command_says_what_it_took(
    write_notebook: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    notebook = write_notebook(("", "import math\n\n\ndef f():\n    return 1"),
                              ("nq-export", "A = math.pi + f()"))  # fmt: skip
    assert cli.main([str(notebook)]) == 1
    assert "NQ205 'math' is defined in cell 2" in capsys.readouterr().err
    assert cli.main(["--with-deps", str(notebook)]) == 0
    assert capsys.readouterr().err == (
        f"{notebook}, cell 2, line 1: taken for 'math'\n"
        f"{notebook}, cell 2, lines 4-5: taken for 'f'\n"
    )
    text = (tmp_path / "job.py").read_text()
    assert "# %% nq: cell 2, deps, " in text
    assert ", from line 4\ndef f():\n    return 1\n" in text
    assert cli.main(["--with-deps", "--check", str(notebook)]) == 0
