"""Finds a worker file's handler in its syntax tree and says whether a job can be given to it."""

from __future__ import annotations

import ast

from nuxt_queue.signature import Function, wrong_signature

__all__ = ["handler_problem"]

_MARKS = frozenset({"define_worker", "define_queue_worker"})


def handler_problem(tree: ast.Module) -> tuple[int, str] | None:
    """Return the line and the reason when the handler cannot be called with a job and a context.

    Only what is certain is reported: a function of the file that no other decorator changes.
    """
    functions: dict[str, Function] = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    chosen = [
        name for name in (*_started(tree), *_marked(functions), "handler") if name in functions
    ]
    if not chosen:
        return None
    function = functions[chosen[0]]
    if not all(_is_mark(decorator) for decorator in getattr(function, "decorator_list", ())):
        return None
    problem = wrong_signature(function)
    return (function.lineno, f"handler `{chosen[0]}` {problem}") if problem else None


def _started(tree: ast.Module) -> list[str]:
    """List what the file gives to `run_worker`."""
    return [
        node.args[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and _last_name(node.func) == "run_worker"
        and node.args
        and isinstance(node.args[0], ast.Name)
    ]


def _marked(functions: dict[str, Function]) -> list[str]:
    return [
        name
        for name, function in functions.items()
        if any(_is_mark(decorator) for decorator in getattr(function, "decorator_list", ()))
    ]


def _is_mark(node: ast.expr) -> bool:
    return _last_name(node.func if isinstance(node, ast.Call) else node) in _MARKS


def _last_name(node: ast.expr) -> str:
    return str(getattr(node, "id", getattr(node, "attr", "")))
