"""What the exporter says of names, held against running the cells."""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyflakes.checker
import pyflakes.messages
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtools import cli
from nbtools.exporter.code import Code
from nbtools.exporter.policy import MagicPolicy
from nbtools.exporter.roles import Marked
from nbtools.exporter.standalone import check_names
from nbtools.notebook import Cell

Write = Callable[..., Path]

_NAMES = st.sampled_from(["a", "b", "c", "f", "g"])
# True or false, and the text does not show which.
_CONDITIONS = st.sampled_from(["int('1')", "int('0')"])
_ITEMS = st.sampled_from(["list('xy')", "list('')", "range(2)", "[1]"])
_CAUGHT = st.sampled_from(["", " Exception", " NameError", " KeyError", " (NameError, KeyError)"])


# What a statement looks like: `{n}` and `{o}` are names, `{c}` a condition, `{i}` what a loop goes
# over, `{e}` what is caught, `{b}` and `{d}` blocks.
_SIMPLE = [
    "{n} = 1", "{n} = 1", "{n} = {o}", "{n} += 1 if {n} == 1 else 0", "import math as {n}",
    "del {n}", "next(calls, 0) and callable({n}) and {n}()", "({n} := {o})",
    "{n} = [{o} for {n} in {i}]",
]  # fmt: skip
_BLOCKS = [
    "if {c}:\n{b}", "if {c}:\n{b}\nelse:\n{d}", "try:\n{b}\nexcept{e}:\n{d}",
    "with open('/dev/null') as {n}:\n{b}", "with contextlib.suppress(KeyError):\n{b}",
    "match {c}:\n    case 1:\n    {b}\n    case {n}: pass",
]  # fmt: skip
_LOOPS = ["for {n} in {i}:\n{b}", "while {c} and next(turns, 0):\n{b}"]
_DEFINITIONS = ["{n} = lambda: {o}", "class {n}:\n    def __init__(self): {o}"]


@st.composite
def _statement(draw: Any, depth: int = 2, where: str = "module") -> str:
    simple = {
        "module": ["if {c}: raise KeyError"] if depth < 2 else [],
        "loop": ["if {c}: break", "if {c}: continue"],
        "function": ["if {c}: return", "global {n}\n{n} = 2"],
    }
    forms = [*_SIMPLE, *simple[where], *(_BLOCKS if depth else [])]
    forms += _LOOPS if depth and where != "function" else []
    forms += [*_DEFINITIONS, "def {n}():\n{b}"] if depth and where == "module" else []
    form: str = draw(st.sampled_from(forms))
    inside = "loop" if form in _LOOPS else "function" if form.startswith("def") else where
    blocks = [
        draw(st.lists(_statement(depth - 1, inside), min_size=1, max_size=3))
        if part in form
        else []
        for part in ("{b}", "{d}")
    ]
    indent = "        " if form.startswith("match") else "    "
    body, other = (
        "\n".join(f"{indent}{line}" for each in block for line in each.split("\n"))
        for block in blocks
    )
    return form.format(
        n=draw(_NAMES), o=draw(_NAMES), c=draw(_CONDITIONS), i=draw(_ITEMS), e=draw(_CAUGHT),
        b=body.removeprefix("    ") if form.startswith("match") else body, d=other,
    )  # fmt: skip


_PRELUDE = "import contextlib\nturns, calls = iter([1] * 5), iter([1] * 9)"


@st.composite
def _cells(draw: Any) -> list[str]:
    cells = draw(st.lists(st.lists(_statement(), min_size=1, max_size=3), min_size=1, max_size=4))
    return ["\n".join(each) for each in cells]


def _parses(cell: str) -> bool:
    try:
        compile(cell, "<cell>", "exec")
    except SyntaxError:
        return False
    return True


def _run(cells: list[str]) -> str:
    """Run cells in one namespace; return the name of what they raise, or would when called."""
    space: dict[str, Any] = {"__name__": "worker"}
    exec(_PRELUDE, space)
    for cell in cells:
        try:
            exec(compile(cell, "<cell>", "exec"), space)
        except Exception as error:  # noqa: BLE001 whatever the generated code raises
            return type(error).__name__
    return "" if _functions_find_their_names(cells, space) else "NameError"


def _functions_find_their_names(cells: list[str], space: dict[str, Any]) -> bool:
    """Return whether what functions read is there at the end, called or not."""
    tables = [symtable.symtable("\n".join(cells), "<cells>", "exec")]
    late = set[str]()
    for table in tables:
        tables += table.get_children()
        if table.get_type() == "function" and not table.get_name().endswith("comp"):
            late.update(each.get_name() for each in table.get_symbols() if each.is_global())
    return late <= space.keys() | set(dir(builtins))


def _said(cells: list[str], marked: list[bool]) -> list[str]:
    """Return the names that the exporter reports when only some cells are exported."""
    all_cells = [
        Marked(Cell(number, "code", text, (), {}, None), "export" if is_marked else None, ())
        for number, (text, is_marked) in enumerate(zip(cells, marked, strict=False), 1)
    ]
    codes = [
        Code(each, each.cell.source, ast.parse(each.cell.source).body)
        for each in all_cells
        if each.role
    ]
    found: list[Any] = []
    given_names = frozenset({"contextlib", "turns", "calls"})
    check_names(
        codes, all_cells, given_names, MagicPolicy("x.ipynb"), found, lazy_annotations=False
    )
    return [f"{each.code} {each.message}" for each in found if not each.is_warning]


