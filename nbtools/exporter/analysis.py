"""The names that a cell's code defines and needs, without running it.

Reads that happen while the module is imported are told from reads inside functions: the first
need their name earlier in the file, the others anywhere in it.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from nbtools.exporter.bindings import (
    arguments_of,
    bindings,
    children,
    declared_names,
    type_params,
)

__all__ = ["BUILTINS", "Names", "Read", "names_of"]

# What Python provides in any module.  Jupyter puts some of its own among the builtins of a kernel.
BUILTINS = (
    frozenset(dir(builtins)) - {"_", "display", "get_ipython", "__IPYTHON__", "reveal_type"}
) | {"__file__", "__name__", "__doc__", "__package__", "__spec__", "__loader__", "__builtins__"} | {
    "__annotations__", "__class__", "__cached__", "WindowsError", "__debug__", "__module__",
    "__qualname__", "__dict__",
}  # fmt: skip
_CATCHES_NAME_ERROR = frozenset({"NameError", "Exception", "BaseException"})


class Read(NamedTuple):
    """A name that the cell needs from elsewhere; `is_deferred` when only a function reads it."""

    name: str
    line: int
    is_deferred: bool


class Names(NamedTuple):
    """What a cell defines (name to line and `import`, `def` or `value`) and what it needs."""

    binds: dict[str, tuple[int, str]]
    reads: list[Read]
    stars: list[tuple[int, str]]


def names_of(
    tree: ast.Module, source: str | None = None, *, lazy_annotations: bool = False
) -> Names:
    """Return the names that a cell defines and needs.

    Args:
        tree: The parsed cell.
        source: Its text, when it is at hand: what does not stand in it is not looked for.
        lazy_annotations: Whether `from __future__ import annotations` holds for it.
    """
    reader = _Reader(source, lazy_annotations=lazy_annotations)
    for statement in tree.body:
        reader.visit(statement)
    return Names(reader.module, reader.reads, reader.stars)


class _Scope:
    """One scope: a `function` reads late, a `class` hides its names from functions in it."""

    def __init__(
        self, kind: str, bound: Iterable[str] = (), module_names: Iterable[str] = ()
    ) -> None:
        self.kind = kind
        self.bound = set(bound)
        self.module_names = set(module_names)  # declared `global`


class _Reader(ast.NodeVisitor):
    def __init__(self, source: str | None, *, lazy_annotations: bool) -> None:
        self.has_walrus = source is None or ":=" in source
        self.declares = source is None or "global" in source or "nonlocal" in source
        self.lazy_annotations = lazy_annotations
        self.module: dict[str, tuple[int, str]] = {}
        self.reads: list[Read] = []
        self.stars: list[tuple[int, str]] = []
        self.scopes: list[_Scope] = []
        self.guarded = 0  # inside a `try` that expects a NameError

    def visit(self, node: ast.AST) -> None:
        # What NodeVisitor does, without looking a method up by its name for every node.
        kind = node.__class__
        visitor = _VISITORS.get(kind)
        if visitor is None:
            visitor = _VISITORS[kind] = getattr(
                _Reader, f"visit_{kind.__name__}", _Reader._visit_all_in
            )
        visitor(self, node)

    def _visit_all_in(self, node: ast.AST) -> None:
        for child in children(node):
            self.visit(child)

    def _bound_by(self, nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int, str]]:
        return bindings(nodes, walrus=self.has_walrus)

    def _declared(self, body: list[ast.stmt], kind: type[ast.Global | ast.Nonlocal]) -> set[str]:
        return declared_names(body, kind) if self.declares else set()

    # --- what a name means

    def _bind(self, name: str, line: int, kind: str = "value") -> None:
        for scope in reversed(self.scopes):
            if name in scope.module_names:
                break
            if scope.kind != "inner":
                scope.bound.add(name)
                return
        self.module.setdefault(name, (line, kind))

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
        if name in BUILTINS or self.guarded or (not is_deferred and name in self.module):
            return
        self.reads.append(Read(name, line, is_deferred))

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self._bind(node.id, node.lineno)
        else:
            self._read(node.id, node.lineno)

    # --- statements that read and bind in an order of their own

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

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

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        # A later turn of the loop may read what an earlier one has bound.
        self._bind_all(node)
        self._visit_all([node.target, *node.body, *node.orelse])

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self.visit_For(node)

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._bind_all(node)
        self._visit_all([*node.body, *node.orelse])

    def _bind_all(self, node: ast.AST) -> None:
        if self.scopes and self.scopes[-1].kind == "function":
            return  # a function's names are known from its start
        for name, line, kind in self._bound_by([node]):
            self._bind(name, line, kind)

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        expects = any(_expects_name_error(handler) for handler in node.handlers)
        self.guarded += expects
        self._visit_all(node.body)
        self.guarded -= expects
        self._visit_all([*node.handlers, *node.orelse, *node.finalbody])

    def visit_TryStar(self, node: ast.TryStar) -> None:
        self.visit_Try(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type:
            self.visit(node.type)
        if node.name:
            self._bind(node.name, node.lineno)
        self._visit_all(node.body)

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
        self._bind_all(node)
        self._visit_all_in(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        self._bind_all(node)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self._bind_all(node)
        self._visit_all_in(node)

    # --- scopes

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_all(node.decorator_list)
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
        self._visit_scope(_Scope("function", bound, declared), node.body)
        self.scopes.pop()
        self._bind(node.name, node.lineno, "def")

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_all(node.args.defaults)
        self._visit_all([default for default in node.args.kw_defaults if default])
        bound = [each.arg for each in arguments_of(node.args)]
        bound += [name for name, _, _ in self._bound_by([node.body])]
        self._visit_scope(_Scope("function", bound), [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all(node.decorator_list)
        self.scopes.append(_Scope("inner", type_params(node)))
        self._visit_all([*node.bases, *node.keywords])
        scope = _Scope("class", (), self._declared(node.body, ast.Global))
        self._visit_scope(scope, node.body)
        self.scopes.pop()
        self._bind(node.name, node.lineno, "def")

    def _visit_comprehension(self, node: ast.AST) -> None:
        generators: list[ast.comprehension] = node.generators  # type: ignore[attr-defined]  # the four kinds have it
        self.visit(generators[0].iter)
        targets = {name for each in generators for name, _, _ in self._bound_by([each.target])}
        is_late = isinstance(node, ast.GeneratorExp)
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
        self._visit_comprehension(node)

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

    def _visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)


_VISITORS: dict[type[ast.AST], Callable[[_Reader, Any], None]] = {}


def _expects_name_error(handler: ast.ExceptHandler) -> bool:
    caught = handler.type
    if caught is None:
        return True
    each = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(one, ast.Name) and one.id in _CATCHES_NAME_ERROR for one in each)
