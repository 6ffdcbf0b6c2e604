"""The value of an expression of JavaScript or TypeScript that can be known without running it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

from tree_sitter import Node

__all__ = ["CONFIG_MAKERS", "TRANSPARENT", "NotKnownError", "Value", "fold", "text_of"]

CONFIG_MAKERS = frozenset({"defineQueueConfig", "defineFunctionConfig"})

# What names doubled by spreading may grow to: 30 lines of it would otherwise fill the memory.
_MAX_WEIGHT = 1_000_000
_SHOWN = 60  # characters of an expression in a message
_EXACT = 2**53
_ABSENT = object()  # `undefined`: a property that is not there

Value = Any
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_CODE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]+)\})$")
_OLD_OCTAL = re.compile(r"0\d")
# What only says of which type something is.
TRANSPARENT = frozenset({
    "parenthesized_expression", "as_expression", "satisfies_expression", "non_null_expression",
})  # fmt: skip
_LITERALS: dict[str, Value] = {"true": True, "false": False, "null": None, "undefined": _ABSENT}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
}


class NotKnownError(Exception):
    """Raised for an expression that has to run; never leaves the registry.

    Attributes:
        line: The line to blame.
        reason: One sentence.
    """

    def __init__(self, node: Node, why: str, *, quote: bool = True) -> None:
        super().__init__(why)
        self.line = node.start_point.row + 1
        self.reason = f"`{_shown(node)}` {why}" if quote else why


def fold(
    node: Node,
    names: Mapping[str, Value | NotKnownError],
    makers: Collection[str] = CONFIG_MAKERS,
) -> Value:
    """Return the value of an expression made of literals, known names and a few operators.

    Objects, arrays, texts, templates, numbers, spreads and members of known names, `+ - *`, and a
    config's definition of such; types are passed over.

    Args:
        node: The expression.
        names: What is known of the names that it may use.
        makers: The functions that return their argument.

    Raises:
        NotKnownError: It would have to run.
    """
    try:
        value = _Folder(names, makers).fold(node)
    except RecursionError:
        raise NotKnownError(node, "the expression is nested too deeply", quote=False) from None
    return None if value is _ABSENT else value


def text_of(node: Node) -> str:
    """Return a node's source."""
    return (node.text or b"").decode("utf-8", "replace")


