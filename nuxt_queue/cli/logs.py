"""`nq logs`: what a job, or a run of a flow, has logged and printed."""

from __future__ import annotations

import argparse
import asyncio
import select
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nuxt_queue.cli.arguments import add_place, add_workers, at_least, shared_queues
from nuxt_queue.cli.log_lines import LogLine, LogPrinter
from nuxt_queue.cli.lookup import find_jobs, find_run, queues_of
from nuxt_queue.cli.output import DONE, FAILED, say
from nuxt_queue.errors import ConfigError

if TYPE_CHECKING:
    from nuxt_queue.app import App
    from nuxt_queue.cli.arguments import Commands

__all__ = ["add_to"]

_LOOK_S = 0.2  # between two looks at what is followed
_SHARE = 4  # a look may take one part of the time, the pause takes so many


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("logs", help="show what a job or a run of a flow has logged")
    parser.add_argument("id", metavar="JOB|RUN", help="a job's id, or that of a run of a flow")
    parser.add_argument("--queue", metavar="QUEUE", help="the job's; default: the one that has it")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on until the job or the run has ended"
    )
    parser.add_argument("--last", type=at_least(0), metavar="N", help="begin with the last N lines")
    parser.add_argument("--json", action="store_true", help="print JSON objects, one a line")
    add_workers(parser)
    add_place(parser)
    parser.set_defaults(command=lambda args: asyncio.run(_logs(args)))


async def _logs(args: argparse.Namespace) -> int:
    async with shared_queues(args) as app:
        source = await _source(app, args.id, args.queue)
        if source is None:
            return say(_unknown(app, args), FAILED)
        seen = await source.look()
        printer = LogPrinter(as_json=args.json, common=source.common, width=seen.width)
        lines = seen.lines
        if args.last is not None:
            lines = lines[len(lines) - min(args.last, len(lines)) :]
        printer.print(lines)
        if not args.follow:
            if note := seen.note or ("" if seen.lines else f"{source.name} has logged nothing"):
                say(note)
            return DONE
        return await _follow(source, seen, printer)


def _unknown(app: App, args: argparse.Namespace) -> str:
    queues = queues_of(app) if args.queue is None else [args.queue]
    where = f"queue {queues[0]}" if len(queues) == 1 else f"the queues {', '.join(queues)}"
    return f'no run "{args.id}", and no job of that id in {where if queues else "any queue"}'


async def _follow(source: _Source, seen: _Seen, printer: LogPrinter) -> int:
    """Print what is added until the end."""
    while seen.ended is None and _is_read():
        started = time.monotonic()
        before, seen = seen, await source.look()
        fresh, is_whole = _added(before.lines, seen.lines)
        if not is_whole:
            say(f"{source.name} logs more than is kept: some lines are left out")
        printer.print(fresh)
        if seen.ended is None:
            took_s = time.monotonic() - started
            await asyncio.sleep(max(_LOOK_S, _SHARE * took_s))
    if seen.ended is None or not seen.ended:
        return DONE
    return say(seen.ended, FAILED)


def _added(before: list[LogLine], now: list[LogLine]) -> tuple[list[LogLine], bool]:
    """Return the lines that were added, and whether they are all that were added."""
    if not before:
        return now, True
    for at in range(len(now) - 1, -1, -1):
        if now[at] == before[-1]:
            return now[at + 1 :], True
    return now, not now


def _is_read() -> bool:
    """Return True if somebody can still read stdout; a reader may go away while nothing comes."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return not poll.poll(0)
    except (OSError, ValueError):  # a stdout without a descriptor
        return True


@dataclass(slots=True)
class _Seen:
    """What one look has found.

    Attributes:
        lines: All that is kept.
        ended: None while it goes on; empty when it ended well, else what to say of it.
        note: What to know about the lines.
        width: Of the longest name of a step.
    """

    lines: list[LogLine] = field(default_factory=list)
    ended: str | None = None
    note: str = ""
    width: int = 0


class _Source(ABC):
    """What lines are read of.

    Attributes:
        name: What it is, for a message.
        common: What says so in JSON.
    """

    name: str
    common: dict[str, str]

    @abstractmethod
    async def look(self) -> _Seen:
        """Look at how it stands, and then at its lines: of what has ended none are missed."""


class _Job(_Source):
    def __init__(self, app: App, queue: str, job_id: str) -> None:
        self._app, self._queue, self._id = app, queue, job_id
        self.name, self.common = f"job {job_id}", {"queue": queue, "jobId": job_id}

    async def look(self) -> _Seen:
        job = await self._app.manager.get_job(self._queue, self._id)
        if job is None:
            return _Seen(ended=f"{self.name} is not kept, so how it ended is not known")
        found = await self._app.manager.get_job_logs(self._queue, self._id)
        seen = _Seen([LogLine(record) for record in found])
        if job.state == "failed":
            seen.ended = f"{self.name} failed: {job.failed_reason}"
        elif job.state == "completed":
            seen.ended = ""
        if found and len(found) == job.opts.keep_logs:
            seen.note = f"the newest {len(found)} lines; older ones are not kept"
        elif not found and not (job.attempts_made or job.processed_on):
            seen.note = f"{self.name} is {job.state} and has not run yet"
        return seen


class _Run(_Source):
    def __init__(self, app: App, run_id: str) -> None:
        self._app, self._id = app, run_id
        self.name, self.common = f"run {run_id}", {"runId": run_id}

    async def look(self) -> _Seen:
        from nuxt_queue.managers.job_logs import LogRecord

        run = await self._app.flows.run(self._id)
        seen = _Seen(width=max(map(len, run.steps), default=0))
        for event in await self._app.bus.read(self._id):
            if event.type == "log":
                seen.lines.append(LogLine(LogRecord.of(event), event.step_name or ""))
        if run.status == "completed":
            seen.ended = ""
        elif run.status != "running":
            reason = f": {run.error}" if run.error else ""
            seen.ended = f"flow {run.flow_name} {run.status}{reason}"
        return seen


async def _source(app: App, wanted: str, queue: str | None) -> _Source | None:
    """Return what an id names: a run, or a job of one queue.

    Raises:
        ConfigError: Several queues have a job of that id.
    """
    if queue is None and await find_run(app, wanted) is not None:
        return _Run(app, wanted)
    jobs = await find_jobs(app, wanted, queue)
    if len(jobs) > 1:
        queues = ", ".join(job.queue for job in jobs)
        raise ConfigError(f'several queues have a job "{wanted}", name one with --queue: {queues}')
    return _Job(app, jobs[0].queue, jobs[0].id) if jobs else None
