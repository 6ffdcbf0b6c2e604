"""`nq scan`: what is in a folder of workers, and what is wrong with the rest."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nuxt_queue.cli.arguments import project_of
from nuxt_queue.cli.output import DONE, FAILED, print_findings, print_json, print_table, remark

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
                e.path,
            )
            for e in found.entries
        ]
        if rows:
            print_table(("queue", "job", "runtime", "flow", "file"), rows)
        else:
            remark(f"no workers in {directory}")
        print_findings(found)
    return FAILED if found.problems else DONE
