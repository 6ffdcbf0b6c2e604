"""What a piece of code binds in the scope that it stands in."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

__all__ = ["arguments_of", "bindings", "declared_names", "type_params"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def bindings(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int, str]]:
    """Yield name, line and kind of everything bound by the nodes in the scope they stand in."""
    todo = list(nodes)
    while todo:
        node = todo.pop()
        line = getattr(node, "lineno", 0)
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            yield node.name, line, "def"
            todo += node.decorator_list
        elif isinstance(node, _COMPREHENSIONS):
            todo += (each.target for each in ast.walk(node) if isinstance(each, ast.NamedExpr))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0], line, "import"
        elif not isinstance(node, ast.Lambda):
            if bound := _bound_name(node):
                yield bound, line, "value"
            todo += _children(node)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what `ast.iter_child_nodes` does, in half its time: exports spend most of it here."""
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, ast.AST):
            yield value
        elif value.__class__ is list:
            for part in value:
                if isinstance(part, ast.AST):
                    yield part


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
            todo += _children(node)
    return names


def arguments_of(arguments: ast.arguments) -> list[ast.arg]:
    """Return every argument, `*args` and `**kwargs` last."""
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return named + [each for each in (arguments.vararg, arguments.kwarg) if each]


def type_params(node: ast.AST) -> list[str]:
    """Return the names between the brackets of `def f[T](...)`, which Python 3.12 has."""
    return [each.name for each in getattr(node, "type_params", [])]
