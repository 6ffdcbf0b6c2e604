"""`nq jobs` and `nq retry`: what became of jobs, and another try for those that failed."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING

from nuxt_queue.cli.arguments import add_place, add_workers, at_least, shared_queues
from nuxt_queue.cli.job_page import age, job_page
from nuxt_queue.cli.lookup import hint_about, queues_of
from nuxt_queue.cli.output import DONE, FAILED, print_json, print_table, put, remark, say
from nuxt_queue.errors import ConfigError
from nuxt_queue.timeline import brief

if TYPE_CHECKING:
    from nuxt_queue.app import App
    from nuxt_queue.cli.arguments import Commands
    from nuxt_queue.managers import JobRecord
    from nuxt_queue.managers.jobs import JobState

__all__ = ["add_to"]

_STATES: tuple[JobState, ...] = ("waiting", "active", "completed", "failed", "delayed", "paused")
_LIMIT = 20
_LONGEST = 60  # characters of a result or a reason in the table


def add_to(commands: Commands) -> None:
    """Add both commands."""
    jobs = commands.add_parser("jobs", help="list the jobs of the queues, or show one")
    jobs.add_argument("queue", nargs="?", metavar="QUEUE", help="default: all of the workers")
    jobs.add_argument("id", nargs="?", metavar="ID", help="show this one, with its log")
    jobs.add_argument("--state", choices=_STATES, help="only those")
    jobs.add_argument(
        "--limit",
        type=at_least(1),
        default=_LIMIT,
        metavar="N",
        help=f"of each queue, the newest (default: {_LIMIT})",
    )
    jobs.add_argument("--counts", action="store_true", help="how many there are in each state")
    jobs.add_argument("--json", action="store_true", help="print JSON")
    add_workers(jobs)
    add_place(jobs)
    jobs.set_defaults(command=lambda args: asyncio.run(_jobs(args)))

    retry = commands.add_parser("retry", help="let jobs that failed run once more")
    retry.add_argument("queue", metavar="QUEUE")
    retry.add_argument("ids", nargs="*", metavar="ID")
    retry.add_argument("--failed", action="store_true", help="all of the queue that failed")
    add_workers(retry)
    add_place(retry)
    retry.set_defaults(command=_retry)


async def _jobs(args: argparse.Namespace) -> int:
    async with shared_queues(args) as app:
        if args.id is not None:
            job = await app.manager.get_job(args.queue, args.id)
            if job is None:
                hint = await hint_about(app, args.id)
                return say(f'queue "{args.queue}" has no job "{args.id}"{hint}', FAILED)
            logs = await app.manager.get_job_logs(args.queue, args.id)
            if args.json:
                kept = [record.to_wire() for record in logs]
                print_json({"queue": job.queue, **job.to_wire(), "logs": kept})
            else:
                for line in job_page(job, logs):
                    put(line)
            return DONE
        queues = queues_of(app) if args.queue is None else [args.queue]
        if args.counts:
            await _print_counts(app, queues, as_json=args.json)
            return DONE
        found = [job for queue in queues for job in await _newest(app, queue, args)]
    if args.json:
        print_json([{"queue": job.queue, **job.to_wire()} for job in found])
    elif found:
        print_table(("job", "queue", "name", "state", "attempts", "age", ""), _rows(found))
    else:
        remark(_nothing(app, queues, args.state))
    return DONE


def _nothing(app: App, queues: list[str], state: str | None) -> str:
    """Say where no jobs were found, and where there may be some."""
    known = queues_of(app)
    if not known:
        return f"no workers in {app.registrations.directory}, so no queues"
    hint = "" if set(queues) <= set(known) else f"; the workers have: {', '.join(known)}"
    return f"no {f'{state} ' if state else ''}jobs in {', '.join(queues)}{hint}"


async def _print_counts(app: App, queues: list[str], *, as_json: bool) -> None:
    counts = {queue: await app.manager.get_job_counts(queue) for queue in queues}
    if as_json:
        print_json(counts)
        return
    rows = [(q, *(str(of[state]) for state in _STATES)) for q, of in counts.items()]
    print_table(("queue", *_STATES), rows)


async def _newest(app: App, queue: str, args: argparse.Namespace) -> list[JobRecord]:
    """Return the jobs of a queue that were enqueued last, the last one first."""
    counts = await app.manager.get_job_counts(queue)
    found: list[JobRecord] = []
    states: tuple[JobState, ...] = _STATES if args.state is None else (args.state,)
    for state in states:
        first = max(0, counts[state] - args.limit)
        found += await app.manager.get_jobs(queue, [state], args.limit, first)
    return sorted(found, key=lambda job: job.timestamp, reverse=True)[: args.limit]


def _rows(jobs: list[JobRecord]) -> list[tuple[str, ...]]:
    now_ms = time.time() * 1000
    return [
        (
            job.id,
            job.queue,
            job.name,
            job.state,
            f"{job.attempts_made} of {job.opts.max_attempts}",
            age((now_ms - job.timestamp) / 1000),
            _outcome(job),
        )
        for job in jobs
    ]


def _outcome(job: JobRecord) -> str:
    if job.state == "completed":
        return brief(job.returnvalue, _LONGEST)
    reason = job.failed_reason or ""
    return reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}…"


def _retry(args: argparse.Namespace) -> int:
    if bool(args.ids) == args.failed:
        raise ConfigError("name the jobs to retry, or say --failed for all of the queue")
    return asyncio.run(_retried(args))


async def _retried(args: argparse.Namespace) -> int:
    async with shared_queues(args) as app:
        ids = args.ids
        if args.failed:
            ids = [job.id for job in await app.manager.get_jobs(args.queue, ["failed"])]
        for job_id in ids:
            await app.manager.retry_job(args.queue, job_id)
            put(job_id)
        known = queues_of(app)
    if not ids and args.queue not in known:
        there = f"; the workers have: {', '.join(known)}" if known else ""
        raise ConfigError(f'no job of queue "{args.queue}" has failed, and no worker has it{there}')
    if not ids:
        remark(f'no job of queue "{args.queue}" has failed')
    return DONE
