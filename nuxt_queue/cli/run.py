"""`nq run`: one job of one worker, without a queue."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from nuxt_queue.cli.arguments import add_data, json_of
from nuxt_queue.cli.output import DONE, FAILED, print_event, print_failure, print_json
from nuxt_queue.errors import ConfigError

if TYPE_CHECKING:
    from nuxt_queue.cli.arguments import Commands

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("run", help="run one job of a worker in a process of its own")
    parser.add_argument("worker", type=Path, metavar="WORKER")
    add_data(parser)
    parser.add_argument("--state", default="{}", metavar="JSON", help="what ctx.state holds before")
    parser.add_argument("--timeout", type=int, metavar="MS", help="instead of the worker's own")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    parser.set_defaults(command=_run)


def _run(args: argparse.Namespace) -> int:
    from nuxt_queue.config import ProjectConfig
    from nuxt_queue.one_job import run_job
    from nuxt_queue.registry import read_worker

    data, state = json_of("--data", args.data), json_of("--state", args.state)
    if not isinstance(state, dict):
        raise ConfigError("--state is a JSON object, one key for each value of ctx.state")
    entry = read_worker(args.worker, settings=ProjectConfig.find(args.worker.parent))
    listener = None if args.json else print_event
    report = asyncio.run(
        run_job(entry, data, state=state, timeout_ms=args.timeout, listener=listener)
    )
    if args.json:
        print_json(report.to_wire())
    elif report.error is None:
        print_json(report.result)
    else:
        print_failure(report.to_wire()["error"])
    return FAILED if report.error else DONE
