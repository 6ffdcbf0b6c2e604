"""Literals: the value of an expression that can be known without running anything."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Known", "Names", "Unknown", "fold"]

# What names doubled by `+` may grow to: 30 lines of it would otherwise fill the memory.
_MAX_WEIGHT = 1_000_000
_MAX_INT = 2**53
_SHOWN = 60  # characters of an expression in a message


@dataclass(frozen=True, slots=True)
class Known:
    """A value; `weight` counts its items and characters."""

    value: Any
    weight: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why there is no value without running the file.

    Attributes:
        line: The line to blame.
        why: The end of a sentence; it begins with `node`, if there is one.
        node: The expression to blame.  Its text is made when asked for: most are never shown.
    """

    line: int
    why: str
    node: ast.expr | None = None

    @property
    def reason(self) -> str:
        """The sentence."""
        return f"`{_source(self.node)}` {self.why}" if self.node else self.why


Names = Mapping[str, Known | Unknown]


def fold(node: ast.expr, names: Names) -> Known | Unknown:
    """Return the value of an expression made of literals, known names and a few operators.

    Lists, tuples, dictionaries, `*` and `**` of known ones, `+ - *` of numbers, `+` of texts and
    lists, `|` of dictionaries, and f-strings of plain names.

    Args:
        node: The expression.
        names: What is known of the names that it may use.
    """
    try:
        return _Folder(names).fold(node)
    except _NotKnownError as error:
        return error.unknown
    except RecursionError:
        return Unknown(node.lineno, "the expression is nested too deeply")


class _NotKnownError(Exception):
    """Carries the reason out of the recursion; never leaves this module."""

    def __init__(self, unknown: Unknown) -> None:
        super().__init__(unknown)
        self.unknown = unknown


class _Folder:
    def __init__(self, names: Names) -> None:
        self._names = names

    def fold(self, node: ast.expr) -> Known:
        match node:
            case ast.Constant(value=value):
                known = Known(value, 1 + (len(value) if isinstance(value, str | bytes) else 0))
            case ast.Name(id=name):
                known = self._name(node, name)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                values, weight = self._items(items)
                known = Known(values if isinstance(node, ast.List) else tuple(values), weight)
            case ast.Dict():
                known = self._dict(node)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                known = self._signed(node, sign, self.fold(operand))
            case ast.BinOp(left=left, op=operator, right=right):
                known = self._joined(node, operator, self.fold(left), self.fold(right))
            case ast.JoinedStr(values=parts):
                known = self._text(node, parts)
            case _:
                raise _computed(node)
        if known.weight > _MAX_WEIGHT:
            raise _NotKnownError(Unknown(node.lineno, f"it grows beyond {_MAX_WEIGHT} items"))
        return known

    def _name(self, node: ast.expr, name: str) -> Known:
        found = self._names.get(name)
        if found is None:
            found = Unknown(node.lineno, f"`{name}` has no value above this line")
        if isinstance(found, Unknown):
            raise _NotKnownError(found)
        return found

    def _items(self, nodes: list[ast.expr]) -> tuple[list[Any], int]:
        values: list[Any] = []
        weight = 1
        for node in nodes:
            if isinstance(node, ast.Starred):
                known = self.fold(node.value)
                if not isinstance(known.value, list | tuple):
                    raise _computed(node)
                values.extend(known.value)
            else:
                known = self.fold(node)
                values.append(known.value)
            weight += known.weight
        return values, weight

    def _dict(self, node: ast.Dict) -> Known:
        folded: dict[Any, Any] = {}
        weight = 1
        for key, item in zip(node.keys, node.values, strict=True):
            known = self.fold(item)
            weight += known.weight
            if key is None:
                if not isinstance(known.value, dict):
                    raise _computed(item)
                folded.update(known.value)
                continue
            name = self.fold(key)
            weight += name.weight
            if isinstance(name.value, dict | list | tuple):
                raise _NotKnownError(Unknown(key.lineno, "is a key and no text", key))
            folded[name.value] = known.value
        return Known(folded, weight)

    def _signed(self, node: ast.expr, sign: ast.unaryop, known: Known) -> Known:
        if type(known.value) not in (int, float):
            raise _computed(node)
        return Known(-known.value if isinstance(sign, ast.USub) else known.value, known.weight)

    def _joined(self, node: ast.expr, operator: ast.operator, left: Known, right: Known) -> Known:
        a, b, weight = left.value, right.value, left.weight + right.weight
        numbers = type(a) in (int, float) and type(b) in (int, float)
        if weight > _MAX_WEIGHT:
            return Known(None, weight)  # refused by the caller; not built
        match operator:
            case ast.Add() if type(a) is type(b) and type(a) in (str, list, tuple):
                return Known(a + b, weight)
            case ast.BitOr() if isinstance(a, dict) and isinstance(b, dict):
                return Known(a | b, weight)
            case ast.Add() | ast.Sub() | ast.Mult() if numbers:
                return Known(_calculated(node, operator, a, b), 1)
        raise _computed(node)

    def _text(self, node: ast.expr, parts: list[ast.expr]) -> Known:
        text, weight = "", 1
        for part in parts:
            inner = part
            if isinstance(part, ast.FormattedValue):
                if part.conversion != -1 or part.format_spec is not None:
                    raise _computed(node)
                inner = part.value
            known = self.fold(inner)
            weight += known.weight
            if type(known.value) not in (str, int) or weight > _MAX_WEIGHT:
                raise _computed(node)
            text += str(known.value)
        return Known(text, weight)


def _calculated(node: ast.expr, operator: ast.operator, a: float, b: float) -> float:
    if max(abs(a), abs(b)) > _MAX_INT:
        raise _NotKnownError(Unknown(node.lineno, "is a number too large", node))
    if isinstance(operator, ast.Add):
        return a + b
    return a - b if isinstance(operator, ast.Sub) else a * b


def _computed(node: ast.expr) -> _NotKnownError:
    why = "is a set, not a list" if isinstance(node, ast.Set) else "has to be computed"
    return _NotKnownError(Unknown(node.lineno, why, node))


def _source(node: ast.expr) -> str:
    try:
        text = " ".join(ast.unparse(node).split())
    except RecursionError:
        return "..."
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
