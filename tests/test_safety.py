"""What no module of the packages does: run data as code, or hand a line to a shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(p for name in ("nuxt_queue", "nbtools") for p in (ROOT / name).rglob("*.py"))

# To run the worker's file is what a worker process is for, and what `nq-export --verify` was asked
# to do; the other runs this package itself.
MAY_EXEC = {
    ("nbtools/verify.py", "_handler_of"),
    ("nuxt_queue/sdk/entry.py", "run_file"),
    ("nuxt_queue/sdk/lent/nuxt_queue.py", "<module>"),
}
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "__import__", "system", "popen"}


def found(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield what a module must not do, with the function that does it."""
    for function, node in walk(tree, "<module>"):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            yield from (
                (function, name) for name in names if name.partition(".")[0] in FORBIDDEN_MODULES
            )
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in FORBIDDEN_CALLS:
                yield function, name
            for keyword in node.keywords:
                if keyword.arg == "shell":
                    yield function, "shell"


def walk(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    """Walk a tree, telling for each node the function that it is in."""
    for child in ast.iter_child_nodes(node):
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        name = child.name if inside else function  # type: ignore[attr-defined]
        yield name, child
        yield from walk(child, name)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_module_runs_data_as_code_or_starts_a_shell(path: Path) -> None:
    """Faults 91 and 103: no pickle, eval or exec on data, and no shell anywhere."""
    name = path.relative_to(ROOT).as_posix()
    done = {(name, function) for function, _ in found(ast.parse(path.read_text("utf-8")))}
    assert done <= MAY_EXEC


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "eval('1')",
        "os.system('x')",
        "run(x, shell=True)",
    ],
)
def test_the_check_sees_what_it_looks_for(line: str) -> None:
    assert list(found(ast.parse(line)))
