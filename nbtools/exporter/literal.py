"""Read the `config` of a notebook as a value, from its syntax alone."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, NamedTuple

from nbtools.errors import Diagnostic
from nbtools.exporter.analysis import names_of
from nbtools.exporter.bindings import bindings
from nbtools.exporter.code import Code

__all__ = [
    "DEFINE_CONFIG",
    "Constants",
    "NotLiteralError",
    "StatedConfig",
    "read_config",
    "states_config",
]

DEFINE_CONFIG = frozenset({"define_config", "define_queue_config"})
_NUMBERS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
}
_WHY_NOT: dict[type[ast.expr], str] = {
    ast.Name: "is not a constant of an earlier exported cell",
    ast.Set: "is a set, which JSON cannot hold",
    ast.Constant: "is a value that JSON cannot hold",
}
# Longer numbers are no setting; multiplying on would take for ever.
_MAX_BITS = 4096


class StatedConfig(NamedTuple):
    """What the config cell states, and where."""

    value: dict[str, Any]
    code: Code
    line: int


class NotLiteralError(Exception):
    """Raised for an expression whose value only running it would tell."""

    def __init__(self, node: ast.AST, reason: str = "") -> None:
        super().__init__(reason)
        self.node, self.reason = node, reason


class Constants:
    """What names stand for, as far as their values are literals; grows with each statement."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def learn(self, statement: ast.stmt) -> None:
        """Follow what a statement does to the names that are bound to literals."""
        _learn(statement, self._values)

    def fold(self, node: ast.expr) -> Any:
        """Return the value of an expression.

        Raises:
            NotLiteralError: If only running it would tell.
        """
        return _fold(node, self._values)


def states_config(statement: ast.stmt) -> ast.expr | None:
    """Return the value of a `config = ...` statement, or None for any other statement."""
    if isinstance(statement, ast.Assign):
        targets: list[ast.expr] = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    else:
        return None
    is_config = any(isinstance(target, ast.Name) and target.id == "config" for target in targets)
    return statement.value if is_config else None


def read_config(codes: list[Code], found: list[Diagnostic]) -> StatedConfig | None:
    """Find the one config among the exported cells, fold it, and take it out of its cell."""
    code, statement = _find(codes, found)
    if code is None or statement is None:
        return None
    node = states_config(statement)
    assert node is not None
    constants: dict[str, Any] = {}
    for earlier in codes:
        for other in earlier.body:
            if other is statement:
                break
            _learn(other, constants)
        if earlier is code:
            break
    try:
        value = _fold_config(node, constants)
    except NotLiteralError as problem:
        found.append(_not_literal(problem, code.number))
        return None
    if not code.take_out(statement, "config: stated at the top of this file"):
        message = "config shares a line with other code"
        fix = "put it on lines of its own"
        found.append(Diagnostic("NQ303", message, fix, code.number, statement.lineno))
        return None
    return StatedConfig(value, code, statement.lineno)


def _find(codes: list[Code], found: list[Diagnostic]) -> tuple[Code | None, ast.stmt | None]:
    stated = [
        (code, line)
        for code in codes
        if code.may_mention("config")
        for name, line, _ in bindings(code.body)
        if name == "config"
    ]
    cells = [code for code in codes if code.role == "config"]
    if not cells:
        return None, None  # reported with the missing marks
    for other in cells[1:]:
        message = f"is a second config cell; the first is cell {cells[0].number}"
        found.append(Diagnostic("NQ302", message, "keep one of them", other.number))
    code = cells[0]
    here = [statement for statement in code.body if states_config(statement)]
    if not here:
        message = "is marked as the config and has no statement 'config = ...'"
        fix = "write config = define_config({...}) there"
        found.append(Diagnostic("NQ301", message, fix, code.number))
        return None, None
    for again in here[1:]:
        message = f"states config again; it is stated in line {here[0].lineno}"
        found.append(Diagnostic("NQ302", message, "keep one", code.number, again.lineno))
    for other, line in stated:
        if other not in cells:
            message = f"defines config again; cell {code.number} is the config cell"
            fix = "use another name here"
            found.append(Diagnostic("NQ302", message, fix, other.number, line))
    return code, here[0]


