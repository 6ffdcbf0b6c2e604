"""What an exported cell would do while its file is imported, which happens for every job."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from nbtools.errors import Diagnostic
from nbtools.exporter.code import Code

__all__ = ["check_importing", "immediate"]

_LATE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DEFINES = (*_LATE, ast.ClassDef, ast.Import, ast.ImportFrom)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_LOOP_STARTERS = frozenset({"asyncio.run", "anyio.run", "trio.run"})
# Calls that stand alone because they set something up: what importing is for.
_SET_UP = frozenset({
    "add", "addHandler", "addLevelName", "append", "basicConfig", "clear", "dictConfig", "disable",
    "discard", "enable", "extend", "filterwarnings", "getLogger", "insert", "load_dotenv",
    "manual_seed", "pop", "register", "remove", "reverse", "run_worker", "seed",
    "set_num_threads", "set_option", "set_printoptions", "set_style", "set_theme", "setattr",
    "setdefault", "setLevel", "seterr", "setlocale", "setrecursionlimit",
    "simplefilter", "sort", "switch_backend", "update", "use",
})  # fmt: skip
# Calls whose value is kept, and that take long, wait, or reach out of the process.
_REACHES_OUT = re.compile(
    r"(open|input|sleep|system|popen|urlopen|urlretrieve|from_pretrained|fit|fit_transform|train"
    r"|check_output|check_call|Popen|read_(csv|parquet|excel|json|sql|table|html|feather|pickle)\w*"
    r"|read_text|read_bytes|load_dataset|fetch_\w+|download\w*|connect|create_engine|cross_val_\w+"
    r"|(requests|httpx)\.(get|post|put|request)|subprocess\.run|(pickle|joblib|torch|np)\.load)"
)
# Cheap enough to fill a table with, in a loop.
_CHEAP = frozenset({"range", "enumerate", "zip", "len", "items", "values", "keys", "sorted", "str"})


def check_importing(code: Code, found: list[Diagnostic]) -> None:
    """Refuse what cannot run while a file is imported, and warn about what should not."""
    awaits = code.may_mention("await", "async", "run")
    for node in immediate(code.body) if awaits else ():
        found += _waits(node, code.number)
    for line, what in _effects(code.body) if code.may_mention("(", "while") else ():
        message = f"{what} while the file is imported, which happens for every job"
        fix = "move it into the handler, or leave it in an untagged cell"
        found.append(Diagnostic("NQ217", message, fix, code.number, line, is_warning=True))


def immediate(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes that run while the file is imported, in no particular order."""
    todo: list[ast.AST] = list(nodes)
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, _LATE):
            todo += [*node.args.defaults, *(each for each in node.args.kw_defaults if each)]
            todo += getattr(node, "decorator_list", [])
        elif not isinstance(node, ast.GeneratorExp):
            todo += ast.iter_child_nodes(node)


def _waits(node: ast.AST, cell: int) -> Iterator[Diagnostic]:
    line = getattr(node, "lineno", 0)
    fix = "move it into the handler, or leave it in an untagged cell"
    if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) or (
        isinstance(node, ast.comprehension) and node.is_async
    ):
        line = line or node.target.lineno  # type: ignore[union-attr]  # a comprehension has no line
        message = "awaits outside of a function, which only a notebook allows"
        yield Diagnostic("NQ204", message, fix, cell, line)
    if isinstance(node, ast.Call) and _starts_loop(node.func):
        message = f"{ast.unparse(node.func)}() would run while the file is imported"
        yield Diagnostic("NQ204", message, fix, cell, line)


def _starts_loop(function: ast.expr) -> bool:
    if not isinstance(function, ast.Attribute):
        return False
    return function.attr == "run_until_complete" or ast.unparse(function) in _LOOP_STARTERS


def _effects(body: Iterable[ast.stmt]) -> Iterator[tuple[int, str]]:
    """Yield line and description of what each statement does besides defining something."""
    for statement in body:
        if isinstance(statement, _DEFINES) or _is_another_time(statement):
            continue
        if isinstance(statement, ast.Expr):
            yield from _bare(statement)
        elif isinstance(statement, _LOOPS):
            calls = [_last(call.func) for call in _calls([statement])]
            if isinstance(statement, ast.While) or set(calls) - _CHEAP - _SET_UP:
                yield statement.lineno, "runs a loop"
        else:
            blocks = _blocks(statement)
            inner = {id(each) for block in blocks for each in block}
            heads = [each for each in ast.iter_child_nodes(statement) if id(each) not in inner]
            for call in _calls(heads):
                if _REACHES_OUT.fullmatch(_last(call.func)) or _REACHES_OUT.fullmatch(
                    _dotted(call.func)
                ):
                    yield call.lineno, f"calls {_dotted(call.func)}()"
            for block in blocks:
                yield from _effects(block)


def _bare(statement: ast.Expr) -> Iterator[tuple[int, str]]:
    call = statement.value
    if isinstance(call, ast.Call):
        if _last(call.func) not in _SET_UP and not _starts_loop(call.func):
            yield statement.lineno, f"calls {_dotted(call.func)}()"
    elif not isinstance(call, ast.Await) and any(_calls([call])):
        yield statement.lineno, "shows a value"


def _blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    """Return the blocks of a compound statement."""
    blocks = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
    parts = [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]
    return [*blocks, *(part.body for part in parts)]


def _calls(nodes: Iterable[ast.AST]) -> Iterator[ast.Call]:
    return (node for node in immediate(nodes) if isinstance(node, ast.Call))


def _last(function: ast.expr) -> str:
    name: str = getattr(function, "id", getattr(function, "attr", ""))
    return name


def _dotted(function: ast.expr) -> str:
    names: list[str] = []
    while isinstance(function, ast.Attribute):
        names.append(function.attr)
        function = function.value
    names.append(function.id if isinstance(function, ast.Name) else "…")
    return ".".join(reversed(names))


def _is_another_time(statement: ast.stmt) -> bool:
    """Tell whether a statement is for type checkers, or for running the file as a script."""
    if not isinstance(statement, ast.If):
        return False
    names = {_last(node) for node in ast.walk(statement.test) if isinstance(node, ast.expr)}
    return not names.isdisjoint({"TYPE_CHECKING", "__name__"})
