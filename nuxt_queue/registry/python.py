"""Reads what a Python worker file says about itself, from its syntax tree: nothing of it runs."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nuxt_queue.errors import WorkerLoadError
from nuxt_queue.registry.files import file_bytes
from nuxt_queue.registry.handler import handler_problem
from nuxt_queue.registry.literal import Known, Unknown, fold

__all__ = ["PythonSource", "read_config", "read_source"]

_CONFIG_MAKERS = frozenset({"define_config", "define_queue_config"})
_HANDLER_MARKS = frozenset({"define_worker", "define_queue_worker", "run_worker"})
_MUTATORS = frozenset(
    {"append", "clear", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}
)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_INNER = (*_SCOPES, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

_NO_CONFIG = (
    'has no config; state one at the top level, config = {"queue": {"name": ...}}, or move a file'
    " that is no worker into a folder whose name begins with a dot"
)
_NO_HANDLER = "has no handler; define handler(job, ctx), or call run_worker with your function"
_RELATIVE = (
    "a relative import fails in a worker, which is in no package; import the module by its name"
)


@dataclass(frozen=True, slots=True)
class PythonSource:
    """What a worker file states.

    Attributes:
        config: Its config as written, not checked.
        line: Where the config begins.
    """

    config: dict[str, Any]
    line: int


def read_config(path: Path) -> dict[str, Any]:
    """Return the config of a worker file as it is written, not checked and not completed.

    `config` is a dictionary at the top level, or `define_config` of one; names above it that stand
    for literals count as such, and the last assignment wins.

    Raises:
        WorkerLoadError: The file cannot be read, is no Python, or states no such config.
    """
    return _config(path, _TopLevel(_parse(path))).config


def read_source(path: Path) -> PythonSource:
    """Read a worker file and check that it can be run as one.

    Raises:
        WorkerLoadError: As `read_config`; or it has no handler, or one that takes no job and
            context, or imports relatively.
    """
    tree = _parse(path)
    top = _TopLevel(tree)
    if top.relative_import:
        raise WorkerLoadError(path, _RELATIVE, top.relative_import)
    source = _config(path, top)
    if not top.has_handler:
        raise WorkerLoadError(path, _NO_HANDLER)
    if problem := handler_problem(tree):
        line, reason = problem
        raise WorkerLoadError(path, reason, line)
    return source


def _config(path: Path, top: _TopLevel) -> PythonSource:
    found = top.names.get("config")
    if found is None:
        raise WorkerLoadError(path, _NO_CONFIG)
    if isinstance(found, Unknown):
        reason = f"config cannot be read without running the file: {found.reason}; write it out"
        raise WorkerLoadError(path, reason, found.line)
    if not isinstance(found.value, dict):
        kind = type(found.value).__name__
        raise WorkerLoadError(path, f"config is a {kind}; write a dictionary", top.config_line)
    return PythonSource(found.value, top.config_line)


def _parse(path: Path) -> ast.Module:
    """Parse a file, and compile it for the errors that only the compiler sees; nothing runs."""
    text = _text(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are the author's, not the caller's
            tree = ast.parse(text, filename=str(path))
            compile(tree, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise WorkerLoadError(path, f"SyntaxError: {error.msg}", error.lineno) from None
    except (RecursionError, MemoryError):
        raise WorkerLoadError(path, "is nested too deeply to be read") from None
    except ValueError as error:  # what a text cannot hold, for example half a character
        raise WorkerLoadError(path, f"is no Python: {error}") from None
    return tree


def _text(path: Path) -> str:
    """Read a file as Python does: byte order mark, encoding cookie, UTF-8."""
    data = file_bytes(path)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WorkerLoadError(path, f"is not {error.encoding}: {error.reason}", line) from None
    except (SyntaxError, LookupError, UnicodeError) as error:  # a codec may raise any of them
        raise WorkerLoadError(path, f"has no usable encoding: {error}") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise WorkerLoadError(path, "holds a null character; save it as text in UTF-8", line)
    return text


class _TopLevel:
    """What the top level of a module binds, statement by statement; the last one wins.

    Attributes:
        names: What each name stands for in the end.
        config_line: Where the last config begins.
        has_handler: Whether there is something to run.
        relative_import: The line of one, or 0.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.names: dict[str, Known | Unknown] = {}
        self.config_line = 0
        self._makers, self._marks = _CONFIG_MAKERS, _HANDLER_MARKS
        uses, imports = set(), []
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                imports.append(node)
                self._note_aliases(node)
            elif isinstance(node, ast.Name | ast.Attribute):
                uses.add(_called_name(node))
        for statement in tree.body:
            if not _is_main_guard(statement):
                self._read(statement)
        self.has_handler = "handler" in self.names or not self._marks.isdisjoint(uses)
        self.relative_import = _relative_import(tree) if any(i.level for i in imports) else 0

    def _note_aliases(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name in _CONFIG_MAKERS:
                self._makers |= {alias.asname or alias.name}
            elif alias.name in _HANDLER_MARKS:
                self._marks |= {alias.asname or alias.name}

    def _read(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=targets, value=value) if all(
                isinstance(target, ast.Name) for target in targets
            ):
                self._forget(value, statement)
                for target in targets:
                    self._bind(target, value)
            case ast.AnnAssign(target=ast.Name() as target, value=value):
                if value is not None:
                    self._forget(value, statement)
                    self._bind(target, value)
            case _:
                self._forget(statement, statement)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        assert isinstance(target, ast.Name)
        self.names[target.id] = self._value(value)
        if target.id == "config":
            self.config_line = target.lineno

    def _value(self, node: ast.expr) -> Known | Unknown:
        if not isinstance(node, ast.Call) or _called_name(node) not in self._makers:
            return fold(node, self.names)
        if len(node.args) > 1:
            return Unknown(node.lineno, "define_config takes one dictionary")
        # define_config(base, key=...) is what {**base, "key": ...} is.
        keys: list[ast.expr | None] = [None for _ in node.args]
        keys += [ast.Constant(k.arg, lineno=node.lineno) if k.arg else None for k in node.keywords]
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        merged = ast.Dict(keys, values, lineno=node.lineno)
        return fold(node.args[0] if node.args and not node.keywords else merged, self.names)

    def _forget(self, node: ast.AST, statement: ast.stmt) -> None:
        """Mark what a statement binds or changes in a way that only running it would tell."""
        for name, line in _touched(node):
            self.names[name] = Unknown(line, f"`{name}` {_how(statement)}")


def _touched(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the names that a node binds or changes in its own scope, with their lines."""
    todo = [node]  # no recursion: a tree may be deeper than the stack
    while todo:
        node = todo.pop()
        yield from _changes(node)
        if not isinstance(node, _INNER):
            todo.extend(ast.iter_child_nodes(node))


def _changes(node: ast.AST) -> Iterator[tuple[str, int]]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name, node.lineno
        case ast.Subscript(ctx=ast.Store() | ast.Del()):
            yield from _root(node)
        case ast.Attribute(ctx=ast.Store() | ast.Del()):
            yield from _root(node)
        case ast.Call(func=ast.Attribute(attr=method, value=value)) if method in _MUTATORS:
            yield from _root(value)
        case ast.Import() | ast.ImportFrom():
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], node.lineno
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name, node.lineno
        case ast.ExceptHandler(name=str() as name) | ast.MatchAs(name=str() as name):
            yield name, node.lineno
        case _:
            pass


def _root(node: ast.expr) -> Iterator[tuple[str, int]]:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id, node.lineno


def _how(statement: ast.stmt) -> str:
    match statement:
        case ast.Import() | ast.ImportFrom():
            return "comes from an import"
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return "is a function or a class"
        case ast.If() | ast.For() | ast.While() | ast.With() | ast.Try() | ast.Match():
            return f"is set inside `{type(statement).__name__.lower()}`"
        case _:
            return "is changed by a statement that has to run"


def _called_name(node: ast.AST) -> str | None:
    """Return what a call or a bare use names last: `run_worker` of `nuxt_queue.run_worker`."""
    target = node.func if isinstance(node, ast.Call) else node
    match target:
        case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
            return name
        case _:
            return None


def _is_main_guard(statement: ast.stmt) -> bool:
    match statement:
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()])):
            return True
        case _:
            return False


def _relative_import(tree: ast.Module) -> int:
    """Return the line of a relative import that is executed, not only read by type checkers."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.ImportFrom) and node.level:
            return node.lineno
        if isinstance(node, ast.If) and _called_name(node.test) == "TYPE_CHECKING":
            todo.extend(node.orelse)
        else:
            todo.extend(ast.iter_child_nodes(node))
    return 0
