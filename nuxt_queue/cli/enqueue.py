"""`nq enqueue`: puts a job into a queue that `nq serve` serves."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from nuxt_queue.cli.arguments import (
    add_data,
    add_place,
    add_workers,
    at_least,
    json_of,
    place_of,
    shared_queues,
)
from nuxt_queue.cli.output import DONE, FAILED, print_json, put, say
from nuxt_queue.errors import ConfigError, QueueStorageError, WorkerNotFoundError

if TYPE_CHECKING:
    from nuxt_queue.app import App
    from nuxt_queue.cli.arguments import Commands
    from nuxt_queue.managers import JobRecord

__all__ = ["add_to"]

_LOOK_S = 0.1  # between two looks at a job that is waited for
_PATIENCE_S = 5.0  # before it is said that nobody has taken it


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("enqueue", help="put a job into a queue, and say its id")
    parser.add_argument("queue", metavar="QUEUE")
    parser.add_argument("job", metavar="JOB", nargs="?", help="default: the queue's only one")
    add_data(parser)
    parser.add_argument("--id", metavar="ID", help="a second job of that id is not made")
    parser.add_argument("--attempts", type=at_least(1), metavar="N", help="how often it may run")
    parser.add_argument("--delay", type=at_least(0), metavar="MS", help="before it may run")
    parser.add_argument("--priority", type=at_least(0), metavar="N", help="1 runs before 2")
    parser.add_argument(
        "--opts", default="{}", metavar="JSON", help='others, such as {"backoff": 1000}'
    )
    parser.add_argument("--wait", action="store_true", help="wait for it, and print its result")
    add_workers(parser)
    add_place(parser)
    parser.set_defaults(command=_enqueue)


def _enqueue(args: argparse.Namespace) -> int:
    data, opts = json_of("--data", args.data), json_of("--opts", args.opts)
    if not isinstance(opts, dict):
        raise ConfigError("--opts is a JSON object of job options")
    given = {
        "jobId": args.id,
        "attempts": args.attempts,
        "delay": args.delay,
        "priority": args.priority,
    }
    return asyncio.run(_enqueued(args, data, {**opts, **_stated(given)}))


def _stated(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


async def _enqueued(args: argparse.Namespace, data: Any, opts: dict[str, Any]) -> int:
    async with shared_queues(args) as app:
        job = _job_of(app, args.queue, args.job)
        job_id = await app.enqueue(args.queue, job, data, opts)
        if not args.wait:
            try:
                put(job_id)
            except OSError as error:
                raise ConfigError(
                    f"job {job_id} is enqueued, and stdout does not take its id: {error.strerror}"
                ) from None
            return DONE
        async with _told_when_nobody_serves(args, app, job_id):
            ended = await _end_of(app, args.queue, job_id)
    if ended is None:
        return say(f"job {job_id} is not kept, so how it ended is not known", FAILED)
    if ended.state == "failed":
        return say(f"job {job_id} failed: {ended.failed_reason}", FAILED)
    print_json(ended.returnvalue)
    return DONE


def _job_of(app: App, queue: str, job: str | None) -> str:
    """Return the name of a queue's jobs; a name that nothing runs is refused."""
    names = sorted(entry.job for entry in app.workers.entries if entry.queue == queue)
    if not names:
        known = ", ".join(sorted({entry.queue for entry in app.workers.entries})) or "none"
        where = app.registrations.directory
        raise ConfigError(f'no worker in {where} serves the queue "{queue}"; known: {known}')
    if job is None and len(names) > 1:
        raise ConfigError(f'queue "{queue}" has several jobs, name one of: {", ".join(names)}')
    if job is not None and job not in names:
        raise WorkerNotFoundError(queue, job, names)
    return job or names[0]


@contextlib.asynccontextmanager
async def _told_when_nobody_serves(
    args: argparse.Namespace, app: App, job_id: str
) -> AsyncIterator[None]:
    """Say where a job waits when it is taken by nobody; who waits would not know why."""

    async def tell() -> None:
        job = None
        await asyncio.sleep(args.delay / 1000 if args.delay else 0)
        await asyncio.sleep(_PATIENCE_S)
        with contextlib.suppress(QueueStorageError):  # whoever waits for the end says it
            job = await app.manager.get_job(args.queue, job_id)
        if job is not None and job.state == "waiting" and not job.attempts_made:
            where = place_of(args, app.settings).shown
            say(f"job {job_id} waits in {where}: is that where nq serve runs, and has it room?")

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait({telling})


async def _end_of(app: App, queue: str, job_id: str) -> JobRecord | None:
    while True:
        job = await app.manager.get_job(queue, job_id)
        if job is None or job.state in ("completed", "failed"):
            return job
        await asyncio.sleep(_LOOK_S)
