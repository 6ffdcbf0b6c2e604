"""`nq-export`: notebooks to worker files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbtools.terminal import say

if TYPE_CHECKING:
    from nbtools.exporter import Exported

__all__ = ["main"]

_OK, _REFUSED, _UNUSABLE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Export the notebooks named on the command line.

    Returns:
        0 when all is well; 1 when a notebook or a target was refused, or is stale with `--check`;
        2 for a wrong call and for input that cannot be read.
    """
    arguments = _parser().parse_args(argv)
    problem = _wrong_call(arguments)
    if problem:
        return _complain(f"nq-export: {problem}")
    if arguments.where:
        return _where(arguments.where)
    status = _OK
    claimed: dict[Path, str] = {}
    for file in arguments.notebooks:
        try:
            status = max(status, _handle(file, arguments, claimed))
        except BrokenPipeError:  # the reader of --stdout or --diff has seen enough
            sys.stderr.close()
            return _REFUSED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nq-export",
        description="Write one standalone worker file for each notebook. Nothing of it is run,"
        " unless --verify asks for it. Cells are chosen by a tag (nq-config, nq-handler,"
        " nq-imports, nq-export, parameters), by a first line '#| nq: handler', or by the cell"
        " metadata {'nq': {'role': 'handler'}}.",
    )
    add = parser.add_argument
    add("notebooks", nargs="*", metavar="NOTEBOOK", help=".ipynb, or .py in the percent format")
    add(
        "-o",
        "--output",
        metavar="FILE_OR_DIR",
        help="where to write; a name ending in .py is a file",
    )
    add(
        "--check", action="store_true", help="write nothing; exit 1 when a worker is not up to date"
    )
    add("--diff", action="store_true", help="write nothing; show what would change")
    add("--stdout", action="store_true", help="write to stdout instead of a file")
    add("--list", action="store_true", help="write nothing; show the role of each cell")
    add("--verify", action="store_true", help="run the worker's try-outs here and in a process")
    add("--data", metavar="JSON", help="the input for --verify, instead of the notebook's own")
    add("--where", metavar="FILE:LINE", help="say which cell a line of a worker comes from")
    add("--force", action="store_true", help="overwrite a file that is not ours or was edited")
    add("--vendor", action="store_true", help="put the SDK beside the worker, in the folder .nq")
    add("--strict", action="store_true", help="let a warning stop the export")
    add("--with-deps", action="store_true", help="take what marked cells need from unmarked ones")
    add("--allow-local", action="store_true", help="accept imports of modules beside the notebook")
    return parser


def _wrong_call(arguments: argparse.Namespace) -> str:
    if bool(arguments.notebooks) == bool(arguments.where):
        return "name the notebooks to export, or a line of a worker with --where"
    several = len(arguments.notebooks) > 1
    others = (arguments.output, arguments.check, arguments.diff, arguments.verify)
    if arguments.stdout and (several or any(others)):
        return "--stdout takes one notebook and neither -o, --check, --diff nor --verify"
    if arguments.data is not None and (problem := _wrong_data(arguments)):
        return problem
    if several and arguments.output and arguments.output.endswith(".py"):
        return f"{arguments.output} is one file; name a folder for several notebooks"
    return ""


def _wrong_data(arguments: argparse.Namespace) -> str:
    import json

    if not arguments.verify:
        return "--data is the input of --verify"
    try:
        json.loads(arguments.data)
    except ValueError as error:
        return f'--data is not JSON ({error}); write it like \'{{"name": "value"}}\''
    return ""


def _handle(file: str, arguments: argparse.Namespace, claimed: dict[Path, str]) -> int:
    from nbtools.errors import ExportError, NbtoolsError

    try:
        if arguments.list:
            return _list_roles(file)
        return _export(file, arguments, claimed)
    except ExportError as error:
        return _complain(str(error), _REFUSED)
    except NbtoolsError as error:
        return _complain(str(error))


def _export(file: str, arguments: argparse.Namespace, claimed: dict[Path, str]) -> int:
    from nbtools.exporter import export_notebook

    target = _target(file, arguments)
    exported = export_notebook(
        file,
        stem=target.stem,
        allow_local=arguments.allow_local,
        strict=arguments.strict,
        with_deps=arguments.with_deps,
    )
    for warning in exported.warnings:
        _complain(warning.sentence(file))
    for taken in exported.taken:
        _complain(f"{file}, {taken}")
    if arguments.stdout:
        sys.stdout.buffer.write(exported.text.encode())
        return _OK
    first = claimed.setdefault(target.absolute(), file)
    if first != file:
        message = f"{file}: NQ405 makes the same file as {first}, {target.as_posix()}"
        return _complain(f"{message}; rename one of the notebooks", _REFUSED)
    if arguments.check or arguments.diff:
        status = _compare(exported, target, arguments)
    else:
        status = _write(exported, target, force=arguments.force)
        status = max(status, _vendor(file, target.parent) if arguments.vendor else _OK)
    return _verify(exported, target, arguments.data) if arguments.verify and not status else status


def _target(file: str, arguments: argparse.Namespace) -> Path:
    """Return the file to write: `-o`, the project's folder of workers, or beside the notebook."""
    from nbtools.exporter import worker_stem

    name = f"{worker_stem(file)}.py"
    if arguments.output:
        output = Path(arguments.output)
        is_file = output.suffix == ".py" and not output.is_dir()
        return output if is_file else output / name
    return (_workers_folder(Path(file).parent) or Path(file).parent) / name


