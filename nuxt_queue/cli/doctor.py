"""`nq doctor`: what is installed, reachable and misconfigured, and how to mend it."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from nuxt_queue.cli.arguments import add_place
from nuxt_queue.cli.notices import warnings_to
from nuxt_queue.cli.output import DONE, FAILED, print_json, put

if TYPE_CHECKING:
    from nuxt_queue.cli.arguments import Commands
    from nuxt_queue.diagnosis import Finding

__all__ = ["add_to"]

_WIDTH = 14  # of the word for what was looked at


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("doctor", help="say what is missing or set wrong, and the fix")
    parser.add_argument("directory", nargs="?", type=Path, help="default: the project's workers")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--full", action="store_true", help="read and check the whole file, however large"
    )
    add_place(parser)
    parser.set_defaults(command=lambda args: asyncio.run(_doctor(args)))


async def _doctor(args: argparse.Namespace) -> int:
    from nuxt_queue.diagnosis import examine

    findings = []
    with warnings_to(_unsaid):
        async for finding in examine(
            args.directory,
            os.environ,
            backend=args.backend,
            data_dir=args.data_dir,
            full=args.full,
        ):
            findings.append(finding)
            if not args.json:
                _print(finding)
    if args.json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    return FAILED if any(finding.level == "FAIL" for finding in findings) else DONE


def _unsaid(message: str, *, is_bad: bool = False) -> None:
    """Show nothing of what is logged: the findings say it all."""


def _print(finding: Finding) -> None:
    put(f"{finding.level:<4}  {finding.what:<{_WIDTH}}  {finding.said}")
    if finding.fix:
        put(f"{'':<6}{'':<{_WIDTH}}  fix: {finding.fix}")
