"""One job through a Redis, to see whether it allows what a server does with each."""

from __future__ import annotations

import contextlib
import time
import uuid
from typing import Any

from nuxt_queue.errors import QueueStorageError
from nuxt_queue.managers.bullmq.queue import BullMQQueue, RejectedError
from nuxt_queue.managers.jobs import JobRecord
from nuxt_queue.managers.options import JobOptions
from nuxt_queue.rpc.codec import Encoded
from nuxt_queue.services.redis import RedisServer, RedisStateStore

__all__ = ["try_out"]

_JOB = "tried"
_LOCK_MS = 10_000
_KEPT = 2  # what is written in the end
_WAIT_S = 1.0  # for a mark that is there already


async def try_out(server: RedisServer, prefix: str) -> None:
    """Enqueue, wait for, take, complete, read and remove a job, and count in a state of its own.

    Args:
        server: The Redis.
        prefix: What the keys of the project begin with; what is tried has keys of its own.

    Raises:
        QueueStorageError: What Redis refuses, or that it does not keep what it is given.
    """
    name = f"nq-doctor-{uuid.uuid4().hex}"
    state = RedisStateStore(server, prefix, ttl_s=60)
    client = server.client(repeats=True, text=True)
    queue = BullMQQueue(name, client, prefix, _LOCK_MS)
    try:
        await state.set(name, "tried", 1)
        kept = await state.incr(name, "tried") == _KEPT and await state.delete(name, "tried")
        async with server.answering():
            ended = await _run_job(queue, client)
        if not kept or not ended:
            raise QueueStorageError(server.name, "it does not give back what was written")
    except RejectedError as refusal:
        raise QueueStorageError(server.name, f"a job cannot be run: {refusal}") from None
    finally:
        with contextlib.suppress(QueueStorageError):
            await state.delete(name, "tried")
        with contextlib.suppress(QueueStorageError):
            job = f"{queue.keys['']}{_JOB}"
            async with server.answering():
                await client.delete(job, f"{job}:lock", *queue.keys.values())
        await client.aclose()
        await state.close()


async def _run_job(queue: BullMQQueue, client: Any) -> bool:
    """Take a job through its life; return True if its result was kept."""
    options = JobOptions.read({"removeOnFail": True}, refused={})
    one, two = Encoded(b"1"), Encoded(str(_KEPT).encode())
    job_id = await queue.add(JobRecord(_JOB, "try", queue.name, one, options, _now_ms()))
    marked = await client.bzpopmin(queue.keys["marker"], _WAIT_S)
    taken = await queue.take("doctor")
    if taken is None or not marked:
        return False
    await queue.hold([(job_id, "doctor")])
    await queue.complete(taken, two)
    found = await queue.read(job_id)
    return await queue.remove(job_id) and found is not None and found.returnvalue == _KEPT


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
