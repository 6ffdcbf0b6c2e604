"""`nq-tag`: give cells their roles from the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nbtools.terminal import say, show
from nuxt_queue.text import one_line

__all__ = ["main"]

_OK, _REFUSED, _UNUSABLE = 0, 1, 2
_REMOVE = "remove"


def main(argv: Sequence[str] | None = None) -> int:
    """Give the cells named on the command line a role.

    Returns:
        0 when they have it; 1 when that was refused; 2 for a wrong call and for input that cannot
        be read.
    """
    from nbtools.errors import EditError, NbtoolsError
    from nbtools.exporter.roles import ROLES, closest_role

    arguments = _parser(ROLES).parse_args(argv)
    role = arguments.role.removeprefix("nq-")
    if role not in {*ROLES, _REMOVE}:
        meant = closest_role(role) or f"one of {', '.join(ROLES)} or {_REMOVE}"
        say(f"nq-tag: there is no role '{role}'; say {meant}", sys.stderr)
        return _UNUSABLE
    try:
        return _tag(arguments.notebook, arguments.cells, role, is_trial=arguments.diff)
    except EditError as error:
        say(str(error), sys.stderr)
        return _REFUSED
    except NbtoolsError as error:
        say(str(error), sys.stderr)
        return _UNUSABLE


def _parser(roles: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nq-tag",
        description="Give cells of a notebook a role. A mark that a cell has is changed where it"
        " stands, a cell without one gets a tag; nothing else in the file changes.",
    )
    add = parser.add_argument
    add("notebook", metavar="NOTEBOOK", help=".ipynb, or .py in the percent format")
    add("cells", metavar="CELLS", help="3, 3-7, 2,4 or cell ids; nq-export --list shows numbers")
    add("role", metavar="ROLE", help=f"{', '.join(roles)}; or {_REMOVE}")
    add("--diff", action="store_true", help="write nothing; show what would change")
    return parser


def _tag(file: str, words: str, role: str, *, is_trial: bool) -> int:
    from nbtools.edits import editable, write_edited
    from nbtools.edits.marks import pick_cells, set_roles
    from nbtools.notebook import read_bytes

    raw = read_bytes(file)
    document = editable(raw, file)
    wanted = None if role == _REMOVE else role
    changed = set_roles(document, pick_cells(document.notebook, words, wanted), wanted)
    if is_trial:
        _show(raw.decode(), document.text(), file)
        return _OK
    if changed:
        write_edited(file, raw, document)
    numbers = ", ".join(map(str, changed))
    what = "without a role" if role == _REMOVE else role
    done = f"cell{'s' if len(changed) > 1 else ''} {numbers} now {what}"
    say(one_line(f"{file}  {done if changed else 'nothing to change'}"), sys.stdout)
    return _OK


def _show(old: str, new: str, file: str) -> None:
    import difflib

    shown = Path(file).as_posix()
    lines = difflib.unified_diff(old.split("\n"), new.split("\n"), shown, shown, lineterm="")
    show(lines)


if __name__ == "__main__":
    sys.exit(main())