def _workers_folder(folder: Path) -> Path | None:
    from nbtools.errors import NbtoolsError
    from nbtools.exporter.target import find_root

    root = find_root(folder)
    if root is None or b"nuxt-queue" not in (root / "pyproject.toml").read_bytes():
        return None
    from nuxt_queue.config import ProjectConfig
    from nuxt_queue.errors import ConfigError

    try:
        workers = ProjectConfig.find(folder).workers
    except ConfigError as error:
        raise NbtoolsError(f"nq-export: NQ012 {error}") from None
    if workers is None:
        return None
    workers = root / workers
    here = Path.cwd()
    return workers.relative_to(here) if workers.is_relative_to(here) else workers


def _write(exported: Exported, target: Path, *, force: bool) -> int:
    from nbtools.errors import printable
    from nbtools.exporter import write_worker

    is_new = write_worker(exported, target, force=force)
    count = len(exported.cells)
    cells = f"{count} cell{'s' if count > 1 else ''}{'' if is_new else ', unchanged'}"
    say(printable(f"{target.as_posix()}  from {exported.notebook}, {cells}"), sys.stdout)
    return _OK


def _vendor(file: str, folder: Path) -> int:
    from nbtools.exporter.vendor import FOLDER, vendor_sdk

    try:
        changed = vendor_sdk(folder)
    except OSError as error:
        shown = (folder / FOLDER).as_posix()
        return _complain(f"{file}: NQ404 cannot write {shown}: {error.strerror or error}", _REFUSED)
    if changed:
        say(
            f"{(folder / FOLDER).as_posix()}  the SDK, which these workers find by themselves",
            sys.stdout,
        )
    return _OK


def _verify(exported: Exported, target: Path, data: str | None) -> int:
    import asyncio
    import json

    from nbtools.notebook import read_notebook
    from nbtools.trials import Trial, find_trials
    from nbtools.verify import table, verify

    file = exported.notebook
    trials, found = find_trials(read_notebook(file), exported.handler)
    if data is not None:
        trials, found = [Trial(json.loads(data))], []
    for finding in found:
        _complain(finding.sentence(file))
    if not trials:
        message = f"NQ504 has no try-out to replay; call run_local({exported.handler}, {{...}})"
        return _complain(f"{file}: {message} in a cell tagged nq-test, or say --data", _REFUSED)
    verdicts = asyncio.run(verify(exported, target, trials))
    for verdict in verdicts:
        if verdict.finding:
            _complain(verdict.finding.sentence(file))
        if verdict.differences:
            _complain(table(verdict.differences))
    if any(verdict.finding for verdict in verdicts):
        return _REFUSED
    count = f"{len(trials)} try-out{'s' if len(trials) > 1 else ''}"
    say(f"{target.as_posix()}  verified: {count}, the same here and in a process", sys.stdout)
    return _OK


def _compare(exported: Exported, target: Path, arguments: argparse.Namespace) -> int:
    from nbtools.errors import Diagnostic
    from nbtools.exporter.target import find_root, inspect_target

    shown = target.as_posix()
    folder = Path(exported.notebook).parent
    try:
        state = inspect_target(target, exported.text, find_root(folder) or folder)
        old = "" if state == "missing" else target.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        message = f"cannot read {shown}: {error.strerror or error}"
        finding = Diagnostic("NQ404", message, "name another place with -o")
        return _complain(finding.sentence(exported.notebook), _REFUSED)
    if state == "current":
        return _OK
    if arguments.diff:
        import difflib

        new = exported.text
        new_name = f"{shown} (from {exported.notebook})"
        changes = difflib.unified_diff(
            old.split("\n"), new.split("\n"), shown, new_name, lineterm=""
        )
        sys.stdout.buffer.write("".join(f"{line}\n" for line in changes).encode())
    if not arguments.check:
        return _OK
    reasons = {
        "missing": "has not been exported",
        "stale": "is older than the notebook",
        "edited": "was changed by hand",
        "other": "was exported from another notebook",
        "foreign": "was not written by nq-export",
    }
    finding = Diagnostic(
        "NQ406", f"{shown} {reasons[state]}", "run nq-export and commit the result"
    )
    return _complain(finding.sentence(exported.notebook), _REFUSED)


def _where(asked: str) -> int:
    from nbtools.errors import printable
    from nbtools.exporter.sourcemap import where

    file, _, line = asked.rpartition(":")
    if not file or not line.isdecimal():
        return _complain(f"nq-export: --where takes FILE:LINE, for example worker.py:57: {asked!r}")
    try:
        place = where(file, int(line))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        return _complain(printable(f"{file}: cannot be read: {reason}"))
    if place is None:
        return _complain(printable(f"{asked}: comes from no cell of a notebook"), _REFUSED)
    say(printable(str(place)), sys.stdout)
    return _OK


def _list_roles(file: str) -> int:
    from nbtools.errors import printable
    from nbtools.exporter.roles import assign_roles
    from nbtools.notebook import read_notebook

    marked, found = assign_roles(read_notebook(file))
    say(printable(file), sys.stdout)
    for each in marked:
        cell = each.cell
        first = next((line.strip() for line in cell.source.split("\n") if line.strip()), "")
        role = each.role or ("-" if cell.kind == "code" else cell.kind)
        row = f"{cell.number:4}  {role:10}  {first[:60]}"
        say(printable(row.rstrip()), sys.stdout)
    for finding in found:
        _complain(finding.sentence(file))
    return _REFUSED if any(not finding.is_warning for finding in found) else _OK


def _complain(text: str, status: int = _UNUSABLE) -> int:
    say(text, sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
