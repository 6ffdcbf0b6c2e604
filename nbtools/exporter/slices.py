"""The backward slice of an export: the statements of unmarked cells that it needs, and no others.

A name that is read while the file is imported takes its meaning from the statements before; one
that a function reads, from those before the exported cell that led to it, or else from the first
one after.  What changes a value is taken like what binds it: `rows.append(1)`, `table["a"] = 1`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nbtools.errors import Diagnostic
from nbtools.exporter.analysis import BUILTINS, Read, names_of
from nbtools.exporter.bindings import bindings
from nbtools.exporter.code import Code, parse_leniently
from nbtools.exporter.importing import immediate
from nbtools.exporter.literal import DEFINE_CONFIG, states_config
from nbtools.exporter.magics import drop_magics
from nbtools.exporter.policy import MagicPolicy
from nbtools.exporter.roles import Marked

__all__ = ["Slice", "Taken"]

# Methods that people call for what they show; any other bare call may change its object.
_SHOW = frozenset({
    "boxplot", "corr", "count", "describe", "display", "head", "hist", "index", "info", "items",
    "keys", "mean", "nunique", "plot", "predict", "sample", "score", "show", "sum", "summary",
    "tail", "value_counts", "values",
})  # fmt: skip
_CHANGE_ARGUMENT = frozenset({"heapify", "heappush", "heappop", "shuffle", "setattr", "insort"})
_Position = tuple[int, int]  # cell and line


class Taken(NamedTuple):
    """Lines that were taken from an unmarked cell, and the names that they were taken for."""

    cell: int
    first: int
    last: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        is_one = self.first == self.last
        lines = f"line {self.first}" if is_one else f"lines {self.first}-{self.last}"
        return f"cell {self.cell}, {lines}: taken for {', '.join(map(repr, self.names))}"


class _Unit:
    """Top-level statements that can only be taken together, because they share lines."""

    def __init__(self, marked: Marked, statements: list[ast.stmt]) -> None:
        self.marked = marked
        self.statements = statements
        self.first = min(map(_first_line, statements))
        self.last = max(each.end_lineno or each.lineno for each in statements)
        names = names_of(ast.Module(statements, []))
        self.binds, self.reads = names.binds, names.reads
        self.always_binds = {name for each in statements for name in _always_binds(each)}
        self.changes = {name for each in statements for name in _changes(each)}
        self.wanted: set[str] = set()

    @property
    def position(self) -> _Position:
        return (self.marked.cell.number, self.first)


class Slice:
    """What the exported cells need from the others, gathered need by need.

    Args:
        marked: Every cell of the notebook.
        codes: The exported cells.
        given: Names that need no definition, besides Python's own.
        policy: What becomes of magics in what is taken.
    """

    def __init__(
        self,
        marked: list[Marked],
        codes: list[Code],
        given: Iterable[str],
        policy: MagicPolicy,
        *,
        lazy_annotations: bool = False,
    ) -> None:
        self._given = BUILTINS | frozenset(given)
        self._lazy_annotations = lazy_annotations
        self._policy = policy
        self._exported: dict[str, list[int]] = {}
        for code in codes:
            for name in code.names(lazy_annotations=lazy_annotations).binds:
                self._exported.setdefault(name, []).append(code.number)
        self._touching: dict[str, list[_Unit]] = {}
        for unit in _units(marked, policy):
            for name in unit.binds.keys() | unit.changes:
                self._touching.setdefault(name, []).append(unit)
        self._taken: list[_Unit] = []

    def need_for_config(self, codes: list[Code]) -> None:
        """Take the constants that the config names."""
        for code in codes:
            for statement in code.body if code.role == "config" else ():
                if states_config(statement):
                    reads = names_of(ast.Module([statement], [])).reads
                    self._need((r for r in reads if r.name not in DEFINE_CONFIG), code.number)

    def need_for_cells(self, codes: list[Code]) -> None:
        """Take what the exported cells read and do not define."""
        for code in codes:
            self._need(code.names(lazy_annotations=self._lazy_annotations).reads, code.number)

    def codes(self, found: list[Diagnostic]) -> list[Code]:
        """Return what was taken as cells of the role `deps`; a magic among it is a finding."""
        cells: dict[int, list[_Unit]] = {}
        for unit in self._in_order():
            cells.setdefault(unit.marked.cell.number, []).append(unit)
        return [_code(units, self._policy, found) for units in cells.values()]

    @property
    def taken(self) -> tuple[Taken, ...]:
        """What was taken, in the order of the notebook."""
        return tuple(
            Taken(unit.position[0], unit.first, unit.last, tuple(sorted(unit.wanted)))
            for unit in self._in_order()
        )

    def _need(self, reads: Iterable[Read], cell: int) -> None:
        todo = [(read, (cell, 0), (cell, 0)) for read in reads if not self._is_known(read, cell)]
        while todo:
            read, at, horizon = todo.pop()
            for unit in self._meaning(read, horizon if read.is_deferred else at):
                unit.wanted.add(read.name)
                if unit not in self._taken:
                    self._taken.append(unit)
                    todo += [(each, unit.position, horizon) for each in unit.reads]

    def _in_order(self) -> list[_Unit]:
        return sorted(self._taken, key=lambda unit: unit.position)

    def _is_known(self, read: Read, cell: int) -> bool:
        defined = self._exported.get(read.name, [])
        return read.name in self._given or any(
            read.is_deferred or number < cell for number in defined
        )

    def _meaning(self, read: Read, before: _Position) -> list[_Unit]:
        """Return the statements that give a name its meaning; none when a cell or Python does."""
        name = read.name
        touching = self._touching.get(name, [])
        exported = [number for number in self._exported.get(name, []) if number < before[0]]
        chosen: list[_Unit] = []
        for unit in reversed([each for each in touching if each.position < before]):
            if exported and exported[-1] > unit.position[0]:
                break  # what is exported defines it later
            chosen.append(unit)
            if name in unit.always_binds:
                break
        binding = [unit for unit in chosen if name in unit.binds]
        if binding:
            kind = binding[-1].binds[name][1]
            return chosen if kind == "value" else binding
        if exported or not read.is_deferred or name in self._exported or name in self._given:
            return []
        return [unit for unit in touching if name in unit.binds][:1]  # stands further down


def _units(marked: list[Marked], policy: MagicPolicy) -> Iterator[_Unit]:
    for each in marked:
        is_other = each.cell.language and each.cell.language.lower() not in {"python", "ipython"}
        if each.role or each.cell.kind != "code" or is_other:
            continue
        tree = parse_leniently(each.cell.source, policy)
        group: list[ast.stmt] = []
        for statement in tree.body if tree else ():
            if group and _first_line(statement) > (group[-1].end_lineno or 0):
                yield _Unit(each, group)
                group = []
            group.append(statement)
        if group:
            yield _Unit(each, group)


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])


def _code(units: list[_Unit], policy: MagicPolicy, found: list[Diagnostic]) -> Code:
    cell = units[0].marked.cell
    text, magics = cell.source, list[Diagnostic]()
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        text, magics = drop_magics(text, cell.number, policy)
    body = [statement for unit in units for statement in unit.statements]
    code = Code(Marked(cell, "deps", ()), text, body)
    code.parts = _joined((unit.first, unit.last) for unit in units)
    found += [
        magic for magic in magics if any(first <= magic.line <= last for first, last in code.parts)
    ]
    return code


def _joined(parts: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in parts:
        if joined and joined[-1][1] + 1 == first:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def _always_binds(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds whichever way it goes."""
    match statement:
        case ast.If(body=body, orelse=orelse):
            return _all_of(body) & _all_of(orelse)
        case ast.Try(body=body, handlers=handlers, finalbody=final):
            ways = [_all_of(body), *(_all_of(each.body) for each in handlers if not _leaves(each))]
            return set.intersection(*ways) | _all_of(final)
        case ast.For() | ast.AsyncFor() | ast.While() | ast.Match() | ast.Delete():
            return set()
        case _:
            return {name for name, _, _ in bindings([statement])}


def _all_of(body: list[ast.stmt]) -> set[str]:
    return {name for statement in body for name in _always_binds(statement)}


def _leaves(handler: ast.ExceptHandler) -> bool:
    return isinstance(handler.body[-1], ast.Raise)


def _changes(statement: ast.stmt) -> Iterator[str]:
    """Yield the names whose objects a statement changes, or may change."""
    for node in immediate([statement]):
        if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            yield from _root(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from _changed_by(node.value)


def _changed_by(call: ast.Call) -> Iterator[str]:
    function = call.func
    called = getattr(function, "attr", getattr(function, "id", ""))
    if called in _CHANGE_ARGUMENT:
        yield from _root(call.args[0]) if call.args else ()
    elif isinstance(function, ast.Attribute) and called not in _SHOW:
        yield from _root(function.value)


def _root(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
