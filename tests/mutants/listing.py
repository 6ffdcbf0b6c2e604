"""The list of mutants: small changes to the code, each of which breaks one promise."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Mutant:
    """One change, and the tests that must fail when it is made.

    Attributes:
        room: The list that it stands in, the name of a file of this folder.
        promise: What users rely on and what the change breaks.
        file: The file to change, relative to the project.
        find: The text to replace. It occurs exactly once in the file.
        put: The text to put in its place.
        tests: Ids of tests as pytest has them, `tests/rpc/test_values.py::test_name`.
        row: How the row of the README begins that makes the promise, if one does.
    """

    room: str
    promise: str
    file: str
    find: str
    put: str
    tests: tuple[str, ...]
    row: str = ""

    @property
    def label(self) -> str:
        """Where the change is and what it removes, on one line."""
        return f"{self.file}: {' '.join(self.find.split())[:60]}"

    def applied(self, root: Path) -> str:
        """Return the text of the file with the change.

        Args:
            root: The folder of the project.

        Raises:
            LookupError: If the text to replace does not occur exactly once.
        """
        path = root / self.file
        text = path.read_text("utf-8") if path.is_file() else ""
        if (count := text.count(self.find)) != 1:
            raise LookupError(f"{self.label}: occurs {count} times, must occur once")
        return text.replace(self.find, self.put)


def read(folder: Path = HERE) -> list[Mutant]:
    """Read all lists of a folder, sorted by their names."""
    return [
        Mutant(room=path.stem, **{**each, "tests": tuple(each["tests"])})
        for path in sorted(folder.glob("*.toml"))
        for each in tomllib.loads(path.read_text("utf-8"))["mutant"]
    ]


def chosen(mutants: Iterable[Mutant], words: Iterable[str]) -> list[Mutant]:
    """Return the mutants that have any of the words in their room, promise, file or tests."""
    asked = [word.casefold() for word in words]

    def text(mutant: Mutant) -> str:
        return " ".join((f"{mutant.room}:", mutant.promise, mutant.label, *mutant.tests)).casefold()

    return [each for each in mutants if not asked or any(word in text(each) for word in asked)]


def missing_tests(mutant: Mutant, root: Path) -> list[str]:
    """Return the tests of a mutant that are not in the files that they name."""
    return [each for each in mutant.tests if not _is_there(root, each)]


def _is_there(root: Path, test: str) -> bool:
    file, _, name = test.partition("::")
    path = root / file
    return path.is_file() and name.partition("[")[0] in _functions(path)


@cache
def _functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text("utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(each.name for each in tree.body if isinstance(each, kinds))
