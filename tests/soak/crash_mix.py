"""Jobs of which every tenth fails, in five ways in turn; each must be accounted for (faults S1)."""

from __future__ import annotations

import asyncio
import os
import resource
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from nuxt_queue.managers import WorkerManager
from nuxt_queue.managers.queue_events import QueueEvent
from nuxt_queue.runner.reaper import reaper

WORKER = Path(__file__).parent.parent / "samples" / "workers" / "crashes_in_five_ways.py"
ATTEMPTS = 3
# How a job fails, and how its failed reason begins.
WAYS = {
    "segfault": "worker process was killed by SIGSEGV (11)",
    "exit_0": "worker process exited with code 0 without a result",
    "exception": "ValueError: bad",
    "timeout": "Worker timeout after 1000ms",
    "memory": "MemoryError",
}


@dataclass
class Account:
    """What became of the jobs.

    Attributes:
        results: Job id to result.
        reasons: Job id to failed reason.
        attempts: How often a handler began, by job id.
    """

    results: dict[str, object] = field(default_factory=dict)
    reasons: dict[str, str | None] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)


def way_of(n: int) -> str | None:
    """Return how job `n` fails; nine of ten do not."""
    return None if n % 10 else [*WAYS][n // 10 % 5]


def id_of(n: int) -> str:
    """Return the id of job `n`; BullMQ keeps plain numbers for itself."""
    return f"job{n}"


async def run_mix(manager: WorkerManager, count: int, *, at_once: int = 200) -> Account:
    """Run `count` jobs, `at_once` of them in the queue, and return what became of each."""
    account = Account()
    free = asyncio.Semaphore(at_once)

    def completed(event: QueueEvent) -> None:
        assert event.job_id is not None
        assert event.job_id not in account.results
        account.results[event.job_id] = event.returnvalue
        free.release()

    def failed(event: QueueEvent) -> None:
        assert event.job_id is not None
        assert event.job_id not in account.reasons
        account.reasons[event.job_id] = event.failed_reason
        free.release()

    manager.on("mix", "completed", completed)
    manager.on("mix", "failed", failed)
    manager.bus.subscribe(
        lambda event: account.attempts.update([event.run_id]) if event.type == "log" else None
    )
    options = {"path": WORKER, "runtime": "python", "timeout": 1_000, "concurrency": 4}
    await manager.register_worker("mix", "mix", None, options)
    for n in range(count):
        await free.acquire()
        opts = {"jobId": id_of(n), "attempts": ATTEMPTS, "removeOnComplete": True}
        data = {"n": n, "way": way_of(n)}
        await manager.enqueue("mix", "mix", data, {**opts, "removeOnFail": True})
    for _ in range(at_once):
        await free.acquire()
    return account


def check(account: Account, count: int) -> None:
    """Fail unless every job is in the state that it should be in, after the attempts it should."""
    expected = {id_of(n): way_of(n) for n in range(count)}
    whole = {id_of(n): n for n in range(count) if way_of(n) is None}
    assert account.results == whole
    assert set(account.reasons) == {i for i, way in expected.items() if way}
    for job_id, reason in account.reasons.items():
        assert (reason or "").startswith(WAYS[expected[job_id] or ""]), (job_id, reason)
    assert account.attempts == Counter({i: ATTEMPTS if way else 1 for i, way in expected.items()})


def footprint() -> tuple[int, int, int]:
    """Return this process's open descriptors, its children but the reaper, and its MiB."""
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    tasks = Path(f"/proc/{os.getpid()}/task")
    children = {pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()}
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return (
        descriptors,
        len(children - {str(reaper().pid)}),
        pages * resource.getpagesize() >> 20,
    )
