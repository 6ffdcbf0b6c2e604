"""`nq conformance`: plays host to any command, and says what it gets right of the protocol."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from nuxt_queue.cli.output import DONE, FAILED, print_json, put
from nuxt_queue.errors import ConfigError

if TYPE_CHECKING:
    from nuxt_queue.cli.arguments import Commands

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "conformance",
        help="play host to any command and report what it gets right of the protocol",
        description="Start a command as a worker, about forty times, and report clause by clause"
        " what it gets right of the protocol, docs/protocol.md.  Its handler is run with data that"
        " says that it is a probe.",
    )
    parser.add_argument(
        "argv", nargs="+", metavar="COMMAND", help="the program and its arguments, behind --"
    )
    parser.add_argument(
        "--timeout", type=int, default=10_000, metavar="MS", help="for each answer; default 10000"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(command=_conformance)


def _conformance(args: argparse.Namespace) -> int:
    from nuxt_queue.conformance import examine

    if args.timeout <= 0:
        raise ConfigError(f"--timeout is {args.timeout}; give milliseconds above 0")
    report = asyncio.run(examine(args.argv, wait_s=args.timeout / 1000))
    if args.json:
        print_json(report.to_wire())
    else:
        for line in report.lines():
            put(line)
    return FAILED if report.count("FAIL") else DONE
