"""Questions about single pieces of syntax that decide which paths a program may take."""

from __future__ import annotations

import ast

__all__ = [
    "always_matches",
    "caught_by",
    "has_items",
    "looked_for",
    "suppressed_by",
]


def caught_by(handler: ast.ExceptHandler) -> list[str]:
    """Return the names of the exceptions that a handler catches."""
    caught = handler.type
    if caught is None:
        return ["BaseException"]
    each = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return [getattr(one, "attr", getattr(one, "id", "")) for one in each]


def suppressed_by(item: ast.expr) -> list[str]:
    """Return the names of the exceptions in `contextlib.suppress(...)`."""
    if not isinstance(item, ast.Call):
        return []
    function = item.func
    if getattr(function, "attr", getattr(function, "id", "")) != "suppress":
        return []
    return [getattr(each, "attr", getattr(each, "id", "?")) for each in item.args]


def looked_for(test: ast.expr) -> list[str]:
    """Return the names that a condition looks for: `"name" in globals()`."""
    return [
        node.left.value
        for node in ast.walk(test)
        if isinstance(node, ast.Compare)
        and isinstance(node.ops[0], ast.In | ast.NotIn)
        and isinstance(node.left, ast.Constant)
        and isinstance(node.left.value, str)
    ]


def has_items(items: ast.expr) -> bool:
    """Return whether a loop over this is entered for certain."""
    if isinstance(items, ast.List | ast.Tuple | ast.Set):
        return any(not isinstance(each, ast.Starred) for each in items.elts)
    if isinstance(items, ast.Constant):
        return bool(items.value)
    match items:
        case ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=int(stop))]):
            return stop > 0
        case _:
            return False


def always_matches(case: ast.match_case) -> bool:
    """Return whether a case of `match` takes whatever the others left."""
    return case.guard is None and isinstance(case.pattern, ast.MatchAs) and not case.pattern.pattern
