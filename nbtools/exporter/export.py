"""The steps of an export, in the order in which they run, and what comes of them."""

from __future__ import annotations

import ast
import gc
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtools.errors import Diagnostic, ExportError
from nbtools.exporter import standalone
from nbtools.exporter.check import check_config, check_module
from nbtools.exporter.code import Code, hoist_futures, parse_cell
from nbtools.exporter.config import complete
from nbtools.exporter.dependencies import script_block
from nbtools.exporter.environment import check_environment
from nbtools.exporter.handler import absorb_entries, find_handler
from nbtools.exporter.importing import check_importing
from nbtools.exporter.literal import StatedConfig, read_config
from nbtools.exporter.missing import report_missing
from nbtools.exporter.policy import MagicPolicy
from nbtools.exporter.render import render
from nbtools.exporter.roles import EXPORTED, Marked, assign_roles
from nbtools.exporter.root import find_root
from nbtools.exporter.target import check_stem, worker_stem
from nbtools.notebook import Notebook, read_notebook

if TYPE_CHECKING:
    from nbtools.exporter.slices import Slice, Taken

__all__ = ["Exported", "Options", "export_notebook", "portable_name", "render_notebook"]


class Options(NamedTuple):
    """How an export is made.

    Attributes:
        allow_local: Accept imports of modules beside the notebook.
        deps: State in the worker which packages it needs.
        installed: Look for them among the packages that are installed here, not in cells only.
        strict: Let a warning stop the export.
        with_deps: Take from unmarked cells the statements that the marked ones need.
    """

    allow_local: bool = False
    deps: bool = True
    installed: bool = True
    strict: bool = False
    with_deps: bool = False


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
        taken: What was taken from unmarked cells.
        places: For each line of the text that comes from a cell: the cell and the line in it.
    """

    notebook: str
    stem: str
    text: str
    config: dict[str, Any]
    handler: str
    cells: tuple[int, ...]
    warnings: tuple[Diagnostic, ...]
    taken: tuple[Taken, ...]
    places: Mapping[int, tuple[int, int]]


def export_notebook(
    path: str | os.PathLike[str], *, stem: str | None = None, **options: bool
) -> Exported:
    """Make a worker from a notebook, without running or writing anything.

    Args:
        path: An `.ipynb`, or a `.py` in the percent format.
        stem: The worker's name; made from the notebook's name when left out.
        options: The fields of `Options`.

    Raises:
        NotebookFormatError: If the file is no Python notebook.
        ExportError: If the notebook cannot become a worker; holds every reason.
    """
    return render_notebook(read_notebook(path), stem=stem, **options)


def render_notebook(notebook: Notebook, *, stem: str | None = None, **options: bool) -> Exported:
    """Make a worker from a notebook that has been read; see `export_notebook`."""
    with warnings.catch_warnings(), _no_collector():
        # What Python thinks of the user's code is for the user's own run of it.
        warnings.simplefilter("ignore")
        try:
            return _Export(notebook, stem, Options(**options)).run()
        except RecursionError:
            found = [Diagnostic("NQ212", "a cell is nested too deeply", "split the expression")]
            raise ExportError(notebook.file, found) from None


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

    def __init__(self, notebook: Notebook, stem: str | None, options: Options) -> None:
        self.notebook = notebook
        self.options = options
        self.policy = MagicPolicy(notebook.file)
        self.stem = worker_stem(notebook.file) if stem is None else stem
        self.found: list[Diagnostic] = []

    def run(self) -> Exported:
        problem = check_stem(self.stem)
        self.found += [problem] if problem else []
        marked, problems = assign_roles(self.notebook)
        self.found += problems
        chosen = [each for each in marked if each.role in EXPORTED]
        parsed = [parse_cell(each, self.policy, self.found) for each in chosen]
        codes = [code for code in parsed if code]
        futures = hoist_futures(codes, self.found)
        needed = self._slice(codes, marked, futures)
        if needed:
            needed.need_for_config(codes)
        stated = read_config(_with(needed, codes, self.found), self.found)
        handler = find_handler(codes, self.found)
        absorb_entries(codes, handler, self.found)
        if needed:
            needed.need_for_cells(codes)
            self.found += needed.doubts()
        codes = _with(needed, codes, self.found)
        if len([code for code in codes if code.role != "deps"]) == len(chosen):
            # Names of a cell that is no Python would all be missing.
            self._check(codes, marked, futures)
        block = self._block(codes, marked)
        report_missing(marked, self.found)
        config = self._complete(stated) if stated else None
        if config is not None:
            folder = Path(self.notebook.file).absolute().parent
            check_environment(codes, config, folder, self.found)
        self._stop_on_errors()
        assert stated
        assert handler
        assert config is not None
        codes = _without_spent_config(codes, stated)
        name = portable_name(self.notebook.file)
        text, places = render(name, codes, config, stated, handler.name, futures, block)
        check_config(text, config)
        return Exported(
            notebook=self.notebook.file,
            stem=self.stem,
            text=text,
            config=config,
            handler=handler.name,
            cells=tuple(sorted({code.number for code in codes} | {stated.code.number})),
            warnings=tuple(_in_order(self.found)),
            taken=needed.taken if needed else (),
            places=places,
        )

    def _slice(self, codes: list[Code], marked: list[Marked], futures: list[str]) -> Slice | None:
        if not self.options.with_deps:
            return None
        from nbtools.exporter.slices import Slice

        lazy, given = _are_lazy(futures), _given(futures)
        return Slice(marked, codes, given, self.policy, lazy_annotations=lazy)

    def _check(self, codes: list[Code], marked: list[Marked], futures: list[str]) -> None:
        folder = None if self.options.allow_local else Path(self.notebook.file).parent
        for code in codes:
            check_importing(code, self.found)
            standalone.check_reserved(code, self.found)
            standalone.check_imports(code, folder, self.found)
            standalone.check_secrets(code, self.found)
        lazy, given = _are_lazy(futures), _given(futures)
        wrong = {finding.cell for finding in self.found if not finding.is_warning}
        for code in codes:
            if code.number not in wrong:  # else the compiler would say the same in other words
                check_module(code, self.found, lazy_annotations=lazy)
        standalone.check_names(codes, marked, given, self.policy, self.found, lazy_annotations=lazy)

    def _block(self, codes: list[Code], marked: list[Marked]) -> list[str]:
        if not self.options.deps:
            return []
        folder = Path(self.notebook.file).parent if self.options.installed else None
        return script_block(codes, marked, folder, self.found)

    def _complete(self, stated: StatedConfig) -> dict[str, Any] | None:
        from nuxt_queue.errors import ConfigError

        cell = stated.code.number
        try:
            config, doubts = complete(stated.value, self.stem)
        except ConfigError as error:
            self.found.append(Diagnostic("NQ304", str(error), "", cell, stated.line))
            return None
        for text in doubts:
            self.found.append(Diagnostic("NQ305", text, "", cell, stated.line, is_warning=True))
        queue = config["queue"]["name"]
        if queue != self.stem:
            message = f"the queue is called '{queue}' and the file '{self.stem}.py'"
            fix = "give both one name when other code finds the worker by its file"
            self.found.append(Diagnostic("NQ306", message, fix, cell, stated.line, is_warning=True))
        return config

    def _stop_on_errors(self) -> None:
        if self.options.strict:
            self.found = [finding._replace(is_warning=False) for finding in self.found]
        if any(not finding.is_warning for finding in self.found):
            raise ExportError(self.notebook.file, _in_order(self.found))


def _given(futures: list[str]) -> frozenset[str]:
    """Return the names that the file itself defines before the first cell."""
    return frozenset({"config", "run_worker"} | {each.split()[-1] for each in futures})


def _are_lazy(futures: list[str]) -> bool:
    return any(each.split()[0] == "annotations" for each in futures)


def _with(needed: Slice | None, codes: list[Code], found: list[Diagnostic]) -> list[Code]:
    """Return the cells together with what was taken from others, in the order of the notebook."""
    taken = needed.codes(found) if needed else []
    return sorted([*codes, *taken], key=lambda code: code.number)


def _in_order(found: list[Diagnostic]) -> list[Diagnostic]:
    errors = [each for each in found if not each.is_warning and each.code != "NQ217"]
    wrong = {(finding.cell, finding.line) for finding in errors}
    told = (  # what is wrong with a line comes first; what else it does, when that is right
        finding
        for finding in dict.fromkeys(found)
        if finding.code != "NQ217" or (finding.cell, finding.line) not in wrong
    )
    return sorted(told, key=lambda finding: (finding.cell, finding.line))


def _without_spent_config(codes: list[Code], stated: StatedConfig) -> list[Code]:
    """Leave out the config cell when the config was all that it was for."""
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
    users = [code for code in others if code.may_mention(*binds)]
    needed = {read.name for code in users for read in code.names().reads}
    return codes if binds & needed else others


def portable_name(file: str) -> str:
    """Return the notebook's path from the project's root, or its bare name."""
    path = Path(file).absolute()
    root = find_root(path.parent)
    return path.relative_to(root).as_posix() if root else path.name
