"""Snapshot: how the queues of an app stand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from nuxt_queue.app import App
from nuxt_queue.errors import QueueError
from nuxt_queue.managers import JobRecord

__all__ = ["Snapshot", "take_snapshot"]

_MOST_RUNNING = 100  # jobs of a queue; more nobody reads


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How the queues of an app stand, whichever process runs their jobs.

    Attributes:
        counts: The number of jobs by queue and state.
        running: The jobs that run, the one that began first first.
        problem: Why it could not be seen, an empty string when it could.
    """

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    running: list[JobRecord] = field(default_factory=list)
    problem: str = ""


async def take_snapshot(app: App, *, within_s: float) -> Snapshot:
    """Look at the queues of an app's workers.

    Args:
        app: The app.
        within_s: Seconds that the queues have to answer.
    """
    counts: dict[str, dict[str, int]] = {}
    running: list[JobRecord] = []
    try:
        async with asyncio.timeout(within_s):
            for queue in sorted({entry.queue for entry in app.registrations.served}):
                counts[queue] = await app.manager.get_job_counts(queue)
                if counts[queue]["active"]:
                    running += await app.manager.get_jobs(queue, ["active"], _MOST_RUNNING)
    except TimeoutError:
        return Snapshot(problem=f"the queues do not answer within {within_s:g} s")
    except QueueError as error:
        return Snapshot(problem=str(error))
    return Snapshot(counts, sorted(running, key=lambda job: job.processed_on or 0))