class _Folder:
    def __init__(self, names: Mapping[str, Value | NotKnownError], makers: Collection[str]) -> None:
        self._names, self._makers = names, makers
        self._weight = 0

    def fold(self, node: Node) -> Value:
        self._grow(node, 1)
        kind = node.type
        if kind in _LITERALS:
            return _LITERALS[kind]
        if kind in TRANSPARENT:
            return self.fold(_operands(node)[0])
        if kind == "type_assertion":  # <Type>value
            return self.fold(_operands(node)[-1])
        method = self._BY_KIND.get(kind)
        if method is None:
            raise NotKnownError(node, "has to run")
        return method(self, node)

    def _string(self, node: Node) -> str:
        parts = []
        for part in node.children:
            if part.type == "string_fragment":
                parts.append(text_of(part))
            elif part.type == "escape_sequence":
                parts.append(_unescaped(part))
            elif part.type == "template_substitution":
                parts.append(self._inserted(_operands(part)[0]))
        text = "".join(parts)
        self._grow(node, len(text))
        return text

    def _inserted(self, node: Node) -> str:
        value = self.fold(node)
        if type(value) is bool:
            return str(value).lower()
        if type(value) not in (str, int):
            raise NotKnownError(node, "has to run to become text")
        return str(value)

    def _number(self, node: Node) -> int | float:
        text = text_of(node).replace("_", "").lower()
        try:
            if text[:2] in ("0x", "0o", "0b"):
                return int(text, 0)
            if not _OLD_OCTAL.match(text):
                return _plain(float(text))
        except ValueError:  # a bigint
            pass
        raise NotKnownError(node, "is no number that JSON has")

    def _array(self, node: Node) -> list[Value]:
        values: list[Value] = []
        for item in _operands(node):
            if item.type == "spread_element":
                spread = self.fold(_operands(item)[0])
                if not isinstance(spread, list):
                    raise NotKnownError(item, "has to run")
                values.extend(spread)
                self._grow(item, len(spread))
            elif (value := self.fold(item)) is _ABSENT:
                raise NotKnownError(item, "is no item that JSON has; use null")
            else:
                values.append(value)
        return values

    def _object(self, node: Node) -> dict[str, Value]:
        made: dict[str, Value] = {}
        for item in _operands(node):
            if item.type == "spread_element":
                spread = self.fold(_operands(item)[0])
                if not isinstance(spread, dict):
                    raise NotKnownError(item, "has to run")
                made.update(spread)
                self._grow(item, len(spread))
                continue
            key, value = self._property(item)
            if value is _ABSENT:
                made.pop(key, None)
            else:
                made[key] = value
        return made

    def _property(self, item: Node) -> tuple[str, Value]:
        if item.type == "shorthand_property_identifier":
            return text_of(item), self._name(item)
        key, value = item.child_by_field_name("key"), item.child_by_field_name("value")
        if item.type != "pair" or key is None or value is None:
            raise NotKnownError(item, "is code, and a config holds data")
        return self._key(key), self.fold(value)

    def _key(self, node: Node) -> str:
        if node.type == "property_identifier":
            return text_of(node)
        inner = _operands(node)[0] if node.type == "computed_property_name" else node
        key = self.fold(inner)
        if type(key) not in (str, int):
            raise NotKnownError(node, "has to run to become a key")
        return str(key)

    def _name(self, node: Node) -> Value:
        name = text_of(node)
        if name not in self._names:
            raise NotKnownError(node, "has no value above this line")
        found = self._names[name]
        if isinstance(found, NotKnownError):
            raise found
        return found

    def _member(self, node: Node) -> Value:
        holder = node.child_by_field_name("object")
        index = node.child_by_field_name("index")
        name = node.child_by_field_name("property")
        assert holder is not None
        inside = self.fold(holder)
        key = self.fold(index) if index else text_of(name) if name else None
        if isinstance(inside, dict) and isinstance(key, str) and key in inside:
            return inside[key]
        if isinstance(inside, list) and type(key) is int and 0 <= key < len(inside):
            return inside[key]
        raise NotKnownError(node, "has to run")

    def _unary(self, node: Node) -> Value:
        operator, operand = node.child_by_field_name("operator"), _operands(node)[0]
        value = self.fold(operand)
        if operator is None or operator.type not in "+-" or type(value) not in (int, float):
            raise NotKnownError(node, "has to run")
        return -value if operator.type == "-" else value

    def _binary(self, node: Node) -> Value:
        operator = node.child_by_field_name("operator")
        left, right = (self.fold(operand) for operand in _operands(node))
        numbers = {type(left), type(right)} <= {int, float}
        texts = type(left) is str and type(right) is str
        function = _ARITHMETIC.get(operator.type if operator else "")
        if function is None or not (numbers or (texts and operator and operator.type == "+")):
            raise NotKnownError(node, "has to run")
        made = function(left, right)
        if texts:
            self._grow(node, len(made))
            return made
        if abs(made) >= _EXACT:
            raise NotKnownError(node, "is a number beyond 2^53")
        return _plain(made)

    def _call(self, node: Node) -> Value:
        function, arguments = (node.child_by_field_name(f) for f in ("function", "arguments"))
        given = _operands(arguments) if arguments else []
        name = text_of(function) if function else ""
        if name not in self._makers or len(given) != 1:
            raise NotKnownError(node, "has to run")
        return self.fold(given[0])

    def _grow(self, node: Node, weight: int) -> None:
        self._weight += weight
        if self._weight > _MAX_WEIGHT:
            raise NotKnownError(node, f"it grows beyond {_MAX_WEIGHT} items", quote=False)

    _BY_KIND: ClassVar[dict[str, Callable[[_Folder, Node], Value]]] = {
        "string": _string,
        "template_string": _string,
        "number": _number,
        "array": _array,
        "object": _object,
        "identifier": _name,
        "member_expression": _member,
        "subscript_expression": _member,
        "unary_expression": _unary,
        "binary_expression": _binary,
        "call_expression": _call,
    }


def _operands(node: Node) -> list[Node]:
    """Return what a node is made of, without its comments."""
    return [child for child in node.named_children if child.type != "comment"]


def _plain(number: float) -> int | float:
    """Return a number as JSON writes it: 1e3 and 1000 are one in JavaScript."""
    is_whole = type(number) is float and number.is_integer() and abs(number) < _EXACT
    return int(number) if is_whole else number


def _unescaped(node: Node) -> str:
    text = text_of(node)
    code = _CODE.match(text)
    if code is None:
        return "" if text[1:] in ("\n", "\r\n") else _ESCAPES.get(text[1:], text[1:])
    try:
        return chr(int(next(filter(None, code.groups())), 16))
    except (ValueError, OverflowError):
        raise NotKnownError(node, "is no character") from None


def _shown(node: Node) -> str:
    text = " ".join(text_of(node).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
