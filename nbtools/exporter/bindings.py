"""What a piece of code binds in the scope that it stands in."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

__all__ = ["arguments_of", "bindings", "children", "declared_names", "type_params"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# Fields without a node in them that matters; looking at them takes a third of an export's time.
_BARREN = frozenset({"ctx", "op", "ops", "kind", "type_comment", "id", "attr", "arg", "name"})
_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {}
# What can hold a target, a statement or a pattern; other expressions bind with `:=` only.
_HOLDERS = (
    ast.stmt, ast.excepthandler, ast.match_case, ast.pattern, ast.withitem,
    ast.Name, ast.Tuple, ast.List, ast.Starred,
)  # fmt: skip


def bindings(nodes: Iterable[ast.AST], *, walrus: bool = True) -> Iterator[tuple[str, int, str]]:
    """Yield name, line and kind of everything bound by the nodes in the scope they stand in.

    Args:
        nodes: Statements or expressions.
        walrus: Whether a `:=` may stand in them; it can be anywhere, which takes long to look for.
    """
    todo = list(nodes)
    while todo:
        node = todo.pop()
        line = getattr(node, "lineno", 0)
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            yield node.name, line, "def"
            todo += node.decorator_list if walrus else ()
        elif isinstance(node, _COMPREHENSIONS):
            todo += (each.target for each in ast.walk(node) if isinstance(each, ast.NamedExpr))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0], line, "import"
        elif not isinstance(node, ast.Lambda):
            if bound := _bound_name(node):
                yield bound, line, "value"
            inner = children(node)
            todo += inner if walrus else (each for each in inner if isinstance(each, _HOLDERS))


def children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what `ast.iter_child_nodes` does, but for operators and contexts, in a third of it."""
    kind = node.__class__
    fields = _FIELDS.get(kind)
    if fields is None:
        fields = _FIELDS[kind] = tuple(each for each in kind._fields if each not in _BARREN)
    for field in fields:
        value = getattr(node, field, None)
        if value.__class__ is list:
            for part in value:
                if isinstance(part, ast.AST):
                    yield part
        elif isinstance(value, ast.AST):
            yield value


def _bound_name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return None if isinstance(node.ctx, ast.Load) else node.id
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return node.name
    return node.rest if isinstance(node, ast.MatchMapping) else None


def declared_names(body: list[ast.stmt], kind: type[ast.Global | ast.Nonlocal]) -> set[str]:
    """Return the names that a function's or class's own body declares `global` or `nonlocal`."""
    names: set[str] = set()
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop()
        if isinstance(node, kind):
            names.update(node.names)
        elif isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case) and not isinstance(
            node, (*_FUNCTIONS, ast.ClassDef)
        ):
            todo += children(node)
    return names


def arguments_of(arguments: ast.arguments) -> list[ast.arg]:
    """Return every argument, `*args` and `**kwargs` last."""
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return named + [each for each in (arguments.vararg, arguments.kwarg) if each]


def type_params(node: ast.AST) -> list[str]:
    """Return the names between the brackets of `def f[T](...)`, which Python 3.12 has."""
    return [each.name for each in getattr(node, "type_params", [])]
