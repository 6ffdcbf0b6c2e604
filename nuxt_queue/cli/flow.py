"""`nq flow`: runs of flows."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from nuxt_queue.cli.arguments import add_data, add_workers, json_of, project_of
from nuxt_queue.cli.output import DONE, FAILED, print_event, print_findings, print_json
from nuxt_queue.timeline import one_line, step_table

if TYPE_CHECKING:
    from nuxt_queue.cli.arguments import Commands

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the command and those below it."""
    parser = commands.add_parser("flow", help="run a flow")
    below = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    start = below.add_parser("start", help="run a flow to its end and show its timeline")
    start.add_argument("flow", metavar="FLOW")
    add_workers(start)
    add_data(start)
    start.add_argument("--json", action="store_true", help="print everything as one JSON object")
    start.set_defaults(command=_start)


def _start(args: argparse.Namespace) -> int:
    data = json_of("--data", args.data)
    return asyncio.run(_run(args, data))


async def _run(args: argparse.Namespace, data: Any) -> int:
    from nuxt_queue.app import open_app

    directory, _settings = project_of(args.workers)
    async with open_app(directory) as app:
        print_findings(app.workers)
        if not args.json:
            width = max((len(entry.job) for entry in app.workers.entries), default=0)
            app.bus.subscribe(lambda event: print_event(event, width))
        run, events = await app.run_flow(args.flow, data)
        if args.json:
            print_json({**run.to_wire(), "events": [event.to_wire() for event in events]})
        else:
            print(step_table(events))
            ending = f"flow {run.flow_name} {run.status}" + (f": {run.error}" if run.error else "")
            print(one_line(ending))
        return DONE if run.status == "completed" else FAILED
