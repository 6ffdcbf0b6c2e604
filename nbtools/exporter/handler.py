"""Find the one handler of a notebook, check how it can be called, absorb the user's own entry."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import NamedTuple

from nbtools.errors import Diagnostic
from nbtools.exporter.bindings import bindings
from nbtools.exporter.code import Code
from nuxt_queue.signature import FUNCTIONS, Function, wrong_signature

__all__ = ["Handler", "absorb_entries", "candidates", "find_handler"]

_DEFINE_WORKER = frozenset({"define_worker", "define_queue_worker"})
_GUARDS = frozenset({"__name__ == '__main__'", "'__main__' == __name__"})


class Handler(NamedTuple):
    """A handler: its name, its line, and the function when it is known and undecorated."""

    name: str
    line: int
    function: Function | None


def candidates(body: Iterable[ast.stmt]) -> list[Handler]:
    """Return what the statements of a cell define as handlers."""
    found: dict[str, Handler] = {}
    functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            functions[statement.name] = statement
            marks = [_is_define(decorator) for decorator in statement.decorator_list]
            if any(marks) or statement.name == "handler":
                # Another decorator may change what can be called.
                known = statement if all(marks) else None
                found[statement.name] = Handler(statement.name, statement.lineno, known)
        elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            call = statement.value
            if not (_is_define(call.func) and len(call.args) == 1):
                continue
            target, argument = statement.targets[0], call.args[0]
            function: ast.AST | None = argument
            if isinstance(argument, ast.Name):
                found.pop(argument.id, None)
                function = functions.get(argument.id)
            if isinstance(target, ast.Name):
                known = function if isinstance(function, FUNCTIONS) else None  # type: ignore[assignment]  # a lambda too
                found[target.id] = Handler(target.id, statement.lineno, known)
    return list(found.values())


def find_handler(codes: list[Code], found: list[Diagnostic]) -> Handler | None:
    """Return the handler of the exported cells, having reported none, several, or a wrong one."""
    cells = [code for code in codes if code.role == "handler"]
    if not cells:
        return None  # reported with the missing marks
    code = cells[0]
    for other in cells[1:]:
        message = f"is a second handler cell; the first is cell {code.number}"
        fix = "keep one; a notebook makes one worker"
        found.append(Diagnostic("NQ312", message, fix, other.number))
    here = candidates(code.body)
    if not here:
        found.append(_no_handler(code))
        return None
    handler = here[0]
    for other_handler in here[1:]:
        message = f"defines two handlers, '{handler.name}' and '{other_handler.name}'"
        fix = "keep one; a notebook makes one worker"
        found.append(Diagnostic("NQ312", message, fix, code.number, other_handler.line))
    for other in codes:
        if other in cells:
            continue
        is_later = other.number > code.number
        again = {each.name: each.line for each in candidates(other.body)}
        if is_later and other.may_mention(handler.name):
            again |= {name: line for name, line, _ in bindings(other.body) if name == handler.name}
        for name, line in again.items():
            message = f"defines handler '{name}' again; cell {code.number} defines '{handler.name}'"
            found.append(Diagnostic("NQ312", message, "keep one of them", other.number, line))
    if handler.function and (problem := wrong_signature(handler.function)):
        message = f"handler '{handler.name}' {problem}"
        fix = "write it as: async def handler(job, ctx)"
        found.append(Diagnostic("NQ313", message, fix, code.number, handler.line))
    return handler


def absorb_entries(codes: list[Code], handler: Handler | None, found: list[Diagnostic]) -> None:
    """Take out the notebook's own ways of starting the worker; the exported file has one."""
    for code in codes:
        for statement in list(code.body):
            if isinstance(statement, ast.If) and _asks_for_main(statement.test):
                parts = [_started(part) for part in statement.body]
                is_plain = ast.unparse(statement.test) in _GUARDS and not statement.orelse
                is_entry = is_plain and None not in parts and any(parts)
                names = {name for name in parts if name}
            elif started := _started(statement):
                is_entry, names = True, {started}
            else:
                continue
            if not is_entry:
                message = 'code under if __name__ == "__main__" does not belong to the worker'
                fix = "move it to an untagged cell"
            elif handler and names != {handler.name}:
                message = f"starts '{min(names)}', but the handler is '{handler.name}'"
                fix = "remove it; the exported file starts the handler"
            elif not code.take_out(statement, "entry: at the end of this file"):
                message = "starts the worker on a line with other code"
                fix = "remove it; the exported file starts the handler"
            else:
                continue
            found.append(Diagnostic("NQ210", message, fix, code.number, statement.lineno))


def _no_handler(code: Code) -> Diagnostic:
    function = next((f for f in code.body if isinstance(f, FUNCTIONS)), None)
    message = "is marked as the handler and defines none"
    if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        fix = f"put @define_worker before '{function.name}', or call it handler"
        return Diagnostic("NQ311", message, fix, code.number, function.lineno)
    fix = "write async def handler(job, ctx) there, or mark the cell that does"
    return Diagnostic("NQ311", message, fix, code.number)


def _is_define(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and not node.args:
        node = node.func
    return getattr(node, "id", getattr(node, "attr", "")) in _DEFINE_WORKER


def _asks_for_main(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))


def _started(statement: ast.stmt) -> str | None:
    """Return what a statement starts with `run_worker`; "" for one that only prepares it."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        module = getattr(statement, "module", None) or statement.names[0].name
        return "" if module in {"asyncio", "nuxt_queue"} else None
    if isinstance(statement, ast.Pass):
        return ""
    if not isinstance(statement, ast.Expr):
        return None
    node = statement.value
    if isinstance(node, ast.Await):
        node = node.value
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.run":
        node = node.args[0] if len(node.args) == 1 and not node.keywords else node
    if not isinstance(node, ast.Call) or len(node.args) != 1 or node.keywords:
        return None
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    argument = node.args[0]
    return argument.id if name == "run_worker" and isinstance(argument, ast.Name) else None
