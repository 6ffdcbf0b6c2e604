"""Node's own BullMQ on the other side of a queue."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from nuxt_queue.managers.bullmq import BullMQWorkerManager
from nuxt_queue.managers.job_logs import LogRecord
from nuxt_queue.services.context import JobContext
from tests.managers.redis.conftest import Fleet, ended

_PEER = Path(__file__).parents[2] / "node" / "bullmq_peer.mjs"


async def peer(fleet: Fleet, mode: str, count: int, *, queue: str = "q", wait_s: float) -> Any:
    """Run the peer on a queue; return what it says became of the jobs."""
    port = fleet.url.rpartition(":")[2].partition("/")[0]
    process = await asyncio.create_subprocess_exec(
        *("node", str(_PEER), mode, port, fleet.prefix, queue, str(count)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(wait_s):
            told, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return json.loads(told)


async def worker(job: dict[str, Any], context: JobContext) -> Any:
    """Do what the peer's worker does."""
    n = job["data"]["n"]
    await context.log("info", "begun")
    await context.log("warn", f"this is job {n}", {"n": n})
    if n % 10 == 0:
        raise ValueError(f"bad {n}")
    return {"n": n, "text": job["data"]["text"]}


async def node_produces(fleet: Fleet, count: int, *, wait_s: float) -> None:
    """Let Node produce and us work; Node must see what it sees of its own workers."""
    manager = fleet.manager()
    await manager.register_worker("q", "a", worker, {"concurrency": 5})

    told = await peer(fleet, "produce", count, wait_s=wait_s)

    assert len(told) == count
    for n, job in enumerate(told):
        fails = n % 10 == 0
        attempts = (1, 2) if fails else (1,)
        said = [
            line
            for attempt in attempts
            for line in (
                f"#{attempt} info: begun",
                f'#{attempt} warn: this is job {n}\t{{"n":{n}}}',
            )
        ]
        logs = [re.sub(r"^\d{4}-\d\d-\d\dT[\d:.]{15}Z ", "", line) for line in job.pop("logs")]
        assert logs == (said[-1:] if n % 5 == 0 else said)
        expected: dict[str, Any] = {
            "n": n,
            "state": "failed" if fails else "completed",
            "returnvalue": None if fails else {"n": n, "text": "ü\u2028"},
            "attemptsMade": 2 if fails else 1,
            "stacktrace": 2 if fails else 0,
            "early": False,
        }
        if fails:
            expected["failedReason"] = f"ValueError: bad {n}"
        assert job == expected


async def node_works(fleet: Fleet, count: int, *, wait_s: float) -> None:
    """Produce for a worker of Node's; we must see what we see of our own."""
    manager: BullMQWorkerManager = fleet.manager()
    opts = {"attempts": 2, "backoff": {"type": "exponential", "delay": 5}}
    ids = [await manager.enqueue("q", "a", {"n": n, "text": "ü\u2028"}, opts) for n in range(count)]

    await peer(fleet, "work", count, wait_s=wait_s)

    for n, job_id in enumerate(ids):
        job = await ended(manager, job_id)
        fails = n % 10 == 0
        assert job.state == ("failed" if fails else "completed")
        assert job.returnvalue == (None if fails else {"n": n, "text": "ü\u2028"})
        assert job.failed_reason == (f"bad {n}" if fails else None)
        assert job.attempts_made == (2 if fails else 1)
        assert len(job.stacktrace) == (2 if fails else 0)
        assert job.progress == {"done": n}
        logs = await manager.get_job_logs("q", job_id)
        assert logs == [LogRecord(f"Node has job {n}")] * (2 if fails else 1)
