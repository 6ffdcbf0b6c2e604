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
    started, marked = _started(tree), _marked(functions)
    if problem := _not_one(tree, functions, started, marked):
        return problem
    chosen = [name for name in (*started, *marked, "handler") if name in functions]
    if not chosen:
        return None
    function = functions[chosen[0]]
    twins = [node.lineno for node in tree.body if getattr(node, "name", None) == chosen[0]]
    if len(twins) > 1:
        where = f"in lines {twins[0]} and {twins[1]}"
        return twins[1], f"defines `{chosen[0]}` twice, {where}; a worker has one handler"
    if not all(_is_mark(decorator) for decorator in getattr(function, "decorator_list", ())):
        return None
    wrong = wrong_signature(function)
    return (function.lineno, f"handler `{chosen[0]}` {wrong}") if wrong else None


def _not_one(
    tree: ast.Module, functions: dict[str, Function], started: list[str], marked: list[str]
) -> tuple[int, str] | None:
    """Say what is wrong unless there is one function that is run."""
    if len(set(started)) > 1:
        names = " and ".join(f"`{name}`" for name in dict.fromkeys(started))
        return 0, f"gives {names} to run_worker, and a worker has one handler; make a file of each"
    if any(_names_run_worker(node) for node in ast.walk(tree)):
        return None
    if len(marked) > 1:
        names = " and ".join(f"`{name}`" for name in marked)
        line = functions[marked[1]].lineno
        return line, f"marks {names}, and a worker has one handler; make a file of each"
    if marked and not _binds(tree, "handler"):
        (name,) = marked
        reason = f"nothing runs `{name}`: name it handler, or end the file with run_worker({name})"
        return functions[name].lineno, reason
    return None


def _names_run_worker(node: ast.AST) -> bool:
    if isinstance(node, ast.alias):  # under another name it may be called anywhere
        return node.name == "run_worker" and node.asname is not None
    return isinstance(node, ast.Name | ast.Attribute) and _last_name(node) == "run_worker"


def _binds(tree: ast.Module, name: str) -> bool:
    """Tell whether a name is bound anywhere in a file, in whatever way."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=bound, ctx=ast.Store()) | ast.FunctionDef(name=bound):
                pass
            case ast.AsyncFunctionDef(name=bound) | ast.ClassDef(name=bound):
                pass
            case ast.alias():
                bound = node.asname or node.name
            case _:
                continue
        if bound in (name, "*"):
            return True
    return False


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
