"""What an id names: a job, a run of a flow, or something else than the command expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nuxt_queue.errors import QueueError, QueueStorageError

if TYPE_CHECKING:
    from nuxt_queue.app import App
    from nuxt_queue.managers import JobRecord
    from nuxt_queue.services.flows import FlowRun

__all__ = ["find_jobs", "find_run", "hint_about", "queues_of"]


def queues_of(app: App) -> list[str]:
    """Return the queues that the workers of the folder serve."""
    return sorted({entry.queue for entry in app.workers.entries})


async def find_jobs(app: App, job_id: str, queue: str | None = None) -> list[JobRecord]:
    """Return the jobs of an id, which is unique in one queue only.

    Args:
        app: The queues.
        job_id: The id.
        queue: The only queue to search; all that the workers serve unless given.
    """
    queues = queues_of(app) if queue is None else [queue]
    found = [await app.manager.get_job(each, job_id) for each in queues]
    return [job for job in found if job is not None]


async def find_run(app: App, run_id: str) -> FlowRun | None:
    """Return a run of a flow, or None."""
    try:
        return await app.flows.run(run_id)
    except QueueStorageError:
        raise
    except QueueError:
        return None


async def hint_about(app: App, unknown: str) -> str:
    """Return what an id names that a command did not find, as the end of its message."""
    run = await find_run(app, unknown)
    if run is not None:
        return f"; it is a run of flow {run.flow_name}: nq flow show {unknown}"
    jobs = await find_jobs(app, unknown)
    if jobs:
        queue = jobs[0].queue
        return f"; it is a job of queue {queue}: nq jobs {queue} {unknown}, nq logs {unknown}"
    return ""
