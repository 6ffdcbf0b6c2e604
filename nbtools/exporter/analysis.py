"""The names that a cell's code defines and needs, without running it.

Reads that happen while the module is imported are told from reads inside functions: the first
need their name earlier in the file, the others anywhere in it.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nbtools.exporter.bindings import (
    arguments_of,
    bindings,
    children,
    declared_names,
    type_params,
)
from nbtools.exporter.paths import ALWAYS, SOME, Bound, Paths
from nbtools.exporter.statements import At, Statements

__all__ = ["BUILTINS", "Cell", "Names", "Read", "follow", "names_of"]

# What Python provides in any module.  Jupyter puts some of its own among the builtins of a kernel.
BUILTINS = (
    frozenset(dir(builtins)) - {"_", "display", "get_ipython", "__IPYTHON__", "reveal_type"}
) | {"__file__", "__name__", "__doc__", "__package__", "__spec__", "__loader__", "__builtins__"} | {
    "__annotations__", "__class__", "__cached__", "WindowsError", "__debug__", "__module__",
    "__qualname__", "__dict__",
}  # fmt: skip
_OF_JUPYTER = frozenset({"get_ipython", "display", "In", "Out", "_", "__"})
# What calls the function that it is given, while it is being called itself.
_CALLERS = frozenset({
    "agg", "aggregate", "apply", "applymap", "filter", "map", "max", "min", "pipe", "reduce",
    "sort", "sorted", "transform",
})  # fmt: skip
# Whose first argument is a text with names of the program: `@name`, or a table behind FROM or JOIN.
_READS_TEXT = frozenset({"query", "eval", "sql", "sqldf"})
_IN_TEXT = re.compile(r"(?:(?<![\w.@])@|\b(?i:from|join)[ \t\n]{1,9})([A-Za-z_]\w*)")
_NAMESPACES = frozenset({"globals", "locals", "vars"})
_MADE_BY_CALL = frozenset({"__init__", "__new__", "__post_init__", "__init_subclass__"})


class Read(NamedTuple):
    """A name that is needed from elsewhere.

    Attributes:
        name: The name.
        line: Its line in the cell.
        is_deferred: Whether only a function reads it, which is called later.
        is_certain: Whether the name is read on every path and missing on each.
        is_excused: Whether the code expects that the name may be missing.
        cell: The cell in which it is read.
        called: Where the function that reads it is called while the file is imported.
    """

    name: str
    line: int
    is_deferred: bool
    is_certain: bool = True
    is_excused: bool = False
    cell: int = 0
    called: tuple[int, int] | None = None


class Names(NamedTuple):
    """What code defines (name to line and `import`, `def` or `value`) and what it needs.

    Attributes:
        binds: The names that it defines, on whatever path.
        reads: The names that it needs.
        stars: Line and module of each `from ... import *`.
        hidden: Line and text of what may define names that cannot be read: `exec(...)`.
    """

    binds: dict[str, tuple[int, str]]
    reads: list[Read]
    stars: list[tuple[int, str]]
    hidden: list[tuple[int, str]]


class Cell(NamedTuple):
    """One cell's statements, its text when it is at hand, and its number."""

    body: list[ast.stmt]
    source: str | None = None
    number: int = 0


def names_of(
    tree: ast.Module, source: str | None = None, *, lazy_annotations: bool = False
) -> Names:
    """Return the names that a cell defines and needs.

    Args:
        tree: The parsed cell.
        source: Its text, when it is at hand: what does not stand in it is not looked for.
        lazy_annotations: Whether `from __future__ import annotations` holds for it.
    """
    return follow([Cell(tree.body, source)], lazy_annotations=lazy_annotations)[0][0]


def follow(
    cells: Iterable[Cell], *, given: Iterable[str] = (), lazy_annotations: bool = False
) -> tuple[dict[int, Names], Paths]:
    """Follow the statements of cells in the order in which they run.

    A function that is called while the cells run reads its names there; any other function reads
    them later.

    Args:
        cells: The cells.
        given: Names that are defined before the first.
        lazy_annotations: Whether `from __future__ import annotations` holds for them.

    Returns:
        For each cell its names, with the reads that nothing before defines on all paths; and what
        is bound at the end of the last.
    """
    paths = Paths()
    for name in given:
        paths.set(name, ALWAYS)
    reader = _Reader(paths, lazy_annotations=lazy_annotations)
    return {cell.number: reader.read(cell) for cell in cells}, paths


