"""No pattern that meets foreign text takes longer than the text is long.

Each is given tens of thousands of characters that it could stumble over.  A pattern that looks at
every part of a text once for each other part would take minutes, and the test would not end.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import nbtools
import nuxt_queue
from nbtools.exporter.magics import forget_magics
from nbtools.exporter.roles import assign_roles
from nbtools.notebook import Cell, Notebook

_LENGTH = 100_000
# What a text repeats, and what it begins with.
_REPEATED = [
    *" \t\na0_-.=?*/:@#%!,[]({\"'\\", '"""', "'''", "# ", "#\n", "a=", "a.", "a b", " a", "eyJ",
    "-eyJ", "://", "://a:", "password ", "password=", "# /// script\n", "# a\n", "f(1)\n",
    "x = [\n", "\\\n", "  [", '", line 1, in ', "NQ123 ", "1, ", "\u3000", "\x85", "@a", "FROM ",
    "a[", "a]",
]  # fmt: skip
_BEGINNINGS = [
    "", "#", "#|", "#| nq", "# nq", "#| nq:", "# %%", "%", "%%", "x =", "x[", '"', 'File "',
    '  File "a", line 1, in ', "# /// script\n", "# notebook: ", "# source: 0", "cell 1", "//",
    "sk-", "eyJ", "-----BEGIN ",
]  # fmt: skip


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    """Import the modules that have patterns; others may be programs that begin at once."""
    folder = Path(package.__path__[0])
    for path in sorted(folder.rglob("*.py")):
        if "re.compile(" in path.read_text("utf-8"):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            yield importlib.import_module(".".join(parts))


def _uses(module: ModuleType, name: str) -> set[str]:
    """Return with which methods a module uses its pattern."""
    source = Path(str(module.__file__)).read_text("utf-8")
    return set(re.findall(rf"\b{name}\.(\w+)\(", source)) or {"finditer"}


PATTERNS = {
    f"{module.__name__}.{name}": (pattern, _uses(module, name))
    for package in (nuxt_queue, nbtools)
    for module in _modules(package)
    for name, pattern in vars(module).items()
    if isinstance(pattern, re.Pattern)
}


def test_the_patterns_are_found() -> None:
    assert len(PATTERNS) >= 30


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_a_pattern_takes_as_long_as_its_text(name: str) -> None:
    pattern, uses = PATTERNS[name]
    only_at_the_start = uses <= {"match", "fullmatch"}
    for beginning in _BEGINNINGS if only_at_the_start else [""]:
        for repeated in _REPEATED:
            text = beginning + repeated * (_LENGTH // len(repeated)) + "\x00"
            subject = text if isinstance(pattern.pattern, str) else text.encode()
            if only_at_the_start:
                pattern.match(subject)
            else:
                all(pattern.finditer(subject))


@pytest.mark.parametrize("line", ["f(1)", "x = [1,", "s = '''", "a = 1  # (", "%time x", "!ls \\"])
def test_a_cell_with_magics_takes_as_long_as_it_is(line: str) -> None:
    source = "%matplotlib inline\n" + f"{line}\n" * (500_000 // len(line))
    assert forget_magics(source, None)


@pytest.mark.parametrize("line", ["#| nq" + " " * 500_000 + "x", "#" + " " * 500_000 + "nq"])
def test_a_first_line_takes_as_long_as_it_is(line: str) -> None:
    cell = Cell(1, "code", line, (), {}, None)
    marked, _ = assign_roles(Notebook("a.ipynb", (cell,)))
    assert marked[0].role is None
