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
from nbtools.exporter.effects import Effects, Program, states_read
from nbtools.exporter.literal import DEFINE_CONFIG, states_config
from nbtools.exporter.magics import drop_magics
from nbtools.exporter.policy import MagicPolicy
from nbtools.exporter.roles import Marked

__all__ = ["Slice", "Taken"]

# State that anything may read, also where the worker does not name its module.
_SHARED = {"os": "os.environ", "sys": "sys.path", "locale": "locale"}
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
        self.effects = Effects()
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
        self._codes = codes
        self._exported: dict[str, list[int]] = {}
        for code in codes:
            for name in code.names(lazy_annotations=lazy_annotations).binds:
                self._exported.setdefault(name, []).append(code.number)
        self._units = list(_units(marked, policy))
        in_order: list[tuple[_Position, list[ast.stmt], _Unit | None]] = [
            *((unit.position, unit.statements, unit) for unit in self._units),
            *(((code.number, 0), code.body, None) for code in codes),
        ]
        in_order.sort(key=lambda each: each[0])
        self._program = Program(statement for _, body, _ in in_order for statement in body)
        self._seeded: set[str] = set()
        self._touching: dict[str, list[_Unit]] = {}
        for _, body, unit in in_order:
            effects = self._program.effects(body)
            self._seeded |= effects.states
            if unit is not None:
                unit.effects = effects
                for name in unit.binds.keys() | effects.names:
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
        """Take what the exported cells read and do not define, and what changes it."""
        for code in codes:
            self._need(code.names(lazy_annotations=self._lazy_annotations).reads, code.number)
        last = max((code.number for code in codes), default=0)
        while self._need_states(codes, last):
            pass

    def _need_states(self, codes: list[Code], last: int) -> bool:
        """Take what sets the state of the libraries that are used; return whether there was any."""
        used = [statement for code in codes for statement in code.body]
        used += [statement for unit in self._taken for statement in unit.statements]
        read = states_read(used, self._program)
        before = len(self._taken)
        for unit in self._units:
            states = unit.effects.states | (unit.effects.draws & self._seeded)
            wanted = states & read
            if wanted and unit not in self._taken and unit.position[0] < last:
                unit.wanted |= wanted
                self._taken.append(unit)
                self._need(unit.reads, unit.position[0], unit.position)
        return len(self._taken) > before

    def doubts(self) -> list[Diagnostic]:
        """Return what may change what is used, and is not taken."""
        used = {
            read.name
            for code in self._codes
            for read in code.names(lazy_annotations=self._lazy_annotations).reads
        }
        used |= {read.name for unit in self._taken for read in unit.reads}
        used |= {name for unit in self._taken for name in unit.binds}
        last = max((code.number for code in self._codes), default=0)
        found = []
        for unit in self._units:
            number, line = unit.position
            if unit in self._taken or number >= last:
                continue
            changed = sorted(unit.effects.unsure & used - self._program.imports.keys())
            changed += sorted(_SHARED[each] for each in unit.effects.states & _SHARED.keys())
            for name in changed:
                message = f"may change '{name}' and is not taken"
                fix = "tag its cell nq-export if the worker needs what it does"
                found.append(Diagnostic("NQ223", message, fix, number, line, is_warning=True))
        return found

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

    def _need(self, reads: Iterable[Read], cell: int, at: _Position | None = None) -> None:
        place = at or (cell, 0)
        todo = [(read, place, place) for read in reads]
        done: set[tuple[int, _Position]] = set()
        while todo:
            read, here, horizon = todo.pop()
            if read.name in self._given and read.name not in self._touching:
                continue
            # What is called here reads its names here.
            called = horizon if read.is_deferred else here
            for unit in self._meaning(read, called):
                if (id(unit), called) in done:
                    continue
                done.add((id(unit), called))
                unit.wanted.add(read.name)
                if unit not in self._taken:
                    self._taken.append(unit)
                todo += [(each, unit.position, called) for each in unit.reads]

    def _in_order(self) -> list[_Unit]:
        return sorted(self._taken, key=lambda unit: unit.position)

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
        if any(name in unit.binds for unit in chosen) or exported:
            return chosen
        if not read.is_deferred or name in self._exported or name in self._given:
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
