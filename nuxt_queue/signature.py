"""Whether a function can be a handler, told from its syntax tree: nothing of it runs.

The exporter and the registry ask this of source code; `sdk.define.check_handler` asks it of the
function itself when it is defined and when it is run.
"""

from __future__ import annotations

import ast

__all__ = ["FUNCTIONS", "Function", "wrong_signature"]

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_ARGUMENTS = 2  # job and ctx


def wrong_signature(function: Function) -> str:
    """Say why `handler(job, ctx)` cannot be called and awaited, or return an empty string."""
    arguments = function.args
    count = len(arguments.posonlyargs) + len(arguments.args)
    takes = count >= _ARGUMENTS or arguments.vararg is not None
    needs = count - len(arguments.defaults)
    if not takes or needs > _ARGUMENTS or None in arguments.kw_defaults:
        return f"cannot be called with two arguments, job and ctx: it is ({ast.unparse(arguments)})"
    todo: list[ast.AST] = [*function.body] if isinstance(function.body, list) else [function.body]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return "is a generator; a handler returns its result"
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            todo += ast.iter_child_nodes(node)
    return ""
