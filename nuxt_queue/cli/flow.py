"""`nq flow`: runs of flows."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from nuxt_queue.cli.arguments import (
    add_data,
    add_place,
    add_workers,
    at_least,
    json_of,
    project_of,
    shared_queues,
)
from nuxt_queue.cli.lookup import find_run, hint_about
from nuxt_queue.cli.output import (
    DONE,
    FAILED,
    print_event,
    print_findings,
    print_json,
    print_step_table,
    print_table,
    put,
    remark,
)
from nuxt_queue.errors import ConfigError

if TYPE_CHECKING:
    from nuxt_queue.app import App
    from nuxt_queue.cli.arguments import Commands
    from nuxt_queue.services.flows import FlowRun

__all__ = ["add_to"]

_ENDED = 10


def add_to(commands: Commands) -> None:
    """Add the command and those below it."""
    parser = commands.add_parser("flow", help="start, list, show, cancel and answer runs of flows")
    below = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    start = below.add_parser("start", help="run a flow to its end here, and show its timeline")
    start.add_argument("flow", metavar="FLOW")
    add_data(start)
    start.add_argument(
        "--detach", action="store_true", help="leave it to nq serve, and say the run's id"
    )
    start.add_argument("--json", action="store_true", help="print everything as one JSON object")
    start.set_defaults(command=_start)

    listed = below.add_parser("list", help="the flows, their runs under way, and the last ones")
    listed.add_argument(
        "--ended",
        type=at_least(0),
        default=_ENDED,
        metavar="N",
        help=f"runs that have ended, the latest first (default: {_ENDED})",
    )
    listed.add_argument("--json", action="store_true", help="print JSON")
    listed.set_defaults(command=lambda args: asyncio.run(_list(args)))

    show = below.add_parser("show", help="how a run stands, with its timeline")
    show.add_argument("run", metavar="RUN")
    show.add_argument("--json", action="store_true", help="print everything as one JSON object")
    show.set_defaults(command=lambda args: asyncio.run(_show(args)))

    cancel = below.add_parser("cancel", help="start no further step of a run")
    cancel.add_argument("run", metavar="RUN")
    cancel.set_defaults(command=lambda args: asyncio.run(_cancel(args)))

    resolve = below.add_parser("resolve", help="end what a step waits for, such as a webhook")
    resolve.add_argument("run", metavar="RUN")
    resolve.add_argument("step", metavar="STEP")
    add_data(resolve, "what the step finds in ctx.trigger")
    resolve.set_defaults(command=lambda args: asyncio.run(_resolve(args)))

    emit = below.add_parser("emit", help="tell the runs of something that happened outside")
    emit.add_argument("event", metavar="EVENT")
    emit.add_argument("run", metavar="RUN", nargs="?", help="default: all that wait for the event")
    add_data(emit, "what belongs to the event")
    emit.set_defaults(command=lambda args: asyncio.run(_emit(args)))

    for command in (start, listed, show, cancel, resolve, emit):
        add_workers(command)
        add_place(command)


def _start(args: argparse.Namespace) -> int:
    data = json_of("--data", args.data)
    if args.detach:
        return asyncio.run(_detach(args, data))
    if args.backend or args.data_dir:
        raise ConfigError(
            "a flow runs here and from memory; say --detach to leave it to nq serve, which has a"
            " backend"
        )
    return asyncio.run(_run(args, data))


async def _run(args: argparse.Namespace, data: Any) -> int:
    from nuxt_queue.app import open_app

    directory, settings = project_of(args.workers)
    async with open_app(directory, settings=settings) as app:
        print_findings(app.workers)
        if not args.json:
            width = max((len(entry.job) for entry in app.workers.entries), default=0)
            app.bus.subscribe(lambda event: print_event(event, width))
        run, events = await app.run_flow(args.flow, data)
        if args.json:
            print_json({**run.to_wire(), "events": [event.to_wire() for event in events]})
        else:
            print_step_table(events)
            put(_ending(run))
        return DONE if run.status == "completed" else FAILED


async def _detach(args: argparse.Namespace, data: Any) -> int:
    async with shared_queues(args) as app:
        put((await app.flows.start_flow(args.flow, data))["flowId"])
    return DONE


async def _list(args: argparse.Namespace) -> int:
    async with shared_queues(args) as app:
        stats = await app.flows.get_all_flow_stats()
        running = await app.flows.get_running_flows()
        ended = await app.flows.get_ended_flows(args.ended) if args.ended else []
    if args.json:
        print_json({"flows": stats, "running": running, "ended": ended})
        return DONE
    if not stats:
        remark("no flows")
    else:
        heads = ("flow", "runs", "completed", "failed", "cancelled", "running")
        print_table(heads, _rows(stats))
    for title, runs in (("under way", running), ("ended", ended)):
        if runs:
            rows = [_row(run) for run in runs]
            put("")
            print_table((title, "flow", "started", "status", "steps"), rows)
    return DONE


def _rows(stats: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    columns = ("total", "success", "failure", "cancel", "running")
    return [(of["name"], *(str(of["stats"][name]) for name in columns)) for of in stats]


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    said = run["error"] or ", ".join(f"{name} {status}" for name, status in run["steps"].items())
    return (run["id"], run["flowName"], run["startedAt"], run["status"], said)


async def _show(args: argparse.Namespace) -> int:
    async with shared_queues(args) as app:
        run, events = await _run_of(app, args.run), await app.bus.read(args.run)
    if args.json:
        print_json({**run.to_wire(), "events": [event.to_wire() for event in events]})
        return DONE
    for event in events:
        print_event(event, max(map(len, run.steps), default=0))
    print_step_table(events)
    put(_ending(run))
    return DONE


async def _cancel(args: argparse.Namespace) -> int:
    async with shared_queues(args) as app:
        run = await _run_of(app, args.run)
        await app.flows.cancel_flow(run.flow_name, run.id)
        put(_ending(await app.flows.run(args.run)))
    return DONE


async def _resolve(args: argparse.Namespace) -> int:
    data = json_of("--data", args.data)
    async with shared_queues(args) as app:
        await app.flows.resolve_await(args.run, args.step, data)
        put(_ending(await app.flows.run(args.run)))
    return DONE


async def _emit(args: argparse.Namespace) -> int:
    data = json_of("--data", args.data)
    async with shared_queues(args) as app:
        reached = await app.flows.emit(args.event, data, args.run)
    for run_id in reached:
        put(run_id)
    if not reached:
        remark(f"no run waits for {args.event}")
    return DONE if reached else FAILED


async def _run_of(app: App, run_id: str) -> FlowRun:
    """Return a run.

    Raises:
        ConfigError: There is none of that id; the message says what has it, if anything.
    """
    run = await find_run(app, run_id)
    if run is None:
        hint = await hint_about(app, run_id) or "; nq flow list shows those that there are"
        raise ConfigError(f'Flow run not found: "{run_id}"{hint}')
    return run


def _ending(run: FlowRun) -> str:
    reason = f": {run.error}" if run.error else ""
    return f"flow {run.flow_name} {run.status}{reason}"