def _not_literal(problem: NotLiteralError, cell: int) -> Diagnostic:
    text = " ".join(ast.unparse(problem.node).split())
    text = text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 what fits in a line
    line = getattr(problem.node, "lineno", 0)
    message = f"config is not a literal: '{text}' {problem.reason or 'is computed by running code'}"
    fix = "write the value itself; strings, numbers, lists, dicts and constants of earlier cells do"
    return Diagnostic("NQ303", message, fix, cell, line)


# --- folding -------------------------------------------------------------------------------------


def _fold_config(node: ast.expr, constants: dict[str, Any]) -> dict[str, Any]:
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name not in DEFINE_CONFIG or len(node.args) > 1:
            raise NotLiteralError(node)
        value: Any = {}
        for part in node.args:
            value = _fold(part, constants)
        keys: list[ast.expr | None] = [k.arg and ast.Constant(k.arg) for k in node.keywords]  # type: ignore[misc]  # None is `**`
        if isinstance(value, dict):
            added = ast.Dict(keys, [keyword.value for keyword in node.keywords])
            value = {**value, **_fold(ast.copy_location(added, node), constants)}
    else:
        value = _fold(node, constants)
    if not isinstance(value, dict):
        raise NotLiteralError(node, "is no dictionary")
    return value


def _fold(node: ast.expr, constants: dict[str, Any]) -> Any:
    value: Any
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            pass
        case ast.Name(id=name) if name in constants:
            value = constants[name]
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            value = [_fold(element, constants) for element in elements]
        case ast.Dict():
            value = _fold_dict(node, constants)
        case ast.JoinedStr(values=parts):
            value = "".join(_fold_part(part, constants) for part in parts)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = _fold_operation(ast.BinOp(ast.Constant(0), ast.Sub(), operand), constants, node)
        case ast.BinOp():
            value = _fold_operation(node, constants, node)
        case _:
            raise NotLiteralError(node, _WHY_NOT.get(type(node), ""))
    return value


def _fold_dict(node: ast.Dict, constants: dict[str, Any]) -> dict[Any, Any]:
    values: dict[Any, Any] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        folded = _fold(value, constants)
        if key is None:
            if not isinstance(folded, dict):
                raise NotLiteralError(value, "is no dictionary")
            values |= folded
            continue
        name = _fold(key, constants)
        if not isinstance(name, str):
            raise NotLiteralError(key, "is a key, and JSON has only strings as keys")
        values[name] = folded
    return values


def _fold_part(part: ast.expr, constants: dict[str, Any]) -> str:
    if isinstance(part, ast.FormattedValue):
        if part.conversion != -1 or part.format_spec:
            raise NotLiteralError(part)
        value = _fold(part.value, constants)
        if not isinstance(value, str | int):
            raise NotLiteralError(part)
        return str(value)
    return str(_fold(part, constants))


def _fold_operation(node: ast.BinOp, constants: dict[str, Any], written: ast.expr) -> Any:
    left, right = _fold(node.left, constants), _fold(node.right, constants)
    numbers = all(type(side) in {int, float} for side in (left, right))
    if isinstance(node.op, ast.Add) and type(left) is type(right) and type(left) in {str, list}:
        return left + right
    operation = _NUMBERS.get(type(node.op))
    if not numbers or operation is None:
        raise NotLiteralError(written)
    if any(isinstance(side, int) and side.bit_length() > _MAX_BITS for side in (left, right)):
        raise NotLiteralError(written, "is too large")
    try:
        return operation(left, right)
    except ArithmeticError as error:
        raise NotLiteralError(written, f"cannot be computed: {error}") from None


def _learn(statement: ast.stmt, constants: dict[str, Any]) -> None:
    """Follow what a statement does to the names that are bound to literals."""
    names = names_of(ast.Module([statement], []))
    for name in names.binds:
        constants.pop(name, None)
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        try:
            value = _fold(statement.value, constants)
        except NotLiteralError:
            pass
        else:
            if all(isinstance(target, ast.Name) for target in targets):
                constants.update(dict.fromkeys(names.binds, value))
                return
    # Any other statement may change a list or a dictionary that it mentions.
    mutable = {name for name, value in constants.items() if isinstance(value, list | dict)}
    if mutable & {read.name for read in names.reads}:
        for name in mutable:
            del constants[name]
