"""Which tests say in their docstrings that they show a numbered promise."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from pathlib import Path

TESTS = Path(__file__).parent

Finder = Callable[[str], Iterable[str]]
"""Returns the promises that a docstring names."""


def cited(folders: Iterable[str], find: Finder) -> dict[str, set[str]]:
    """Return for each promise the tests that cite it, by their module or by themselves."""
    found: dict[str, set[str]] = {}
    for path in sorted(path for folder in folders for path in (TESTS / folder).rglob("test_*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        nodes = [
            each
            for each in ast.walk(tree)
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        tests = [each for each in nodes if each.name.startswith("test_")]
        for promise in find(ast.get_docstring(tree) or ""):
            found.setdefault(promise, set()).update(each.name for each in tests)
        for each in tests:
            for promise in find(ast.get_docstring(each) or ""):
                found.setdefault(promise, set()).add(each.name)
    return found
