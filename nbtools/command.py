"""One call of `nq-export`: what happens to each notebook that it names."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nbtools.errors import Diagnostic, NbtoolsError, NotebookFormatError, RefusedError
from nbtools.exporter import Exported, render_notebook, worker_stem, write_worker
from nbtools.exporter.dependencies import without_made_block
from nbtools.exporter.policy import plain_magics
from nbtools.exporter.root import find_root
from nbtools.exporter.target import inspect_target
from nbtools.notebook import Notebook, parse_notebook, read_notebook
from nbtools.report import Report
from nbtools.terminal import show

if TYPE_CHECKING:
    from nbtools.exporter.roles import Marked
    from nbtools.exporter.target import Made

__all__ = ["OK", "REFUSED", "UNUSABLE", "Command"]

OK, REFUSED, UNUSABLE = 0, 1, 2
_STDIN = "-"
_REASONS = {
    "missing": "has not been exported",
    "stale": "is older than the notebook",
    "edited": "was changed by hand",
    "other": "was exported from another notebook",
    "foreign": "was not written by nq-export",
}


class Command:
    """The call: its arguments, where its words go, and which targets have been claimed."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.report = Report(as_json=arguments.json)
        self._claimed: dict[Path, str] = {}

    def handle(self, file: str) -> int:
        """Do with one notebook what the call asks for, and return the exit status."""
        try:
            notebook = self._read(file)
            if self.arguments.list:
                return self._list(notebook)
            is_passed_over = self.arguments.skip_unmarked and not _is_marked(notebook)
            return OK if is_passed_over else self._export(notebook)
        except RefusedError as error:
            self.report.refuse(file, error)
            return REFUSED
        except NbtoolsError as error:
            self.report.refuse(file, error)
            return UNUSABLE

    def _read(self, file: str) -> Notebook:
        if file != _STDIN:
            return read_notebook(file)
        raw = sys.stdin.buffer.read()
        is_json = raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}
        name = self.arguments.stdin_filename or ("stdin.ipynb" if is_json else "stdin.py")
        return parse_notebook(raw, name)

    def _export(self, notebook: Notebook) -> int:
        arguments, file = self.arguments, notebook.file
        target = self._target(file)
        exported = render_notebook(
            notebook,
            stem=target.stem,
            allow_local=arguments.allow_local,
            deps=not arguments.no_deps,
            installed=not (arguments.check or arguments.diff),
            strict=arguments.strict,
            with_deps=arguments.with_deps,
        )
        self.report.find(file, exported.warnings)
        for taken in exported.taken:
            self.report.note(f"{file}, {taken}")
        if arguments.stdout:
            sys.stdout.buffer.write(exported.text.encode())
            return OK
        first = self._claimed.setdefault(target.absolute(), file)
        if first != file:
            message = f"makes the same file as {first}, {target.as_posix()}"
            found = [Diagnostic("NQ405", message, "rename one of the notebooks")]
            raise RefusedError(file, found)
        status = self._settle(exported, target)
        if arguments.tests:
            status = max(status, self._tests(exported, notebook, target))
        if arguments.vendor and not (arguments.check or arguments.diff):
            self._vendor(file, target.parent)
        return self._verify(exported, notebook, target) if arguments.verify else status

    def _settle(self, made: Made, target: Path) -> int:
        """Write a file, or say in what it is not what it should be."""
        looks = self.arguments.check or self.arguments.diff
        return self._compare(made, target) if looks else self._write(made, target)

    def _tests(self, exported: Exported, notebook: Notebook, worker: Path) -> int:
        from nbtools.exporter.testfile import render_tests, tests_target

        target = tests_target(Path(self.arguments.tests), worker)
        tests = render_tests(notebook, exported, worker, target)
        if tests is None:
            self.report.note(f"{notebook.file}: no cell is marked nq-test; there are no tests")
            return OK
        self.report.find(notebook.file, tests.warnings)
        return self._settle(tests, target)

    def _target(self, file: str) -> Path:
        """Return the file to write: `-o`, the project's folder, or beside the notebook."""
        name = f"{worker_stem(file)}.py"
        if self.arguments.output:
            output = Path(self.arguments.output)
            is_file = output.suffix == ".py" and not output.is_dir()
            return output if is_file else output / name
        return (_workers_folder(Path(file).parent) or Path(file).parent) / name

    def _write(self, exported: Made, target: Path) -> int:
        is_new = write_worker(exported, target, force=self.arguments.force)
        count = len(exported.cells)
        cells = f"{count} cell{'s' if count > 1 else ''}{'' if is_new else ', unchanged'}"
        self.report.done(
            f"{target.as_posix()}  from {exported.notebook}, {cells}",
            file=exported.notebook,
            worker=target.as_posix(),
            state="written" if is_new else "unchanged",
            cells=exported.cells,
        )
        return OK

    def _vendor(self, file: str, folder: Path) -> None:
        from nbtools.exporter.vendor import FOLDER, vendor_sdk

        shown = (folder / FOLDER).as_posix()
        try:
            changed = vendor_sdk(folder)
        except OSError as error:
            message = f"cannot write {shown}: {error.strerror or error}"
            found = [Diagnostic("NQ404", message, "name another place with -o")]
            raise RefusedError(file, found) from None
        if changed:
            said = f"{shown}  the SDK, which these workers find by themselves"
            self.report.done(said, sdk=shown, state="written")

    def _verify(self, exported: Exported, notebook: Notebook, target: Path) -> int:
        import asyncio
        import json

        from nbtools.trials import Trial, find_trials
        from nbtools.verify import table, verify

        trials, found = find_trials(notebook, exported.handler)
        if self.arguments.data is not None:
            trials, found = [Trial(json.loads(self.arguments.data))], []
        self.report.find(notebook.file, found)
        if not trials:
            message = f"has no try-out to replay; call run_local({exported.handler}, {{...}})"
            fix = "in a cell tagged nq-test, or say --data"
            raise RefusedError(notebook.file, [Diagnostic("NQ504", message, fix)])
        verdicts = asyncio.run(verify(exported, target, trials))
        for verdict in verdicts:
            if verdict.finding:
                self.report.find(notebook.file, [verdict.finding])
            if verdict.differences:
                self.report.note(table(verdict.differences))
        if any(verdict.finding for verdict in verdicts):
            return REFUSED
        count = f"{len(trials)} try-out{'s' if len(trials) > 1 else ''}"
        worker = target.as_posix()
        said = f"{worker}  verified: {count}, the same here and in a process"
        self.report.done(said, file=notebook.file, worker=worker, state="verified")
        return OK

    def _compare(self, exported: Made, target: Path) -> int:
        shown, file = target.as_posix(), exported.notebook
        folder = Path(file).parent
        try:
            state = inspect_target(target, exported.text, find_root(folder) or folder)
            old = "" if state == "missing" else target.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            message = f"cannot read {shown}: {error.strerror or error}"
            found = [Diagnostic("NQ404", message, "name another place with -o")]
            raise RefusedError(file, found) from None
        if state != "current" and self.arguments.diff:
            _show_changes(without_made_block(old), exported.text, shown, f"{shown} (from {file})")
        if not self.arguments.check:
            return OK
        if state != "current":
            message, fix = f"{shown} {_REASONS[state]}", "run nq-export and commit the result"
            raise RefusedError(file, [Diagnostic("NQ406", message, fix)])
        if self.report.as_json:
            fields = {"worker": shown, "state": "current", "cells": exported.cells}
            self.report.done("", file=file, **fields)
        return OK

    def _list(self, notebook: Notebook) -> int:
        from nbtools.exporter.roles import assign_roles

        marked, found = assign_roles(notebook)
        if not self.report.as_json:
            self.report.done(notebook.file)
        for each in marked:
            cell = each.cell
            fields = {"cell": cell.number, "id": cell.id, "kind": cell.kind, "role": each.role}
            self.report.done(_row(each), file=notebook.file, **fields)
        self.report.find(notebook.file, found)
        return REFUSED if any(not finding.is_warning for finding in found) else OK


