"""The statements that decide which paths a program takes, followed one after the other."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from nbtools.exporter.bindings import children
from nbtools.exporter.paths import ALWAYS, SOME, Change, Paths
from nbtools.exporter.syntax import (
    always_matches,
    caught_by,
    has_items,
    looked_for,
    suppressed_by,
)

__all__ = ["At", "Statements"]

_EXPECTS = frozenset({"NameError"})
_CATCHES = _EXPECTS | {"Exception", "BaseException"}


class _Loop:
    """A loop that is being followed.

    Attributes:
        mark: The point of `Paths` where its body begins.
        ends: What has changed at each `continue`.
        breaks: What has changed at each `break`.
    """

    def __init__(self, mark: int) -> None:
        self.mark = mark
        self.ends: list[Change | None] = []
        self.breaks: list[Change | None] = []


class At:
    """What stands around the statement that is followed, up to the function that it is in.

    Attributes:
        loops: The loops, the inner ones last.
        conditions: How many conditions have to hold for it to run.
        expected: How many `try` are written for a NameError.
        caught: How many `try` catch one, among others.
        tested: The names that conditions have looked for in `globals()`.
    """

    def __init__(self) -> None:
        self.loops: list[_Loop] = []
        self.conditions = self.expected = self.caught = 0
        self.tested: list[str] = []


class Statements(ast.NodeVisitor):
    """Follows statements; a subclass says what names mean.

    Args:
        paths: What is bound where the statements begin.
    """

    _visitors: ClassVar[dict[type[ast.AST], Callable[[Any, Any], None]]]

    def __init_subclass__(cls) -> None:
        cls._visitors = {}

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.module: dict[str, tuple[int, str]] = {}  # what the cell binds: line and kind
        self.at = At()

    @abstractmethod
    def _bind(self, name: str, line: int) -> None:
        """Note that a name is bound here."""

    @abstractmethod
    def _read(self, name: str, line: int) -> None:
        """Note that a name is read here."""

    @abstractmethod
    def _delete(self, name: str) -> None:
        """Note that a name is deleted here."""

    @abstractmethod
    def _is_late(self) -> bool:
        """Return whether the code runs when a function is called, not while the cells run."""

    @abstractmethod
    def _is_inner(self) -> bool:
        """Return whether the code stands in a scope of its own."""

    def visit(self, node: ast.AST) -> None:
        """Follow one node."""
        # What NodeVisitor does, without looking a method up by its name for every node.
        kind = node.__class__
        visitor = self._visitors.get(kind)
        if visitor is None:
            visitor = self._visitors[kind] = getattr(
                type(self), f"visit_{kind.__name__}", Statements._visit_all_in
            )
        visitor(self, node)

    def _visit_all_in(self, node: ast.AST) -> None:
        for child in children(node):
            self.visit(child)

    def _visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def _branch(self, nodes: Iterable[ast.AST], begin: Change | None = None) -> Change | None:
        """Follow statements that may run or not."""
        self.at.conditions += 1
        change = self.paths.follow(lambda: self._visit_all(nodes), begin)
        self.at.conditions -= 1
        return change

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        if isinstance(node.test, ast.Constant):
            self._visit_all(node.body if node.test.value else node.orelse)
            return
        tested = looked_for(node.test)
        self.at.tested += tested
        changes = [self._branch(node.body), self._branch(node.orelse)]
        self.paths.join(changes)
        del self.at.tested[len(self.at.tested) - len(tested) :]

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        tested = looked_for(node.test)
        self.at.tested += tested
        self.paths.join([self._branch([node.body]), self._branch([node.orelse])])
        del self.at.tested[len(self.at.tested) - len(tested) :]

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        first, *others = node.values
        self.visit(first)
        tested = looked_for(first)
        self.at.tested += tested
        self.paths.join([self._branch(others), {}])
        del self.at.tested[len(self.at.tested) - len(tested) :]

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._follow_loop(node, [node.target, *node.body], may_be_skipped=not has_items(node.iter))

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self.visit_For(node)

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        is_endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        self._follow_loop(node, node.body, may_be_skipped=not is_endless, is_endless=is_endless)

    def _follow_loop(
        self,
        node: ast.For | ast.AsyncFor | ast.While,
        body: list[ast.AST] | list[ast.stmt],
        *,
        may_be_skipped: bool,
        is_endless: bool = False,
    ) -> None:
        """Follow the first turn of a loop, and say what is bound behind it."""
        if self._is_late():
            self._visit_all([*body, *node.orelse])
            return
        loop = _Loop(self.paths.mark())

        def turn() -> None:
            loop.mark = self.paths.mark()
            self.at.loops.append(loop)
            self.at.conditions += may_be_skipped
            self._visit_all(body)
            self.at.conditions -= may_be_skipped
            self.at.loops.pop()

        end = self.paths.follow(turn)
        over = [] if is_endless else [end, *loop.ends, *([{}] if may_be_skipped else [])]

        def go_on() -> None:
            self.paths.join(over)
            self._visit_all(node.orelse)

        self.paths.join([self.paths.follow(go_on), *loop.breaks])

    def visit_Break(self, _node: ast.Break) -> None:
        self._end_turn(lambda loop: loop.breaks)

    def visit_Continue(self, _node: ast.Continue) -> None:
        self._end_turn(lambda loop: loop.ends)

    def _end_turn(self, of: Callable[[_Loop], list[Change | None]]) -> None:
        if self.at.loops and not self._is_late():
            loop = self.at.loops[-1]
            of(loop).append(self.paths.since(loop.mark))
            self.paths.is_reachable = False

    def visit_Raise(self, node: ast.Raise) -> None:
        self._visit_all_in(node)
        self._stop()

    def visit_Return(self, node: ast.Return) -> None:
        self._visit_all_in(node)
        self._stop()

    def _stop(self) -> None:
        if not self._is_late():
            self.paths.is_reachable = False
        elif self.at.conditions:
            self.at.conditions += 1  # until the function ends: what follows may not be reached

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        caught = {name for each in node.handlers for name in caught_by(each)}
        expects, catches = bool(caught & _EXPECTS), bool(caught & _CATCHES)
        done: Change = {}

        def try_it() -> None:
            mark = self.paths.mark()
            self._visit_all(node.body)
            done.update(self.paths.since(mark))

        self.at.expected += expects
        self.at.caught += catches
        body = self.paths.follow(try_it)
        self.at.expected -= expects
        self.at.caught -= catches
        # A handler begins anywhere between the first statement and the last.
        begin: Change = {name: SOME for name in done if self.paths[name] is not done[name]}
        ways = [self._handle(each, begin) for each in node.handlers]
        if body is not None and node.orelse:
            body = self._branch(node.orelse, body)
        self.paths.join([body, *ways])
        if node.finalbody:
            was_reachable, self.paths.is_reachable = self.paths.is_reachable, True
            self._visit_all(node.finalbody)
            self.paths.is_reachable = self.paths.is_reachable and was_reachable

    def _handle(self, handler: ast.ExceptHandler, begin: Change) -> Change | None:
        if handler.type:
            self.visit(handler.type)
        if not handler.name:
            return self._branch(handler.body, begin)
        if self._is_inner():
            self._bind(handler.name, handler.lineno)
            return self._branch(handler.body, begin)
        self.module.setdefault(handler.name, (handler.lineno, "value"))
        change = self._branch(handler.body, {**begin, handler.name: ALWAYS})
        if change is not None:
            change[handler.name] = None  # Python deletes it where the handler ends
        return change

    def visit_TryStar(self, node: ast.TryStar) -> None:
        self.visit_Try(node)

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        self._visit_all(node.items)
        suppressed = {name for each in node.items for name in suppressed_by(each.context_expr)}
        if not suppressed:
            self._visit_all(node.body)
            return
        expects = bool(suppressed & _EXPECTS)
        self.at.expected += expects
        self.paths.join([self._branch(node.body), {}])
        self.at.expected -= expects

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        self.visit_With(node)

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        changes = [
            self._branch([case.pattern, *([case.guard] if case.guard else []), *case.body])
            for case in node.cases
        ]
        if not any(always_matches(case) for case in node.cases):
            changes.append({})
        self.paths.join(changes)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._read(target.id, target.lineno)
                self._delete(target.id)
            else:
                self.visit(target)
