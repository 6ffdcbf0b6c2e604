"""Reads what a worker file of JavaScript or TypeScript says about itself: nothing of it runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tree_sitter_javascript
import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

from nuxt_queue.errors import WorkerLoadError
from nuxt_queue.registry.files import file_bytes
from nuxt_queue.registry.node_values import (
    CONFIG_MAKERS,
    TRANSPARENT,
    NotKnownError,
    Value,
    fold,
    text_of,
)

__all__ = ["NodeSource", "read_node_source"]

_TYPESCRIPT = frozenset({".ts", ".mts", ".cts"})
_HANDLER_MAKERS = frozenset({"defineQueueWorker", "defineFunction"})
_NO_HANDLER = (
    "has no default export; write `export default defineQueueWorker(async (job, ctx) => …)`, or"
    " move a file that is no worker into a folder whose name begins with a dot"
)
# What certainly is no function.
_DATA = frozenset({
    "object", "array", "string", "template_string", "number", "true", "false", "null", "undefined",
    "class", "class_declaration", "abstract_class_declaration", "enum_declaration",
})  # fmt: skip
_NOT_VALUES = frozenset({"interface_declaration", "type_alias_declaration"})
_DECLARATIONS = frozenset({"lexical_declaration", "variable_declaration"})
_CONFIG_TARGETS = frozenset({"exports.config", "module.exports.config"})
_DEFAULT_TARGETS = frozenset({"module.exports", "exports.default", "module.exports.default"})
_MUTATORS = frozenset({"push", "pop", "shift", "unshift", "splice", "sort", "reverse", "fill"})
_MUTATING = frozenset({"Object.assign", "Object.defineProperty", "Object.defineProperties"})


@dataclass(frozen=True, slots=True)
class NodeSource:
    """What a worker file states.

    Attributes:
        config: Its config as written, not checked; empty when it states none.
        line: Where the config begins, None when there is none.
    """

    config: dict[str, Any]
    line: int | None


def read_node_source(path: Path) -> NodeSource:
    """Read a worker file and check that it can be run as one.

    The handler is its default export, the config its export `config`: an object of literals,
    names that stand for such, and simple sums.  A worker without a config is one with the
    defaults, as for the host.

    Raises:
        WorkerLoadError: The file cannot be read, is no JavaScript or TypeScript, has no handler,
            or a config that would have to run.
    """
    module = _Module(_parse(path).root_node)
    if problem := module.handler_problem():
        line, reason = problem
        raise WorkerLoadError(path, reason, line)
    if module.config is None:
        return NodeSource({}, None)
    config, line = module.config
    if isinstance(config, NotKnownError):
        reason = f"config cannot be read without running the file: {config.reason}; write it out"
        raise WorkerLoadError(path, reason, config.line)
    if not isinstance(config, dict):
        raise WorkerLoadError(path, "config is no object; write one", line)
    return NodeSource(config, line)


def _parse(path: Path) -> Any:
    data = file_bytes(path)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WorkerLoadError(path, f"is not UTF-8: {error.reason}", line) from None
    tree = Parser(_language(path.suffix in _TYPESCRIPT)).parse(data.removeprefix(b"\xef\xbb\xbf"))
    if tree.root_node.has_error:
        line = _first_error(tree.root_node).start_point.row + 1
        raise WorkerLoadError(path, "SyntaxError: this cannot be parsed", line)
    return tree


@cache
def _language(typescript: bool) -> Language:  # noqa: FBT001 its one argument
    grammar = (
        tree_sitter_typescript.language_typescript()
        if typescript
        else tree_sitter_javascript.language()
    )
    return Language(grammar)


def _first_error(root: Node) -> Node:
    """Find the first thing that is wrong or missing."""
    node = root
    while not (node.is_error or node.is_missing):
        node = next(child for child in node.children if child.has_error)
    return node


class _Module:
    """What the top level of a file exports and what its names stand for; the last one wins."""

    def __init__(self, root: Node) -> None:
        self._names: dict[str, Value | NotKnownError] = {}
        self._lines: dict[str, int] = {}
        self._makers = {*CONFIG_MAKERS, "Object.freeze"}
        self._default: Node | None = None
        self._configs: list[tuple[str, Node]] = []  # the names that are exported as `config`
        for statement in root.named_children:
            self._read(statement)

    @property
    def config(self) -> tuple[Value | NotKnownError, int] | None:
        """The exported config, or why it is not known, with its line; None when there is none."""
        if not self._configs:
            return None
        name, node = self._configs[-1]
        missing = NotKnownError(node, "has no value at the top level")
        line = self._lines.get(name, node.start_point.row + 1)
        return self._names.get(name, missing), line

    def handler_problem(self) -> tuple[int | None, str] | None:
        """Return the line and the reason when the default export can be no handler."""
        node = self._default
        if node is None:
            return None, _NO_HANDLER
        inner = _value(node)
        if inner.type == "call_expression":
            function, given = inner.child_by_field_name("function"), _arguments(inner)
            if function and text_of(function) in _HANDLER_MAKERS and given:
                inner = _value(given[0])
        known = self._names.get(text_of(inner)) if inner.type == "identifier" else None
        if known is not None and not isinstance(known, NotKnownError):
            line = self._lines[text_of(inner)]
            return line, f"its handler `{text_of(inner)}` is data and no function (job, ctx)"
        if inner.type not in _DATA:
            return None
        kind = inner.type.removesuffix("_declaration").replace("_", " ")
        article = "an" if kind[0] in "aeiou" else "a"
        line = inner.start_point.row + 1
        return line, f"its handler is {article} {kind} and no function (job, ctx)"

    def _read(self, statement: Node) -> None:
        match statement.type:
            case "export_statement":
                self._read_export(statement)
            case kind if kind in _DECLARATIONS:
                self._declare(statement)
            case "import_statement":
                self._import(statement)
            case "expression_statement":
                self._run(statement.named_children[0])
            case _:
                pass

    def _read_export(self, statement: Node) -> None:
        declaration = statement.child_by_field_name("declaration")
        words = {child.type for child in statement.children}
        if "default" in words:
            types_only = declaration is not None and declaration.type in _NOT_VALUES
            value = statement.child_by_field_name("value") or declaration
            self._default = None if types_only else value
        elif "=" in words:  # `export = handler`
            self._default = statement.named_children[0]
        elif declaration and declaration.type in _DECLARATIONS:
            if "config" in self._declare(declaration):
                self._configs.append(("config", declaration))
        else:
            for child in statement.named_children:
                if child.type == "export_clause":
                    self._read_clause(child, elsewhere="from" in words)

    def _read_clause(self, clause: Node, *, elsewhere: bool) -> None:
        """Read `export { name as config }`, of this file or `from` another."""
        for specifier in clause.named_children:
            name = specifier.child_by_field_name("name")
            alias = specifier.child_by_field_name("alias") or name
            if name is None or alias is None:
                continue
            if text_of(alias) == "default":
                self._default = name
            elif text_of(alias) == "config":
                self._configs.append((text_of(name), specifier))
                if elsewhere:
                    self._names[text_of(name)] = NotKnownError(specifier, "comes from another file")

    def _declare(self, declaration: Node) -> list[str]:
        names = []
        for declarator in declaration.named_children:
            name = declarator.child_by_field_name("name")
            if declarator.type == "variable_declarator" and name and name.type == "identifier":
                names.append(text_of(name))
                value = declarator.child_by_field_name("value")
                self._bind(text_of(name), value or declarator)
        return names

    def _import(self, statement: Node) -> None:
        """Note what the functions that define a config are called here."""
        for clause in statement.named_children:
            for imports in clause.named_children:
                for specifier in imports.named_children:
                    name, alias = (specifier.child_by_field_name(f) for f in ("name", "alias"))
                    if name and alias and text_of(name) in CONFIG_MAKERS:
                        self._makers.add(text_of(alias))

    def _bind(self, name: str, value: Node) -> None:
        self._lines[name] = value.start_point.row + 1
        try:
            self._names[name] = fold(value, self._names, self._makers)
        except NotKnownError as error:
            self._names[name] = error

    def _run(self, expression: Node) -> None:
        """Take what a statement exports the CommonJS way, and forget what it changes."""
        left, right = (expression.child_by_field_name(field) for field in ("left", "right"))
        target = text_of(left) if left and expression.type == "assignment_expression" else ""
        if right and target in _CONFIG_TARGETS:
            self._bind("exports.config", right)
            self._configs.append(("exports.config", expression))
        elif right and target in _DEFAULT_TARGETS:
            self._default = right
        elif name := _changed(expression):
            self._names[name] = NotKnownError(
                expression, f"`{name}` is changed by a statement that has to run", quote=False
            )


def _changed(expression: Node) -> str | None:
    """Return the name whose value a statement changes, if one does."""
    target = None
    match expression.type:
        case "assignment_expression" | "augmented_assignment_expression":
            target = expression.child_by_field_name("left")
        case "update_expression" | "unary_expression":  # `delete` among them
            target = expression.child_by_field_name("argument")
        case "call_expression":
            target = _changed_by_call(expression)
        case _:
            pass
    while target and target.type in ("member_expression", "subscript_expression"):
        target = target.child_by_field_name("object")
    return text_of(target) if target and target.type == "identifier" else None


def _changed_by_call(call: Node) -> Node | None:
    function, given = call.child_by_field_name("function"), _arguments(call)
    if function is None or function.type != "member_expression":
        return None
    method = function.child_by_field_name("property")
    if method and text_of(method) in _MUTATORS:
        return function.child_by_field_name("object")
    return given[0] if given and text_of(function) in _MUTATING else None


def _arguments(call: Node) -> list[Node]:
    arguments = call.child_by_field_name("arguments")
    return [c for c in arguments.named_children if c.type != "comment"] if arguments else []


def _value(node: Node) -> Node:
    """Return an expression without what only says of which type it is."""
    while node.type in TRANSPARENT:
        node = next(child for child in node.named_children if child.type != "comment")
    return node
