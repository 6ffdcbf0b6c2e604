"""`nq scan`: what is in a folder of workers, and what is wrong with the rest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nuxt_queue.cli.arguments import project_of
from nuxt_queue.cli.output import DONE, FAILED, print_findings, print_json
from nuxt_queue.timeline import one_line, table

if TYPE_CHECKING:
    from nuxt_queue.cli.arguments import Commands

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("scan", help="list the workers of a folder")
    parser.add_argument("directory", nargs="?", type=Path, help="default: the project's workers")
    parser.add_argument("--json", action="store_true", help="print the registry as JSON")
    parser.set_defaults(command=_scan)


def _scan(args: argparse.Namespace) -> int:
    from nuxt_queue.registry import scan

    directory, settings = project_of(args.directory)
    found = scan(directory, settings)
    if args.json:
        print_json(found.to_wire())
    else:
        rows = [
            (
                e.queue,
                e.job,
                e.worker["runtime"],
                ", ".join(e.flow.names or ()) if e.flow else "",
                one_line(e.path),
            )
            for e in found.entries
        ]
        if rows:
            print(table(("queue", "job", "runtime", "flow", "file"), rows))
        else:
            print(f"no workers in {directory}", file=sys.stderr)
        print_findings(found)
    return FAILED if found.problems else DONE
