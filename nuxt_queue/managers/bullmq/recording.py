"""Writing down how an attempt ended, whatever happens to Redis meanwhile."""

from __future__ import annotations

import asyncio
import logging

from nuxt_queue.errors import QueueStorageError
from nuxt_queue.managers.attempt import Completed, Failed, Outcome
from nuxt_queue.managers.bullmq.queue import BullMQQueue, RejectedError, Taken
from nuxt_queue.services.redis.server import RedisServer

__all__ = ["record"]

_log = logging.getLogger(__name__)


async def record(
    server: RedisServer, queue: BullMQQueue, taken: Taken, outcome: Outcome, *, retry_s: float
) -> bool:
    """Write an outcome down; try until Redis has taken or refused it.

    That it cannot be written is never the handler's failure.

    Returns:
        Whether it was written; False when the job is another worker's by now.
    """
    sent = False
    while True:
        try:
            return await _record(server, queue, taken, outcome, sent=sent)
        except QueueStorageError as error:
            if not sent:
                _log.warning("the end of job %s is not recorded yet: %s", taken.job.id, error)
            sent = True
            await asyncio.sleep(retry_s)


async def _record(
    server: RedisServer, queue: BullMQQueue, taken: Taken, outcome: Outcome, *, sent: bool
) -> bool:
    job_id = taken.job.id
    async with server.answering():
        try:
            await _write(queue, taken, outcome)
        except RejectedError as refusal:
            if not await queue.hold([(job_id, taken.token)]):
                return await _write_once_more(queue, taken, outcome)
            found = await queue.read(job_id)
            if sent and (found is None or found.state != "active"):
                return True  # it was taken by the command whose answer never came
            _log.warning(
                "job %s of queue %s ended too late, its lock was lost, and it %s: %s",
                job_id,
                queue.name,
                "is not in Redis any more" if found is None else "runs again",
                refusal,
            )
            return False
    return True


async def _write_once_more(queue: BullMQQueue, taken: Taken, outcome: Outcome) -> bool:
    """Write an outcome that was refused although the job is ours.

    Its lock had run out while Redis was away, and is ours again.  Or the job may not end so: then
    that is what is written.
    """
    try:
        await _write(queue, taken, outcome)
    except RejectedError as refusal:
        await queue.fail(taken, f"BullMQ does not take the result: {refusal}", "")
    return True


async def _write(queue: BullMQQueue, taken: Taken, outcome: Outcome) -> None:
    if isinstance(outcome, Completed):
        await queue.complete(taken, outcome.result)
    elif not isinstance(outcome, Failed):
        await queue.put_back(taken, outcome.retry_in_ms)
    elif outcome.retry_in_ms is None:
        await queue.fail(taken, outcome.reason, outcome.stack)
    else:
        await queue.try_again(taken, outcome.reason, outcome.stack, outcome.retry_in_ms)
