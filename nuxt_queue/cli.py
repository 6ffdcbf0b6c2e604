"""`nq`: scan a folder of workers, run one job, run a flow, examine a worker in any language.

Results go to stdout, everything said about them to stderr.  Exit status: 0 done, 1 the job or the
flow failed, 2 a bad call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nuxt_queue.errors import ConfigError, NuxtQueueError
from nuxt_queue.services.events import Event
from nuxt_queue.timeline import event_line, step_table, table

if TYPE_CHECKING:
    from nuxt_queue.registry import ScanResult

__all__ = ["main"]

_DONE, _FAILED, _BAD_CALL = 0, 1, 2
_SHOWN = 60  # characters of bad input that a message repeats


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    args = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        return command(args)
    except ModuleNotFoundError as missing:
        if missing.name != "pydantic":
            raise
        return _say("nq needs the extra `host`: pip install 'nuxt-queue[host]'")
    except NuxtQueueError as error:
        return _say(str(error))
    except BrokenPipeError:  # `nq scan | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _DONE
    except KeyboardInterrupt:
        return _say("interrupted", status=130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nq", description=__doc__.split("\n", 1)[0] if __doc__ else ""
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    scan = commands.add_parser("scan", help="list the workers of a folder")
    scan.add_argument("directory", nargs="?", type=Path, help="default: the project's workers")
    scan.add_argument("--json", action="store_true", help="print the registry as JSON")
    scan.set_defaults(command=_scan)

    run = commands.add_parser("run", help="run one job of a worker in a process of its own")
    run.add_argument("worker", type=Path, metavar="WORKER")
    _add_data(run)
    run.add_argument("--state", default="{}", metavar="JSON", help="what ctx.state holds before")
    run.add_argument("--timeout", type=int, metavar="MS", help="instead of the worker's own")
    run.add_argument("--json", action="store_true", help="print everything as one JSON object")
    run.set_defaults(command=_run)

    flow = commands.add_parser("flow", help="run a flow").add_subparsers(
        title="commands", required=True, metavar="COMMAND"
    )
    start = flow.add_parser("start", help="run a flow to its end and show its timeline")
    start.add_argument("flow", metavar="FLOW")
    start.add_argument("--workers", type=Path, metavar="DIR", help="default: the project's workers")
    _add_data(start)
    start.add_argument("--json", action="store_true", help="print everything as one JSON object")
    start.set_defaults(command=_flow_start)
    conformance = commands.add_parser(
        "conformance",
        help="play host to any command and report what it gets right of the protocol",
        description="Start a command as a worker, about forty times, and report clause by clause"
        " what it gets right of the protocol, docs/protocol.md.  Its handler is run with data that"
        " says that it is a probe.",
    )
    conformance.add_argument(
        "argv", nargs="+", metavar="COMMAND", help="the program and its arguments, behind --"
    )
    conformance.add_argument(
        "--timeout", type=int, default=10_000, metavar="MS", help="for each answer; default 10000"
    )
    conformance.add_argument("--json", action="store_true", help="print one JSON object")
    conformance.set_defaults(command=_conformance)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", default="{}", metavar="JSON", help="the job's data; @FILE reads it, - is stdin"
    )


def _scan(args: argparse.Namespace) -> int:
    from nuxt_queue.config import ProjectConfig
    from nuxt_queue.registry import scan

    directory = _directory(args.directory)
    found = scan(directory, ProjectConfig.find(directory))
    if args.json:
        _print_json(found.to_wire())
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
            print(table(("queue", "job", "runtime", "flow", "file"), rows))
        else:
            print(f"no workers in {directory}", file=sys.stderr)
        _print_findings(found)
    return _FAILED if found.problems else _DONE


def _run(args: argparse.Namespace) -> int:
    from nuxt_queue.app import run_job
    from nuxt_queue.config import ProjectConfig
    from nuxt_queue.registry import read_worker

    data, state = _json("--data", args.data), _json("--state", args.state)
    if not isinstance(state, dict):
        raise ConfigError("--state is a JSON object, one key for each value of ctx.state")
    entry = read_worker(args.worker, settings=ProjectConfig.find(args.worker.parent))
    listener = None if args.json else _print_event
    report = asyncio.run(
        run_job(entry, data, state=state, timeout_ms=args.timeout, listener=listener)
    )
    if args.json:
        _print_json(report.to_wire())
    elif report.error is None:
        _print_json(report.result)
    else:
        _print_failure(report.to_wire()["error"])
    return _FAILED if report.error else _DONE


def _flow_start(args: argparse.Namespace) -> int:
    data = _json("--data", args.data)
    return asyncio.run(_run_flow(args, data))


async def _run_flow(args: argparse.Namespace, data: Any) -> int:
    from nuxt_queue.app import open_app

    async with open_app(_directory(args.workers)) as app:
        _print_findings(app.workers)
        if not args.json:
            width = max((len(entry.job) for entry in app.workers.entries), default=0)
            app.bus.subscribe(lambda event: _print_event(event, width))
        run, events = await app.run_flow(args.flow, data)
        if args.json:
            _print_json({**run.to_wire(), "events": [event.to_wire() for event in events]})
        else:
            print(step_table(events))
            print(f"flow {run.flow_name} {run.status}" + (f": {run.error}" if run.error else ""))
        return _DONE if run.status == "completed" else _FAILED


def _conformance(args: argparse.Namespace) -> int:
    from nuxt_queue.conformance import examine

    if args.timeout <= 0:
        raise ConfigError(f"--timeout is {args.timeout}; give milliseconds above 0")
    report = asyncio.run(examine(args.argv, wait_s=args.timeout / 1000))
    if args.json:
        _print_json(report.to_wire())
    else:
        for line in report.lines():
            print(line)
    return _FAILED if report.count("FAIL") else _DONE


def _print_findings(found: ScanResult) -> None:
    for problem in found.problems:
        print(f"problem: {problem}", file=sys.stderr)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _directory(given: Path | None) -> Path:
    from nuxt_queue.config import ProjectConfig

    if given is not None:
        return given
    return ProjectConfig.find(Path.cwd()).workers or Path.cwd()


def _json(option: str, text: str) -> Any:
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text("utf-8")
        return json.loads(text)
    except OSError as error:
        raise ConfigError(f"{option}: cannot read {text[1:]}: {error.strerror}") from None
    except ValueError as error:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        example = '{"name": "value"}'
        raise ConfigError(
            f"{option} is not JSON ({error}): {shown!r}; write it like '{example}'"
        ) from None


def _print_event(event: Event, width: int = 0) -> None:
    """Show a log line or an emitted event as it happens."""
    line = event_line(event, width)
    if line is not None:
        print(line, file=sys.stderr)


def _print_failure(error: dict[str, Any]) -> None:
    spot = error["location"]
    at = f" ({_place(spot)})" if spot else ""
    if error["traceback"]:
        print(error["traceback"].rstrip("\n"), file=sys.stderr)
    print(f"failed: {error['type']}: {error['message']}{at}", file=sys.stderr)
    if "hint" in error:
        print(f"hint: {error['hint']}", file=sys.stderr)


def _place(spot: dict[str, Any]) -> str:
    if "notebook" in spot:
        return f"{spot['notebook']}, cell {spot['cell']}, line {spot['cellLine']}"
    return f"{spot['file']}:{spot['line']}"


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _say(message: str, status: int = _BAD_CALL) -> int:
    print(f"nq: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
