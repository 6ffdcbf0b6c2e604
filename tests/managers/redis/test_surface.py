"""What is used of BullMQ beside its documentation: a release without it is noticed here."""

from __future__ import annotations

from bullmq import Job, Queue, Worker
from bullmq.redis_connection import loadScript

from nuxt_queue.services.redis import RedisServer

_OF_BACKEND = (
    "addJob", "moveToActive", "moveToCompleted", "moveToFailed", "moveToDelayed", "retryJob",
    "moveStalledJobsToWait", "getCounts", "remove", "pause", "isPaused",
)  # fmt: skip
_KEYS = (
    "", "active", "wait", "paused", "completed", "failed", "delayed", "stalled", "limiter",
    "prioritized", "meta", "events", "marker", "stalled-check",
)  # fmt: skip


async def test_the_package_has_what_managers_bullmq_uses_of_it() -> None:
    client = RedisServer("redis://h:1").client(repeats=False, text=True)
    options = {"connection": client, "prefix": "nq"}
    worker, queue = Worker("q", None, options), Queue("q", options)

    assert [name for name in _OF_BACKEND if not callable(getattr(worker.backend, name))] == []
    assert [worker.keys[name] for name in _KEYS] == [f"nq:q:{name}" for name in _KEYS]
    assert worker.backend.scripts.keys["stalled-check"] == "nq:q:stalled-check"
    assert callable(worker.backend.scripts.getJobs)
    assert callable(worker.nextJobFromJobData)
    assert (worker.blockUntil, worker.limitUntil) == (0, 0)
    assert loadScript("moveJobFromActiveToWait-9.lua").startswith("--")
    job = Job(queue, "a", 1, {}, "i")
    assert (job.stalledCounter, job.stacktrace, job.opts["attempts"]) == (0, [], 0)
    await client.aclose()