def _undefined_to_pyflakes(cells: list[str]) -> set[str]:
    tree = ast.parse("\n".join([_PRELUDE, *cells]))
    return {
        each.message_args[0]
        for each in pyflakes.checker.Checker(tree).messages
        if isinstance(each, pyflakes.messages.UndefinedName)
    }


@settings(max_examples=200, deadline=None)
@given(_cells())
def test_a_notebook_that_runs_and_is_exported_whole_is_not_refused(cells: list[str]) -> None:
    """A branch that is never taken may still hold what pyflakes calls undefined."""
    cells = [cell for cell in cells if _parses(cell)]
    if cells and not _run(cells):
        # What nothing defines can only stand where nothing runs, and is said all the same.
        said = [each for each in _said(cells, [True] * 9) if not each.startswith("NQ206")]
        names = {each.partition("'")[2].partition("'")[0] for each in said}
        assert names <= _undefined_to_pyflakes(cells), "\n---\n".join(cells)


@settings(max_examples=200, deadline=None)
@given(_cells(), st.lists(st.booleans(), min_size=4, max_size=4))
def test_a_name_that_only_an_unmarked_cell_defines_is_reported(
    cells: list[str], chosen: list[bool]
) -> None:
    cells = [cell for cell in cells if _parses(cell)]
    marked = chosen[: len(cells)]
    exported = [cell for cell, is_marked in zip(cells, marked, strict=True) if is_marked]
    if exported and not _run(cells) and _run(exported) == "NameError":
        assert _said(cells, marked), "\n---\n".join(map(str, zip(cells, marked, strict=True)))


# Cells (a first line `+` exports one), and what is said.
_SAID = {
    "a use that a broad except hides": (
        "def conv(x): return x",
        "+def use(x):\n    try: return conv(x)\n    except Exception: return None",
        "NQ205 'conv' is defined in cell 2",
    ),
    "a use that a bare except hides, of what nothing defines": (
        "pass", "+try:\n    y = nothing\nexcept:\n    y = 1", "NQ206 'nothing' is not defined",
    ),
    "a loop that reads before it binds": (
        "total = 0", "+for i in range(3): total += i", "NQ205 'total' is defined in cell 2",
    ),
    "a name that only a branch binds": (
        "scale = 2", "+import sys\nif sys.argv: scale = 1\nprint(scale)",
        "NQ205 'scale' is defined in cell 2, which is not exported, and here on some paths only",
    ),
    "a name that is deleted": ("x = 1", "+x = 2\ndel x\ny = x", "NQ205 'x' is defined in cell 2"),
    "a function that is called before what it reads": (
        "pass", "+def f(): return later()\ny = f()\ndef later(): ...",
        "NQ207 uses 'later' before it is defined; it is called in cell 3, line 2",
    ),
    "a name bound by %time": (
        "%time x = 1", "+y = x", "NQ205 'x' is defined in cell 2",
    ),
    "a name bound by %%capture": (
        "%%capture out\nx = 1", "+y = out", "NQ205 'out' is defined in cell 2",
    ),
    "a name that a star import may bind": (
        "from math import *", "+y = pi",
        "NQ206 'pi' is not defined in any cell that shows what it defines",
    ),
    "a name that %run may bind": (
        "%run helpers.py", "+y = pi",
        "NQ206 'pi' is not defined in any cell that shows what it defines",
    ),
    "a name in a query": (
        "cut = 3", "+def top(df): return df.query('a > @cut')", "NQ205 'cut' is defined in cell 2",
    ),
    "a name in a query that is put together": (
        "cut = 3", "+def top(df, c): return df.query(f'{c} > @cut')",
        "NQ205 'cut' is defined in cell 2",
    ),
    "a table in SQL": (
        "rows = 3", "+def top(con): return con.sql('select * FROM rows')",
        "NQ205 'rows' is defined in cell 2",
    ),
    "nothing of %%timeit": ("%%timeit\nx = 1", "+y = x", "NQ206 'x' is not defined in any cell"),
}  # fmt: skip


@pytest.mark.parametrize("name", _SAID)
def test_what_is_said_of_a_name(name: str, write_notebook: Write, capsys: Any) -> None:
    *cells, said = _SAID[name]
    path = write_notebook(
        *(("nq-export" if cell.startswith("+") else "", cell.lstrip("+")) for cell in cells)
    )

    assert cli.main([str(path)]) == 1
    assert said in capsys.readouterr().err


_NOT_SAID = {
    "a name that is expected to be missing": "+try: unicode\nexcept NameError: unicode = str",
    "what exists in Jupyter only, expected": "+try: get_ipython()\nexcept Exception: pass",
    "a name that is looked for": "+if 'seen' in globals(): print(seen)\nseen = 1",
    "what an import falls back to": "+try: import numpy as np\nexcept ImportError: np = None\nnp",
    "an address in a text": "+def f(c): return c.query('a@example.org @nobody from nowhere')",
    "a parameter in a query": "+def f(df, cut): return df.query('a > @cut')",
    "a later turn's name": "+for i in range(2):\n    if i: print(before)\n    before = i",
}


@pytest.mark.parametrize("name", _NOT_SAID)
def test_nothing_is_said_of(name: str, write_notebook: Write, capsys: Any) -> None:
    path = write_notebook(("nq-export", _NOT_SAID[name].lstrip("+")))

    assert cli.main([str(path)]) == 0, capsys.readouterr().err
