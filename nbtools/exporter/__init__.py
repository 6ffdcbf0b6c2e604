"""From a notebook to one standalone worker file.

The way of a notebook: `roles` chooses cells, `code` parses them (with `magics` where they are not
Python), `literal` reads the config and `handler` finds the handler, `analysis` and `standalone`
say what is missing, `render` makes the text, `check` compiles it, `target` writes it, and
`sourcemap` finds the way back.  Nothing of the notebook is ever run or imported.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from nbtools.errors import Diagnostic, ExportError, NbtoolsError
from nbtools.exporter import standalone
from nbtools.exporter.check import check_config, check_module
from nbtools.exporter.code import Code, hoist_futures, parse_cell, parse_leniently
from nbtools.exporter.handler import absorb_entries, candidates, find_handler
from nbtools.exporter.importing import check_importing
from nbtools.exporter.literal import StatedConfig, read_config, states_config
from nbtools.exporter.render import render
from nbtools.exporter.roles import EXPORTED, Marked, assign_roles
from nbtools.exporter.sourcemap import Place, where, where_in
from nbtools.exporter.target import (
    check_stem,
    find_root,
    inspect_target,
    refuse_target,
    replace_target,
    worker_stem,
)
from nbtools.notebook import Notebook, read_notebook

__all__ = [
    "Exported",
    "Place",
    "export_notebook",
    "render_notebook",
    "where",
    "where_in",
    "worker_stem",
    "write_worker",
]


class Exported(NamedTuple):
    """A worker made from a notebook; nothing has been written yet.

    Attributes:
        notebook: The notebook as the caller named it.
        stem: The worker's file name without `.py`, the default name of its queue.
        text: The worker file.
        config: The completed config that the file states.
        handler: The handler's name.
        cells: The numbers of the cells that became part of it.
        warnings: Findings that did not stop the export.
        places: For each line of the text that comes from a cell: the cell and the line in it.
    """

    notebook: str
    stem: str
    text: str
    config: dict[str, Any]
    handler: str
    cells: tuple[int, ...]
    warnings: tuple[Diagnostic, ...]
    places: Mapping[int, tuple[int, int]]


def export_notebook(
    path: str | os.PathLike[str],
    *,
    stem: str | None = None,
    allow_local: bool = False,
    strict: bool = False,
) -> Exported:
    """Make a worker from a notebook, without running or writing anything.

    Args:
        path: An `.ipynb`, or a `.py` in the percent format.
        stem: The worker's name; made from the notebook's name when left out.
        allow_local: Accept imports of modules beside the notebook.
        strict: Let a warning stop the export.

    Raises:
        NotebookFormatError: If the file is no Python notebook.
        ExportError: If the notebook cannot become a worker; holds every reason.
    """
    return render_notebook(read_notebook(path), stem=stem, allow_local=allow_local, strict=strict)


def render_notebook(
    notebook: Notebook,
    *,
    stem: str | None = None,
    allow_local: bool = False,
    strict: bool = False,
) -> Exported:
    """Make a worker from a notebook that has been read; see `export_notebook`."""
    with warnings.catch_warnings(), _no_collector():
        # What Python thinks of the user's code is for the user's own run of it.
        warnings.simplefilter("ignore")
        try:
            return _Export(notebook, stem, allow_local=allow_local, strict=strict).run()
        except RecursionError:
            found = [Diagnostic("NQ212", "a cell is nested too deeply", "split the expression")]
            raise ExportError(notebook.file, found) from None


def write_worker(
    exported: Exported, target: str | os.PathLike[str], *, force: bool = False
) -> bool:
    """Write the worker in one step and return whether anything had to be written.

    Raises:
        ExportError: If the target is a folder, is not ours to overwrite, or cannot be written.
    """
    path = Path(target)
    try:
        root = find_root(Path(exported.notebook).parent)
        state = inspect_target(path, exported.text, root or Path(exported.notebook).parent)
        if state == "current":
            return False
        if not force:
            refuse_target(exported.notebook, path, state)
            if path.exists() and not path.stat().st_mode & 0o222:
                raise PermissionError(13, "is read-only (--force replaces it)", str(path))
        replace_target(path, exported.text)
    except OSError as error:
        message = f"cannot write {path.as_posix()}: {error.strerror or error}"
        found = [Diagnostic("NQ404", message, "name another place with -o")]
        raise ExportError(exported.notebook, found) from None
    return True


@contextmanager
def _no_collector() -> Iterator[None]:
    # Syntax trees have no cycles, and following a large notebook's takes longer than the export.
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Export:
    """One export: the findings so far, and the steps in the order in which they run."""

    def __init__(
        self, notebook: Notebook, stem: str | None, *, allow_local: bool, strict: bool
    ) -> None:
        self.notebook = notebook
        self.strict = strict
        self.folder = Path(notebook.file).parent
        self.local_folder = None if allow_local else self.folder
        self.stem = worker_stem(notebook.file) if stem is None else stem
        self.found: list[Diagnostic] = []

    def run(self) -> Exported:
        problem = check_stem(self.stem)
        self.found += [problem] if problem else []
        marked, problems = assign_roles(self.notebook)
        self.found += problems
        chosen = [each for each in marked if each.role in EXPORTED]
        parsed = [parse_cell(each, self.found) for each in chosen]
        codes = [code for code in parsed if code]
        futures = hoist_futures(codes, self.found)
        stated = read_config(codes, self.found)
        handler = find_handler(codes, self.found)
        absorb_entries(codes, handler, self.found)
        if len(codes) == len(chosen):  # names of a cell that is no Python would all be missing
            self._check(codes, marked, futures)
        self._report_missing_marks(marked)
        config = self._complete(stated) if stated else None
        self._stop_on_errors()
        assert stated
        assert handler
        assert config is not None
        codes = _without_spent_config(codes, stated)
        name = _portable_name(self.notebook.file)
        text, places = render(name, codes, config, stated, handler.name, futures)
        check_config(text, config)
        cells = tuple(sorted({code.number for code in codes} | {stated.code.number}))
        warned = tuple(_in_order(self.found))
        return Exported(
            self.notebook.file, self.stem, text, config, handler.name, cells, warned, places
        )

    def _check(self, codes: list[Code], marked: list[Marked], futures: list[str]) -> None:
        given = frozenset({"config", "run_worker"} | {each.split()[-1] for each in futures})
        for code in codes:
            check_importing(code, self.found)
            standalone.check_reserved(code, self.found)
            standalone.check_imports(code, self.local_folder, self.found)
            standalone.check_secrets(code, self.found)
        lazy = any(each.split()[0] == "annotations" for each in futures)
        wrong = {finding.cell for finding in self.found if not finding.is_warning}
        for code in codes:
            if code.number not in wrong:  # else the compiler would say the same in other words
                check_module(code, self.found, lazy_annotations=lazy)
        standalone.check_names(codes, marked, given, self.found, lazy_annotations=lazy)

    def _report_missing_marks(self, marked: list[Marked]) -> None:
        roles = {each.role for each in marked}
        missing = [role for role in ("config", "handler") if role not in roles]
        if not missing:
            return
        cells = [_cell_that_looks_like(role, marked) for role in missing]
        what = " and ".join(f"no {role}" for role in missing)
        tags = " and ".join(
            f"tag cell {cell} nq-{role}" if cell else f"tag the cell of the {role} nq-{role}"
            for role, cell in zip(missing, cells, strict=True)
        )
        code = "NQ300" if len(missing) > 1 else {"config": "NQ301", "handler": "NQ311"}[missing[0]]
        fix = f"{tags}, or begin it with: #| nq: {missing[-1]}"
        self.found.append(Diagnostic(code, f"marks {what} cell", fix))

    def _complete(self, stated: StatedConfig) -> dict[str, Any] | None:
        """Complete the config; pydantic is loaded here, and nowhere else in an export."""
        try:
            from nuxt_queue.config import complete_config, config_warnings
        except ModuleNotFoundError as error:
            message = f"nq-export needs {error.name}: pip install 'nuxt-queue[notebook]'"
            raise NbtoolsError(message) from None
        from nuxt_queue.errors import ConfigError

        cell = stated.code.number
        try:
            config = complete_config(stated.value, stem=self.stem)
        except ConfigError as error:
            found = Diagnostic("NQ304", str(error), "", cell, stated.line)
            self.found.append(found)
            return None
        for text in config_warnings(config):
            self.found.append(Diagnostic("NQ305", text, "", cell, stated.line, is_warning=True))
        queue = config["queue"]["name"]
        if queue != self.stem:
            message = f"the queue is called '{queue}' and the file '{self.stem}.py'"
            fix = "give both one name when other code finds the worker by its file"
            self.found.append(Diagnostic("NQ306", message, fix, cell, stated.line, is_warning=True))
        return config

    def _stop_on_errors(self) -> None:
        if self.strict:
            self.found = [finding._replace(is_warning=False) for finding in self.found]
        if any(not finding.is_warning for finding in self.found):
            raise ExportError(self.notebook.file, _in_order(self.found))


def _in_order(found: list[Diagnostic]) -> list[Diagnostic]:
    errors = [each for each in found if not each.is_warning and each.code != "NQ217"]
    wrong = {(finding.cell, finding.line) for finding in errors}
    told = (  # what is wrong with a line comes first; what else it does, when that is right
        finding
        for finding in dict.fromkeys(found)
        if finding.code != "NQ217" or (finding.cell, finding.line) not in wrong
    )
    return sorted(told, key=lambda finding: (finding.cell, finding.line))


def _cell_that_looks_like(role: str, marked: list[Marked]) -> int:
    """Return the number of the cell that was probably meant to have a role, or 0."""
    for each in marked:
        tree = parse_leniently(each.cell.source) if each.cell.kind == "code" else None
        body = tree.body if tree else []
        if role == "config" and any(states_config(statement) for statement in body):
            return each.cell.number
        if role == "handler" and candidates(body):
            return each.cell.number
    return 0


def _without_spent_config(codes: list[Code], stated: StatedConfig) -> list[Code]:
    """Leave out the config cell when the config was all that it was for."""
    import ast

    imports = (ast.Import, ast.ImportFrom)
    for statement in stated.code.body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not is_text and not isinstance(statement, imports):
            return codes
        if isinstance(statement, imports):
            modules = [getattr(statement, "module", None) or statement.names[0].name]
            if any(module.split(".")[0] != "nuxt_queue" for module in modules):
                return codes
    binds = stated.code.names().binds.keys()
    others = [code for code in codes if code is not stated.code]
    needed = {read.name for code in others for read in code.names().reads}
    return codes if binds & needed else others


def _portable_name(file: str) -> str:
    """Return the notebook's path from the project's root, or its bare name."""
    path = Path(file).absolute()
    root = find_root(path.parent)
    return path.relative_to(root).as_posix() if root else path.name
