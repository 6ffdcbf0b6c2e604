"""`nq-export`: notebooks to worker files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nbtools.terminal import say
from nuxt_queue.text import one_line

if TYPE_CHECKING:
    from nbtools.command import Command

__all__ = ["main"]

_REFUSED, _UNUSABLE = 1, 2


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
    from nbtools.command import Command  # `--help` does not pay for it

    command, files = Command(arguments), arguments.notebooks
    try:
        if arguments.watch:
            return _watch(command, files)
        return max(command.handle(file) for file in files)
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        return _REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nq-export",
        description="Write one standalone worker file for each notebook. Nothing of it is run,"
        " unless --verify asks for it. Cells are chosen by a tag (nq-config, nq-handler,"
        " nq-imports, nq-export, parameters), by a first line '#| nq: handler', or by the cell"
        " metadata {'nq': {'role': 'handler'}}.",
    )
    add = parser.add_argument
    add(
        "notebooks",
        nargs="*",
        metavar="NOTEBOOK",
        help=".ipynb, .py in the percent format, or - for either on stdin",
    )
    add(
        "-o",
        "--output",
        metavar="FILE_OR_DIR",
        help="where to write; a name ending in .py is a file, - is stdout",
    )
    add(
        "--check", action="store_true", help="write nothing; exit 1 when a worker is not up to date"
    )
    add("--diff", action="store_true", help="write nothing; show what would change")
    add("--stdout", action="store_true", help="write to stdout instead of a file")
    add("--watch", action="store_true", help="export again whenever a notebook is saved")
    add("--skip-unmarked", action="store_true", help="pass over notebooks without any mark")
    add("--json", action="store_true", help="say everything as JSON, one object a line")
    add("--stdin-filename", metavar="FILE", help="what the notebook on stdin is called")
    add("--list", action="store_true", help="write nothing; show the role of each cell")
    add("--verify", action="store_true", help="run the worker's try-outs here and in a process")
    add("--data", metavar="JSON", help="the input for --verify, instead of the notebook's own")
    add("--where", metavar="FILE:LINE", help="say which cell a line of a worker comes from")
    add("--force", action="store_true", help="overwrite a file that is not ours or was edited")
    add("--tests", metavar="DIR", help="write the cells tagged nq-test to DIR/test_<worker>.py")
    add("--vendor", action="store_true", help="put the SDK beside the worker, in the folder .nq")
    add("--strict", action="store_true", help="let a warning stop the export")
    add("--with-deps", action="store_true", help="take what marked cells need from unmarked ones")
    add("--no-deps", action="store_true", help="do not state which packages the worker needs")
    add("--allow-local", action="store_true", help="accept imports of modules beside the notebook")
    return parser


def _wrong_call(arguments: argparse.Namespace) -> str:
    """Say what makes no sense about a call; say in full what a `-` stands for."""
    files, only_looks = arguments.notebooks, _only_looks(arguments)
    if files == ["-"] and not (arguments.output or only_looks):
        arguments.output = "-"
    if arguments.output == "-":
        arguments.output, arguments.stdout = None, True
    wrong = {
        "name the notebooks to export, or a line of a worker with --where": (
            bool(files) == bool(arguments.where)
        ),
        "- is one notebook on stdin; name no other, and nothing to watch": (
            "-" in files and (len(files) > 1 or arguments.watch)
        ),
        "--stdout takes one notebook and neither -o, --check, --diff, --list nor --verify": (
            arguments.stdout
            and (len(files) > 1 or arguments.output or only_looks or arguments.verify)
        ),
        "--json says everything on stdout; it goes with neither --stdout nor --diff": (
            arguments.json and (arguments.stdout or arguments.diff)
        ),
        "--watch writes files; it goes with neither --stdout, --check, --diff nor --list": (
            arguments.watch and (arguments.stdout or only_looks)
        ),
        f"{arguments.output} is one file; name a folder for several notebooks": (
            len(files) > 1 and (arguments.output or "").endswith(".py")
        ),
    }
    problem = next((message for message, holds in wrong.items() if holds), "")
    return problem or (_wrong_data(arguments) if arguments.data is not None else "")


def _wrong_data(arguments: argparse.Namespace) -> str:
    import json

    if not arguments.verify:
        return "--data is the input of --verify"
    try:
        json.loads(arguments.data)
    except ValueError as error:
        return f'--data is not JSON ({error}); write it like \'{{"name": "value"}}\''
    return ""


def _only_looks(arguments: argparse.Namespace) -> bool:
    return bool(arguments.check or arguments.diff or arguments.list)


def _watch(command: Command, files: Sequence[str]) -> int:
    from nbtools.watch import changes

    changed = changes(files)  # what is saved during the first export counts
    try:
        for file in files:
            command.handle(file)
        notebooks = f"{len(files)} notebook{'s' if len(files) > 1 else ''}"
        command.report.note(f"nq-export: watching {notebooks}; Ctrl-C ends it")
        for file in changed:
            command.handle(file)
    except KeyboardInterrupt:
        pass
    return 0


def _where(asked: str) -> int:
    from nbtools.exporter.sourcemap import where

    file, _, line = asked.rpartition(":")
    if not file or not line.isdecimal():
        return _complain(f"nq-export: --where takes FILE:LINE, for example worker.py:57: {asked!r}")
    try:
        place = where(file, int(line))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        return _complain(one_line(f"{file}: cannot be read: {reason}"))
    if place is None:
        say(one_line(f"{asked}: comes from no cell of a notebook"), sys.stderr)
        return _REFUSED
    say(one_line(str(place)), sys.stdout)
    return 0


def _complain(text: str) -> int:
    say(text, sys.stderr)
    return _UNUSABLE


if __name__ == "__main__":
    sys.exit(main())
