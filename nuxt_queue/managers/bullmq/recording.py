"""Writing down what becomes of a job after an attempt, in BullMQ's words."""

from __future__ import annotations

import logging

from nuxt_queue.managers.bullmq.queue import BullMQQueue, RejectedError, Taken
from nuxt_queue.managers.outcome import Settlement
from nuxt_queue.services.redis.server import RedisServer

__all__ = ["record"]

_log = logging.getLogger(__name__)


async def record(
    server: RedisServer, queue: BullMQQueue, taken: Taken, settlement: Settlement, *, again: bool
) -> None:
    """Write down what becomes of a job, or that it is another worker's by now.

    Args:
        server: The server.
        queue: The queue of the job.
        taken: The job.
        settlement: What becomes of it.
        again: Whether it may have been written by a command whose answer never came.

    Raises:
        QueueStorageError: Redis does not answer, or refuses.
    """
    job_id = taken.job.id
    async with server.answering():
        try:
            await _write(queue, taken, settlement)
        except RejectedError as refusal:
            if not await queue.hold([(job_id, taken.token)]):
                await _write_once_more(queue, taken, settlement)
                return
            found = await queue.read(job_id)
            if again and (found is None or found.state != "active"):
                return  # it was taken by the command whose answer never came
            _log.warning(
                "job %s of queue %s ended too late, its lock was lost, and it %s: %s",
                job_id,
                queue.name,
                "is not in Redis any more" if found is None else "runs again",
                refusal,
            )


async def _write_once_more(queue: BullMQQueue, taken: Taken, settlement: Settlement) -> None:
    """Write what was refused although the job is ours.

    Its lock had run out while Redis was away, and is ours again.  Or the job may not end so: then
    that is what is written.
    """
    try:
        await _write(queue, taken, settlement)
    except RejectedError as refusal:
        await queue.fail(taken, f"BullMQ does not take the result: {refusal}", "")


async def _write(queue: BullMQQueue, taken: Taken, settlement: Settlement) -> None:
    job = settlement.job
    if job.state == "completed":
        assert job.result is not None
        await queue.complete(taken, job.result)
    elif not settlement.is_counted:
        await queue.put_back(taken, settlement.delay_ms)
    elif job.state == "failed":
        await queue.fail(taken, job.failed_reason or "", job.stacktrace[-1])
    else:
        delay_ms = settlement.delay_ms
        await queue.try_again(taken, job.failed_reason or "", job.stacktrace[-1], delay_ms)
