"""`nq-sync`: what was edited in a worker file goes back into its notebook."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from nbtools.terminal import say, show
from nuxt_queue.text import one_line

__all__ = ["main"]

_OK, _REFUSED, _UNUSABLE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Put the edits of the workers named on the command line back into their notebooks.

    Returns:
        0 when nothing is left to put back; 1 when that was refused, or with `--check` when there
        is something; 2 for a wrong call and for input that cannot be read.
    """
    from nbtools.errors import NbtoolsError, RefusedError

    arguments = _parser().parse_args(argv)
    if arguments.notebook and len(arguments.workers) > 1:
        say("nq-sync: --notebook goes with one worker", sys.stderr)
        return _UNUSABLE
    status = _OK
    for file in arguments.workers:
        try:
            status = max(status, _sync(file, arguments))
        except RefusedError as error:
            say(str(error), sys.stderr)
            if error.details:
                show(error.details.removesuffix("\n").split("\n"))
            status = max(status, _REFUSED)
        except NbtoolsError as error:
            say(str(error), sys.stderr)
            status = _UNUSABLE
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nq-sync",
        description="Put what was edited in an exported worker back into the cells of its"
        " notebook, and export it again. Where a cell has changed too, nothing is written and both"
        " are shown.",
    )
    add = parser.add_argument
    add("workers", nargs="+", metavar="WORKER", help="a file that nq-export wrote")
    add("--notebook", metavar="FILE", help="the notebook, when it is not where the worker says")
    add("--check", action="store_true", help="write nothing; exit 1 when there is an edit")
    add("--diff", action="store_true", help="write nothing; show what would change")
    add("--force", action="store_true", help="take the worker's text where the cell changed too")
    return parser


def _sync(file: str, arguments: argparse.Namespace) -> int:
    from nbtools.edits import editable, write_edited
    from nbtools.edits.back import put_back
    from nbtools.edits.worker import cut_worker
    from nbtools.errors import Diagnostic, EditError
    from nbtools.exporter import write_worker
    from nbtools.notebook import read_bytes

    worker = cut_worker(read_bytes(file).decode("utf-8", "replace"), file)
    path = arguments.notebook or _find(worker.notebook, file)
    if not worker.is_edited:
        say(one_line(f"{file}  nothing to put back into {path}"), sys.stdout)
        return _OK
    raw = read_bytes(path)
    document = editable(raw, path)
    back = put_back(document, worker, file, stem=Path(file).stem, force=arguments.force)
    cells = f"cell{'s' if len(back.cells) > 1 else ''} {', '.join(map(str, back.cells))}"
    if arguments.diff:
        _show(raw.decode(), back.text, path)
    if arguments.check and back.cells:
        raise EditError(file, [Diagnostic("NQ615", f"has edits of {cells}", "run nq-sync")])
    if arguments.diff or arguments.check:
        return _OK
    if back.cells:
        write_edited(path, raw, document)
    write_worker(back.exported, file, force=True)
    say(one_line(f"{path}  {cells if back.cells else 'nothing'} from {file}"), sys.stdout)
    return _OK


def _show(old: str, new: str, path: str) -> None:
    lines = difflib.unified_diff(old.split("\n"), new.split("\n"), path, path, lineterm="")
    show(lines)


def _find(name: str, worker: str) -> str:
    """Return the notebook that a worker names: from the project's folder, or beside it."""
    from nbtools.errors import Diagnostic, EditError
    from nbtools.exporter.root import find_root

    folder = Path(worker).parent
    root = find_root(folder)
    for place in (root, folder):
        if place and (place / name).is_file():
            path = place / name
            here = Path.cwd()
            return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()
    message = f"its notebook, {name}, is not there"
    raise EditError(worker, [Diagnostic("NQ611", message, "name it with --notebook")])


if __name__ == "__main__":
    sys.exit(main())