def _is_marked(notebook: Notebook) -> bool:
    from nbtools.exporter.roles import assign_roles

    marked, found = assign_roles(notebook)
    return bool(found) or any(each.role for each in marked)


def _row(each: Marked) -> str:
    cell = each.cell
    first = next((line.strip() for line in cell.source.split("\n") if line.strip()), "")
    role = each.role or ("-" if cell.kind == "code" else cell.kind)
    return f"{cell.number:4}  {role:10}  {first[:60]}".rstrip()


def _show_changes(old: str, new: str, old_name: str, new_name: str) -> None:
    import difflib

    changes = difflib.unified_diff(
        old.split("\n"), new.split("\n"), old_name, new_name, lineterm=""
    )
    show(changes)


def _workers_folder(folder: Path) -> Path | None:
    root = find_root(folder)
    if root is None or b"nuxt-queue" not in (root / "pyproject.toml").read_bytes():
        return None
    stated = _usual_workers(root)
    workers = _checked_workers(root, folder) if stated is None else stated and root / stated
    if not workers:
        return None
    here = Path.cwd()
    return workers.relative_to(here) if workers.is_relative_to(here) else workers


def _usual_workers(root: Path) -> str | None:
    """Return the folder, empty for none, of a project that states little else, and plainly.

    None for all others: pydantic knows them, and takes longer to load than an export.
    """
    import tomllib

    try:
        stated = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["nuxt-queue"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(stated, dict) or stated.keys() - {"workers", "export"}:
        return None
    if plain_magics(stated.get("export", {})) is None:
        return None
    workers = stated.get("workers")
    is_usual = isinstance(workers, str) and workers.isprintable() and workers == workers.strip()
    return workers if is_usual and workers else "" if "workers" not in stated else None


def _checked_workers(root: Path, folder: Path) -> Path | None:
    from nuxt_queue.config import ProjectConfig
    from nuxt_queue.errors import ConfigError

    try:
        return ProjectConfig.find(folder).workers
    except ConfigError as error:
        file = (root / "pyproject.toml").as_posix()
        raise NotebookFormatError(file, "NQ012", str(error), "correct it there") from None
