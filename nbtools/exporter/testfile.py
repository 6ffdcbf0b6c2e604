"""The test cells of a notebook as a test file: what was tried out once is tested for ever.

A cell that defines tests stands in the file as it is.  Any other becomes one test: its lines in a
function, its names shared with the cells after it as in the notebook.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from nbtools.errors import Diagnostic, ExportError
from nbtools.exporter.analysis import names_of
from nbtools.exporter.code import Code, parse_cell
from nbtools.exporter.export import Exported, portable_name
from nbtools.exporter.importing import immediate
from nbtools.exporter.policy import MagicPolicy
from nbtools.exporter.render import with_header
from nbtools.exporter.roles import Marked, assign_roles
from nbtools.exporter.slices import Slice
from nbtools.exporter.sourcemap import ENTRY, cell_marker, marker_prefix
from nbtools.exporter.standalone import check_names
from nbtools.notebook import Notebook

__all__ = ["CellTests", "render_tests", "tests_target"]

_AWAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith)
_OPENING = """\
import asyncio
import importlib.util
import sys
from pathlib import Path

_nq_worker = Path(__file__).parent / {worker!r}
_nq_spec = importlib.util.spec_from_file_location({module!r}, _nq_worker)
_nq_module = sys.modules[_nq_spec.name] = importlib.util.module_from_spec(_nq_spec)
sys.path.append(str(_nq_worker.parent))
_nq_spec.loader.exec_module(_nq_module)
"""


class CellTests(NamedTuple):
    """A test file made from a notebook; nothing has been written yet.

    Attributes:
        notebook: The notebook as the caller named it.
        text: The file.
        cells: The numbers of the cells that became part of it.
        warnings: Findings that did not stop it.
    """

    notebook: str
    text: str
    cells: tuple[int, ...]
    warnings: tuple[Diagnostic, ...]


def tests_target(folder: Path, worker: Path) -> Path:
    """Return the file for the tests of a worker, `test_<stem>.py` in a folder."""
    return folder / f"test_{re.sub(r'[^0-9A-Za-z_]', '_', worker.stem)}.py"


def render_tests(
    notebook: Notebook, exported: Exported, worker: Path, target: Path
) -> CellTests | None:
    """Make the test file of a worker, or None when no cell is marked as a test.

    Args:
        notebook: The notebook.
        exported: The worker that was made from it.
        worker: Where the worker is.
        target: Where the tests will be.

    Raises:
        ExportError: If a test cell cannot stand in a test file, or the file would be taken for a
            worker; holds every reason.
    """
    found: list[Diagnostic] = []
    marked, _ = assign_roles(notebook)
    tests = [each for each in marked if each.role == "test" and each.cell.kind == "code"]
    if not tests:
        return None
    if _below(target, worker.parent):
        message = (
            f"{target.as_posix()} would lie in the folder of the workers, and be taken for one"
        )
        fix = "name another folder with --tests, or put the workers into one of their own with -o"
        found.append(Diagnostic("NQ408", message, fix))
    policy = MagicPolicy(notebook.file)
    parsed = [parse_cell(each, policy, found) for each in tests]
    codes = [code for code in parsed if code]
    for code in codes:
        _check(code, found)
    known = frozenset(names_of(ast.parse(exported.text)).binds)
    codes, used = _complete(codes, marked, known, policy, found)
    if any(not finding.is_warning for finding in found):
        raise ExportError(notebook.file, sorted(found, key=lambda each: (each.cell, each.line)))
    text = _render(notebook.file, codes, used, os.path.relpath(worker, target.parent))
    compile(text, "<tests>", "exec", dont_inherit=True)
    return CellTests(notebook.file, text, tuple(code.number for code in codes), tuple(found))


def _below(target: Path, workers: Path) -> bool:
    return target.absolute().resolve().is_relative_to(workers.absolute().resolve())


def _complete(
    codes: list[Code],
    marked: list[Marked],
    known: frozenset[str],
    policy: MagicPolicy,
    found: list[Diagnostic],
) -> tuple[list[Code], list[str]]:
    """Add what the tests need from unmarked cells; return that, and what they use of the worker."""
    needed = Slice(marked, codes, known, policy)
    needed.need_for_cells(codes)
    codes = sorted([*codes, *needed.codes(found)], key=lambda code: code.number)
    check_names(codes, marked, known, policy, found, lazy_annotations=False)
    reads = {read.name for code in codes for read in code.names().reads}
    return codes, sorted(reads & known)


def _check(code: Code, found: list[Diagnostic]) -> None:
    try:
        tree = ast.Module(code.body, [])
        compile(tree, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", 0) or 0
        message = f"is not Python: {getattr(error, 'msg', error)}"
        found.append(Diagnostic("NQ201", message, "correct it", code.number, line))
    for line, module in code.names().stars:
        message = f"a test cannot say 'from {module} import *'"
        found.append(Diagnostic("NQ214", message, "import the names", code.number, line))
    if _defines_tests(code.body) and _awaits(code.body):
        message = "defines tests and awaits outside of them"
        fix = "move the tests, or what awaits, to a cell of its own"
        found.append(Diagnostic("NQ204", message, fix, code.number))


def _awaits(body: Iterable[ast.stmt]) -> bool:
    return any(
        isinstance(node, _AWAITS) or (isinstance(node, ast.comprehension) and node.is_async)
        for node in immediate(body)
    )


def _defines_tests(body: Iterable[ast.stmt]) -> bool:
    return any(
        isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and each.name.lower().startswith("test")
        for each in body
    )


def _render(file: str, codes: list[Code], used: list[str], worker: str) -> str:
    prefix = marker_prefix(["\n".join(code.lines) for code in codes])
    worker = worker.replace(os.sep, "/")
    opening = _OPENING.format(worker=worker, module=f"nq_{Path(worker).stem}")
    lines = [prefix + ENTRY, *opening.split("\n")[:-1]]
    lines += [*(f"{name} = _nq_module.{name}" for name in used), ""]
    for code in codes:
        for first, last in code.parts:
            marker = prefix + cell_marker(code.number, code.role, code.source, first)
            if code.role == "deps" or _defines_tests(code.body):
                lines += [marker, *code.lines[first - 1 : last], ""]
            elif code.body:
                lines += [prefix + ENTRY, *_function(code), marker, *_indented(code), ""]
    lines += [prefix + ENTRY, ""]  # where the last cell ends
    return with_header(portable_name(file), codes, prefix, "\n".join(lines))


def _function(code: Code) -> list[str]:
    """Return the lines before those of a cell that becomes a test."""
    name = f"test_cell_{code.number}"
    annotated = {
        each.target.id
        for each in code.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    shared = sorted(code.names().binds.keys() - annotated)
    opening = [f"def {name}():"]
    if _awaits(code.body):
        opening = [f"def {name}():", f"    asyncio.run(_nq_cell_{code.number}())", "", ""]
        opening += [f"async def _nq_cell_{code.number}():"]
    return opening + ([f"    global {', '.join(shared)}"] if shared else [])


def _indented(code: Code) -> list[str]:
    """Indent the lines of a cell, but for those that begin inside a string."""
    inside = {
        line
        for statement in code.body
        for node in ast.walk(statement)
        if isinstance(node, ast.JoinedStr | ast.Constant)
        for line in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1)
    }
    return [
        line if number in inside or not line.strip() else f"    {line}"
        for number, line in enumerate(code.lines, 1)
    ]
