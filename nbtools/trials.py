"""The try-outs of a notebook: what its cells call the handler with, read without running them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nbtools.errors import Diagnostic
from nbtools.exporter.code import parse_leniently
from nbtools.exporter.literal import Constants, NotLiteralError
from nbtools.exporter.policy import MagicPolicy
from nbtools.exporter.roles import Marked, assign_roles
from nbtools.notebook import Notebook

__all__ = ["Trial", "find_trials"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One call of `run_local` with literals: where it is, and what it passes."""

    data: Any
    state: dict[str, Any] = field(default_factory=dict)
    cell: int = 0
    line: int = 0


def find_trials(notebook: Notebook, handler: str) -> tuple[list[Trial], list[Diagnostic]]:
    """Return the calls `run_local(handler, <literal>)` of a notebook, and which are none.

    Cells marked as tests are looked at; when there are none, those without a role.
    """
    marked, _ = assign_roles(notebook)
    code = [each for each in marked if each.cell.kind == "code"]
    role = "test" if any(each.role == "test" for each in code) else None
    policy = MagicPolicy(notebook.file)
    constants, trials, found = Constants(), list[Trial](), list[Diagnostic]()
    for each in code:
        tree = parse_leniently(each.cell.source, policy) if each.role != "skip" else None
        for statement in tree.body if tree else ():
            if each.role == role:
                for call in _calls(statement, handler):
                    _read(call, constants, each, trials, found)
            constants.learn(statement)
    return trials, found


def _calls(statement: ast.stmt, handler: str) -> Iterator[ast.Call]:
    for node in ast.walk(statement):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        first = node.args[0]
        if called == "run_local" and isinstance(first, ast.Name) and first.id == handler:
            yield node


def _read(
    call: ast.Call,
    constants: Constants,
    marked: Marked,
    trials: list[Trial],
    found: list[Diagnostic],
) -> None:
    stated: dict[str | None, ast.expr] = {each.arg: each.value for each in call.keywords}
    if len(call.args) > 1:
        stated["data"] = call.args[1]
    cell, odd = marked.cell.number, stated.keys() - {"data", "state"}
    reason = f"it passes {min(map(str, odd))}=" if odd else ""
    values: dict[str, Any] = {}
    try:
        values = {str(name): constants.fold(value) for name, value in stated.items() if not odd}
    except NotLiteralError as problem:
        reason = f"'{ast.unparse(problem.node)[:60]}' is computed by running code"
    if reason:
        message = f"a try-out is not replayed: {reason}"
        fix = "write the values themselves, or give the input with --data"
        found.append(Diagnostic("NQ503", message, fix, cell, call.lineno, is_warning=True))
        return
    trials.append(Trial(values.get("data"), values.get("state") or {}, cell, call.lineno))