class _Scope:
    """One scope: a `function` reads late, a `class` hides its names from functions in it."""

    def __init__(
        self, kind: str, bound: Iterable[str] = (), module_names: Iterable[str] = ()
    ) -> None:
        self.kind = kind
        self.bound = set(bound)
        self.module_names = set(module_names)  # declared `global`


class _Function:
    """What calling a function of the module reads, calls and binds at once."""

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self.calls: list[str] = []
        self.binds: dict[str, bool] = {}  # by `global`: whether on all paths
        self.may_wait = False  # whether a call may run nothing of it yet

    def add(self, other: _Function) -> None:
        """Let calling this one call another."""
        self.reads += other.reads
        self.calls += other.calls
        self.binds |= other.binds


class _Reader(Statements, ast.NodeVisitor):
    def __init__(self, paths: Paths, *, lazy_annotations: bool) -> None:
        super().__init__(paths)
        self.lazy_annotations = lazy_annotations
        self.functions: dict[str, tuple[_Function, ...]] = {}
        self.read_cell(Cell([]))

    def read(self, cell: Cell) -> Names:
        self.read_cell(cell)
        self._visit_all(cell.body)
        return Names(self.module, self.reads, self.stars, self.hidden)

    def read_cell(self, cell: Cell) -> None:
        """Begin with a cell."""
        source = cell.source
        self.cell = cell.number
        self.has_walrus = source is None or ":=" in source
        self.declares = source is None or "global" in source or "nonlocal" in source
        self.module: dict[str, tuple[int, str]] = {}
        self.reads: list[Read] = []
        self.stars: list[tuple[int, str]] = []
        self.hidden: list[tuple[int, str]] = []
        self.scopes: list[_Scope] = []
        self.at = At()
        self.function: _Function | None = None  # the outermost, while its own body is read
        self.made: _Function | None = None  # what making an object of this class does
        self.lambdas: dict[int, _Function | None] = {}

    def _bound_by(self, nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int, str]]:
        return bindings(nodes, walrus=self.has_walrus)

    def _declared(self, body: list[ast.stmt], kind: type[ast.Global | ast.Nonlocal]) -> set[str]:
        return declared_names(body, kind) if self.declares else set()

    # --- what a name means

    def _is_late(self) -> bool:
        return any(scope.kind == "function" for scope in self.scopes)

    def _is_inner(self) -> bool:
        return bool(self.scopes)

    def _bind(self, name: str, line: int, kind: str = "value", value: Bound = ALWAYS) -> None:
        is_late = False
        for scope in reversed(self.scopes):
            if name in scope.module_names:
                is_late = any(each.kind == "function" for each in self.scopes)
                break
            if scope.kind != "inner":
                scope.bound.add(name)
                return
        self.module.setdefault(name, (line, kind))
        if is_late:
            if self.function is not None:
                self.function.binds[name] = not self.at.conditions
            return
        self.functions.pop(name, None)
        self.paths.set(name, value)

    def _read(self, name: str, line: int) -> None:
        is_deferred = False
        hides_class = False
        for scope in reversed(self.scopes):
            if name in scope.module_names:
                is_deferred = True
                break
            if name in scope.bound and not (scope.kind == "class" and hides_class):
                return
            if scope.kind == "function":
                is_deferred = hides_class = True
        if name in BUILTINS or not self.paths.is_reachable:
            return
        is_excused = (
            self.at.expected > 0
            or (self.at.caught > 0 and name in _OF_JUPYTER)
            or name in self.at.tested
        )
        read = Read(name, line, is_deferred, not self.at.conditions, is_excused, self.cell)
        if not is_deferred:
            self._need(read)
            return
        self.reads.append(read._replace(is_certain=True))
        if self.function is not None:
            self.function.reads.append(read)

    def _need(self, read: Read) -> None:
        """Report a read of this moment unless the name is bound on all paths."""
        bound = self.paths[read.name]
        if bound is ALWAYS:
            return
        self.reads.append(read._replace(is_certain=read.is_certain and bound is None))

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self._bind(node.id, node.lineno)
        else:
            self._read(node.id, node.lineno)

    # --- what is called while the cells run

    def visit_Call(self, node: ast.Call) -> None:
        for each in children(node):
            if isinstance(each, ast.GeneratorExp):  # what is called consumes it
                self._visit_comprehension(each, is_late=False)
            else:
                self.visit(each)
        function = node.func
        name: str = getattr(function, "id", getattr(function, "attr", ""))
        if isinstance(function, ast.Name):
            self._called(name, node.lineno)
            if name == "exec":
                self._hide(node, "exec(...)")
        for text in node.args[:1] if name in _READS_TEXT else ():
            self._read_text(text)
        if name in _CALLERS:
            self._may_call([*node.args, *(each.value for each in node.keywords)])
        elif name == "update" and isinstance(function, ast.Attribute):
            self._may_fill_a_namespace(function.value)

    def _may_call(self, given: list[ast.expr]) -> None:
        """Read what functions read that are handed to what may call them."""
        self.at.conditions += 1
        for each in given:
            if isinstance(each, ast.Name):
                self._called(each.id, each.lineno)
        self.at.conditions -= 1

    def _read_text(self, text: ast.expr) -> None:
        """Read the names in a text that pandas or an SQL engine evaluates: `"a > @limit"`."""
        parts = text.values if isinstance(text, ast.JoinedStr) else [text]
        self.at.expected += 1  # in any other text they mean nothing
        for part in parts:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                for name in _IN_TEXT.findall(part.value):
                    self._read(name, text.lineno)
        self.at.expected -= 1

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Store):
            self._may_fill_a_namespace(node.value)
        self._visit_all_in(node)

    def _may_fill_a_namespace(self, node: ast.expr) -> None:
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _NAMESPACES:
            self._hide(node, f"{ast.unparse(node)}")

    def _hide(self, node: ast.expr, what: str) -> None:
        if not any(scope.kind == "function" for scope in self.scopes):
            self.hidden.append((node.lineno, what))

    def _called(self, name: str, line: int) -> None:
        """Read what a function of the module reads, where it is called."""
        if self._is_late():
            if self.function is not None and not self.at.conditions:
                self.function.calls.append(name)
            return
        todo, done = [name], set[str]()
        while todo and self.paths.is_reachable:
            each = todo.pop()
            if each in done:
                continue
            done.add(each)
            choices = self.functions.get(each, ())
            for function in choices:
                is_sure = len(choices) == 1 and not self.at.conditions and not function.may_wait
                for read in function.reads:
                    self._need(
                        read._replace(
                            is_deferred=False,
                            is_certain=read.is_certain and is_sure,
                            called=(self.cell, line),
                        )
                    )
                for bound, always in function.binds.items():
                    if self.paths[bound] is not ALWAYS:
                        self.paths.set(bound, ALWAYS if always and is_sure else SOME)
                todo += function.calls

    # --- statements that read and bind in an order of their own

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)
        function = self.lambdas.pop(id(node.value), None)
        if function is not None and isinstance(node.targets[0], ast.Name) and not self.scopes:
            self._define(node.targets[0].id, function)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._read(node.target.id, node.lineno)
        self.visit(node.value)
        self.visit(node.target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if not any(scope.kind == "function" for scope in self.scopes[-1:]):
            self._visit_annotation(node.annotation)
        if node.value:
            self.visit(node.value)
        if node.value or not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.visit(node.target)

    def _delete(self, name: str) -> None:
        if not self.scopes:
            self.functions.pop(name, None)
            self.paths.set(name, None)

    # --- names that statements bind

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._bind(alias.asname or alias.name.split(".")[0], node.lineno, "import")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.stars.append((node.lineno, node.module or "."))
            else:
                self._bind(alias.asname or alias.name, node.lineno, "import")

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self._visit_all_in(node)
        if node.name:
            self._bind(node.name, node.lineno)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self._bind(node.name, node.lineno)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self._visit_all_in(node)
        if node.rest:
            self._bind(node.rest, node.lineno)

    def visit_Yield(self, node: ast.Yield | ast.YieldFrom) -> None:
        self._visit_all_in(node)
        if self.function is not None:
            self.function.may_wait = True

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        self.visit_Yield(node)

    # --- scopes

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_all(node.decorator_list)
        for each in node.decorator_list:
            if isinstance(each, ast.Name):
                self._called(each.id, each.lineno)
        self._visit_all(node.args.defaults)
        self._visit_all([default for default in node.args.kw_defaults if default])
        self.scopes.append(_Scope("inner", type_params(node)))
        arguments = arguments_of(node.args)
        for annotation in [*(each.annotation for each in arguments), node.returns]:
            if annotation:
                self._visit_annotation(annotation)
        declared = self._declared(node.body, ast.Global)
        bound = {name for name, _, _ in self._bound_by(node.body)}
        bound.update(each.arg for each in arguments)
        bound -= declared | self._declared(node.body, ast.Nonlocal)
        function = self._visit_function(_Scope("function", bound, declared), node.body)
        if function is not None and node.decorator_list:
            function.may_wait = True  # what a decorator makes of it may call it later
        self.scopes.pop()
        self._bind(node.name, node.lineno, "def")
        if function is None or isinstance(node, ast.AsyncFunctionDef):
            return
        if not self.scopes:
            self._define(node.name, function)
        elif node.name in _MADE_BY_CALL and self.made is not None:
            self.made.add(function)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_all(node.args.defaults)
        self._visit_all([default for default in node.args.kw_defaults if default])
        bound = [each.arg for each in arguments_of(node.args)]
        bound += [name for name, _, _ in self._bound_by([node.body])]
        self.lambdas[id(node)] = self._visit_function(_Scope("function", bound), [node.body])

    def _visit_function(self, scope: _Scope, body: Iterable[ast.AST]) -> _Function | None:
        """Read a function's body, and return what calling it does at once; None inside another."""
        function = None if self._is_late() else _Function()
        outer = self.function, self.at
        self.function, self.at = function, At()
        self._visit_scope(scope, body)
        self.function, self.at = outer
        for name in function.binds if function else ():  # it may be called without being seen here
            if self.paths[name] is None:
                self.paths.set(name, SOME)
        return function

    def _define(self, name: str, function: _Function) -> None:
        others = self.functions.get(name, ()) if self.at.conditions else ()
        self.functions[name] = (*others, function)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all(node.decorator_list)
        self.scopes.append(_Scope("inner", type_params(node)))
        self._visit_all([*node.bases, *node.keywords])
        scope = _Scope("class", (), self._declared(node.body, ast.Global))
        outer, self.made = self.made, _Function()
        self._visit_scope(scope, node.body)
        made, self.made = self.made, outer
        self.scopes.pop()
        self._bind(node.name, node.lineno, "def")
        if not self.scopes:
            made.calls += [each.id for each in node.bases if isinstance(each, ast.Name)]
            self._define(node.name, made)

    def _visit_comprehension(self, node: ast.AST, *, is_late: bool = False) -> None:
        generators: list[ast.comprehension] = node.generators  # type: ignore[attr-defined]  # the four kinds have it
        self.visit(generators[0].iter)
        targets = {name for each in generators for name, _, _ in self._bound_by([each.target])}
        if is_late:  # a generator reads when it is consumed
            self.scopes.append(_Scope("function"))
        self.scopes.append(_Scope("inner", targets))
        for number, each in enumerate(generators):
            self._visit_all([*([each.iter] if number else []), *each.ifs])
        for field in ("elt", "key", "value"):
            if part := getattr(node, field, None):
                self.visit(part)
        self.scopes.pop()
        if is_late:
            for name in self.scopes.pop().bound:  # a walrus binds outside of the generator
                self._bind(name, getattr(node, "lineno", 0))

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._visit_comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._visit_comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._visit_comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._visit_comprehension(node, is_late=True)

    def visit_TypeAlias(self, node: ast.AST) -> None:
        self.visit(node.name)  # type: ignore[attr-defined]  # Python 3.12 and later
        self._visit_scope(_Scope("function", type_params(node)), [node.value])  # type: ignore[attr-defined]  # as above

    def _visit_annotation(self, node: ast.expr) -> None:
        if not self.lazy_annotations:
            self.visit(node)

    def _visit_scope(self, scope: _Scope, nodes: Iterable[ast.AST]) -> None:
        self.scopes.append(scope)
        self._visit_all(nodes)
        self.scopes.pop()
