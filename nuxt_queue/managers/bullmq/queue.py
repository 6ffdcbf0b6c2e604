"""What is said to Redis about one queue of BullMQ's."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bullmq import Job, Queue, UnrecoverableError, Worker
from bullmq.redis_connection import loadScript

from nuxt_queue.errors import JobStalledError
from nuxt_queue.managers.bullmq.records import (
    UNREADABLE,
    kept_options,
    record_of,
    seen_record_of,
    unreadable,
    whole_times,
)
from nuxt_queue.managers.jobs import JobRecord, JobState
from nuxt_queue.managers.options import JobOptions, Limiter
from nuxt_queue.rpc.codec import Encoded
from nuxt_queue.services.payloads import checked

__all__ = ["BullMQQueue", "RejectedError", "Taken"]

# Locks that are held are renewed.  One that nobody holds, of a job that still stands as active, is
# taken again: it ran out while Redis was away, and no other worker has had the job since.
#
# KEYS: stalled, active.  ARGV: the beginning of the keys of jobs, milliseconds, id and token of
# each.  Returns the ids of the others.
_HOLD = """
local lost = {}
for i = 3, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  local lock = ARGV[1] .. id .. ':lock'
  local holder = redis.call('GET', lock)
  if holder == token or (not holder and redis.call('LPOS', KEYS[2], id)) then
    redis.call('SET', lock, token, 'PX', ARGV[2])
    redis.call('SREM', KEYS[1], id)
  else
    table.insert(lost, id)
  end
end
return lost
"""

# A job that was taken for us by a command whose answer never came.  When its lock has run out too,
# the moment at which it was taken tells.
#
# KEYS: active, stalled.  ARGV: the beginning of the keys of jobs, the token that it was taken with,
# from and until when, milliseconds for its lock.
_FIND = """
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local key = ARGV[1] .. id
  local holder = redis.call('GET', key .. ':lock')
  local at = tonumber(redis.call('HGET', key, 'processedOn') or 0)
  if holder == ARGV[2] or (not holder and at >= tonumber(ARGV[3]) and at <= tonumber(ARGV[4])) then
    redis.call('SET', key .. ':lock', ARGV[2], 'PX', ARGV[5])
    redis.call('SREM', KEYS[2], id)
    return {id, redis.call('HGETALL', key)}
  end
end
return false
"""

# Nothing is written to a job that somebody has removed, or has failed for its stalls, meanwhile.
_JUDGE = """
if tonumber(redis.call('HGET', KEYS[1], 'stc') or 0) > 0 then
  redis.call('HSET', KEYS[1], 'defa', ARGV[1])
end
"""

# As BullMQ's `addLog` does it, for many lines at once: only a job that is there has a log.  Lines
# are sent again when the answer was lost; no two lines are the same.
#
# KEYS: the job, its log.  ARGV: how many lines are kept, the lines.
_LOG = """
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('LINDEX', KEYS[2], -1) ~= ARGV[#ARGV] then
  for i = 2, #ARGV do
    redis.call('RPUSH', KEYS[2], ARGV[i])
  end
  redis.call('LTRIM', KEYS[2], -tonumber(ARGV[1]), -1)
end
"""

_WAITING = ("wait", "prioritized", "waiting-children", "paused")  # the last until BullMQ 5
_PLACES: Mapping[JobState, Sequence[str]] = {
    "waiting": _WAITING,
    "paused": _WAITING,
    "active": ("active",),
    "completed": ("completed",),
    "failed": ("failed",),
    "delayed": ("delayed",),
}
_LINES = 1_000  # of a log, in one message to Redis
_VALUE = 3  # the place of the result among the arguments of the script that finishes a job
_LOOK_S = 1.0  # between two looks at whether a queue has a global concurrency
_SENDING_MS = 20  # from the look at the clock to the script's arguments
_NEVER = 2**31  # so often a job may stall before BullMQ's script judges it: we judge ourselves


@dataclass(frozen=True, slots=True)
class Taken:
    """A job that has been made active and locked for us.

    Attributes:
        job: BullMQ's own.
        record: Ours.
        token: What its lock holds.
        deferred: Why it is to fail instead of running, if somebody said so.
    """

    job: Any
    record: JobRecord
    token: str
    deferred: str | None = None

    @property
    def stalls(self) -> int:
        """How many of its attempts have been lost with their workers."""
        return int(self.job.stalledCounter)


class RejectedError(Exception):
    """BullMQ does not take what is said of a job: its lock or its place is another's by now."""


class BullMQQueue:
    """One queue, over clients that are shared with others.

    Every method raises the client's own errors; a lost answer is the caller's affair.

    Args:
        name: The queue.
        client: A client for text whose commands are sent once.
        prefix: What the keys begin with.
        lock_ms: How long a lock holds unless it is renewed.
    """

    def __init__(self, name: str, client: Any, prefix: str, lock_ms: int) -> None:
        self.name = name
        self._client, self._lock_ms = client, lock_ms
        options = {"connection": client, "prefix": prefix}
        self._queue = Queue(name, options)
        # For its side of the scripts and of job schedulers; it runs nothing.
        self._worker = Worker(
            name, None, {**options, "lockDuration": lock_ms, "runRetryDelay": 1000}
        )
        self.keys: Mapping[str, str] = self._worker.keys
        self._backend, self._base = self._worker.backend, self.keys[""]
        # Whoever looks for stalled jobs keeps the others from it for a while, workers of Node's for
        # 30 s.  So ours have a time of their own: whether a job is lost, its lock says.
        scripts = self._backend.scripts
        scripts.keys = {**scripts.keys, "stalled-check": self.keys["stalled-check"] + "-nq"}
        _hand_on_text(scripts)
        self._hold = client.register_script(_HOLD)
        self._find = client.register_script(_FIND)
        self._judge = client.register_script(_JUDGE)
        self._log = client.register_script(_LOG)
        self._look_at, self._is_limited = 0.0, False  # by a global concurrency of the queue
        self._to_wait = client.register_script(loadScript("moveJobFromActiveToWait-9.lua"))

    def limit(self, limiter: Limiter | None) -> None:
        """Set how many jobs may start in a time."""
        self._worker.opts["limiter"] = limiter.to_wire() if limiter else None

    async def add(self, record: JobRecord) -> str:
        """Keep a job; one whose id is there already is not made again."""
        options = kept_options(record.opts)
        job = Job(self._queue, record.name, record.payload, options, record.id)
        # As given: BullMQ would add what it takes for granted, and a reader could not tell.
        job.id, job.timestamp, job.opts = record.id, record.timestamp, options
        return str(await self._backend.addJob(job))

    async def take(self, token: str) -> Taken | None:
        """Make the next job active and lock it; None when none may run."""
        fields, job_id, limit_ms, next_ms = await self._backend.moveToActive(
            token, self._worker.opts
        )
        # The package forgets to forget the time of a delayed job that has been removed.
        self._worker.blockUntil = 0
        return await self._taken(fields, job_id, limit_ms, next_ms, token)

    async def find(self, token: str, at_ms: int) -> Taken | None:
        """Return the job that was taken with a token, at a time, by a command without an answer."""
        args = [self._base, token, at_ms - 1, at_ms + _SENDING_MS, self._lock_ms]
        found = await self._find(keys=[self.keys["active"], self.keys["stalled"]], args=args)
        if not found:
            return None
        return await self._taken(_fields(found[1]), found[0], 0, 0, token)

    def pause_s(self, most_s: float) -> tuple[float, bool]:
        """Return how long to wait after `take` found nothing, and whether for a limiter."""
        if self._worker.limitUntil:
            return min(self._worker.limitUntil / 1000, most_s), True
        if self._worker.blockUntil:
            return min(max(self._worker.blockUntil / 1000 - time.time(), 0), most_s), False
        return most_s, False

    async def hold(self, held: Sequence[tuple[str, str]]) -> list[str]:
        """Renew the locks of jobs, given with their tokens; return the ids of the lost ones."""
        args = [self._base, self._lock_ms, *(part for each in held for part in each)]
        return list(await self._hold(keys=[self.keys["stalled"], self.keys["active"]], args=args))

    async def recover(self, interval_ms: int) -> list[str]:
        """Let jobs wait again whose lock has run out; return their ids."""
        ids = list(await self._backend.moveStalledJobsToWait(_NEVER, interval_ms))
        for job_id in ids:
            fields = await self._client.hgetall(self._base + job_id)
            record = seen_record_of(self.name, job_id, fields, "waiting") if fields else None
            if record and not record.opts.may_be_lost_in(record.attempts_made):
                # Judged again by whoever takes it; this is for the workers that are not ours.
                await self._judge(
                    keys=[self._base + job_id],
                    args=[str(JobStalledError(job_id, record.attempts_made))],
                )
        return ids

    async def complete(self, taken: Taken, result: Encoded) -> None:
        """Record a result."""
        job, keep = taken.job, taken.job.opts.get("removeOnComplete", False)
        await self._moved(
            self._backend.moveToCompleted(job, result, keep, taken.token, fetch_next=False)
        )

    async def fail(self, taken: Taken, reason: str, stack: str) -> None:
        """Record that a job has failed for good."""
        # Stalls have been counted as attempts; who tries the job again by hand begins without.
        counts = {"atm": str(taken.record.attempts_made), "stc": "0"}
        fields = _failure(taken.job, reason, stack) | counts
        job, keep = taken.job, taken.job.opts.get("removeOnFail", False)
        await self._moved(
            self._backend.moveToFailed(
                job, reason, keep, taken.token, fetch_next=False, fields_to_update=fields
            )
        )

    async def try_again(self, taken: Taken, reason: str, stack: str, delay_ms: int) -> None:
        """Record a failed attempt and let the job wait for the next."""
        job, fields = taken.job, {"fieldsToUpdate": _failure(taken.job, reason, stack)}
        if delay_ms:
            await self._moved(
                self._backend.moveToDelayed(job.id, _now_ms(), delay_ms, taken.token, fields)
            )
        else:
            lifo = job.opts.get("lifo", False)
            await self._moved(self._backend.retryJob(job.id, lifo, taken.token, fields))

    async def put_back(self, taken: Taken, delay_ms: int = 0) -> None:
        """Let a job wait again as if it had not been taken."""
        job_id, token = taken.job.id, taken.token
        if delay_ms:
            uncounted = {"skipAttempt": True}
            await self._moved(
                self._backend.moveToDelayed(job_id, _now_ms(), delay_ms, token, uncounted)
            )
            return
        names = ("active", "wait", "stalled", "paused", "meta", "limiter", "prioritized", "marker")
        keys = [self.keys[name] for name in (*names, "events")]
        code = await self._to_wait(keys=keys, args=[job_id, token, self._base + job_id])
        if code < 0:
            raise RejectedError(f"BullMQ's script says {code}")
        await self._tell_of_room()

    async def read(self, job_id: str) -> JobRecord | None:
        """Return a job as it stands, or None."""
        pipe = self._client.pipeline(transaction=True)
        pipe.hgetall(self._base + job_id)
        pipe.hexists(self.keys["meta"], "paused")
        for place in ("completed", "failed", "delayed"):
            pipe.zscore(self.keys[place], job_id)
        pipe.lpos(self.keys["active"], job_id)
        fields, paused, *places = await pipe.execute()
        if not fields:
            return None
        names: Sequence[JobState] = ("completed", "failed", "delayed", "active")
        found = [name for name, at in zip(names, places, strict=True) if at is not None]
        state: JobState = found[0] if found else "paused" if paused else "waiting"
        return seen_record_of(self.name, job_id, fields, state)

    async def add_logs(self, job_id: str, lines: Sequence[str], keep: int) -> None:
        """Add lines to the log of a job and keep so many, the newest."""
        key = f"{self._base}{job_id}"
        for first in range(0, len(lines), _LINES):
            args = [keep, *lines[first : first + _LINES]]
            await self._log(keys=[key, f"{key}:logs"], args=args)

    async def logs(self, job_id: str, start: int, end: int) -> Sequence[str]:
        """Return a part of the log of a job, the oldest line first."""
        found: Sequence[str] = await self._client.lrange(f"{self._base}{job_id}:logs", start, end)
        return found

    async def list(self, states: Sequence[JobState], most: int | None) -> list[JobRecord]:
        """Return the jobs of some states, of each the first, state by state in BullMQ's order."""
        paused = await self.is_paused()
        absent: JobState = "waiting" if paused else "paused"
        wanted = [state for state in states if state != absent]
        types = [(place, state) for state in wanted for place in _PLACES[state]]
        last = -1 if most is None else most - 1
        found = await self._backend.scripts.getJobs([place for place, _ in types], 0, last, True)
        return [
            seen_record_of(self.name, job_id, _fields(raw), state)
            for (_, state), jobs in zip(types, found, strict=True)
            for job_id, raw in jobs
        ]

    async def counts(self) -> dict[str, int]:
        """Return the number of jobs in each of BullMQ's places, and whether the queue is paused."""
        places = list(dict.fromkeys(place for each in _PLACES.values() for place in each))
        found = await self._backend.getCounts(places)
        by_place = dict(zip(places, found, strict=True))
        absent: JobState = "waiting" if await self.is_paused() else "paused"
        return {
            state: 0 if state == absent else sum(by_place[place] for place in of)
            for state, of in _PLACES.items()
        }

    async def retry(self, job_id: str) -> None:
        """Let a failed job wait again."""
        job = await Job.fromId(self._queue, job_id)
        if job is None:
            raise RejectedError(f'no job "{job_id}"')
        await self._moved(job.retry("failed"))

    async def remove(self, job_id: str) -> bool:
        """Forget a job; say whether it is gone."""
        return bool(await self._backend.remove(job_id, True) == 1)

    async def set_paused(self, *, paused: bool) -> None:
        """Let no worker take jobs, or let them go on."""
        await self._backend.pause(paused)

    async def is_paused(self) -> bool:
        """Tell whether no worker takes jobs."""
        return bool(await self._backend.isPaused())

    async def _taken(
        self, fields: Any, job_id: str, limit_ms: int, next_ms: int, token: str
    ) -> Taken | None:
        try:
            fields = whole_times(fields) if fields else fields
            told = {**fields, "data": "null"} if fields else fields  # the package unfolds it
            job = await self._worker.nextJobFromJobData(told, job_id, limit_ms, next_ms, token)
            if job is None:
                return None
            await checked((fields.get("data") or "null").encode())
            record = record_of(self.name, job_id, fields, "active")
            return Taken(job, record, token, fields.get("defa"))
        except UNREADABLE as error:
            # Whoever wrote it did not write what BullMQ reads; left active, it would stall forever.
            job = Job(self._worker, fields.get("name"), None)
            job.id = job_id
            record = JobRecord(job_id, str(job.name), self.name, Encoded(b"null"), JobOptions(), 0)
            with contextlib.suppress(RejectedError):  # it is another's by now, to fail as here
                await self.fail(Taken(job, record, token), unreadable(error), "")
            return None

    async def _moved(self, moving: Any) -> None:
        # The package's scripts have no error of their own: a refusal is a TypeError, or the error
        # of a parent whose children have failed.
        try:
            await moving
        except (TypeError, UnrecoverableError) as error:
            raise RejectedError(str(error)) from None
        await self._tell_of_room()

    async def _tell_of_room(self) -> None:
        """Tell who waits for a slot of the queue's global concurrency that one is free."""
        # What was to be written is written: if this fails, the others look a little later.
        with contextlib.suppress(Exception):
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + _LOOK_S
                self._is_limited = await self._client.hexists(self.keys["meta"], "concurrency")
            if self._is_limited:
                await self._client.zadd(self.keys["marker"], {"0": 0})


def _hand_on_text(scripts: Any) -> None:
    """Have the package's scripts get data and results as the text that they are.

    It would encode them on the event loop, all at once.
    """
    add, finish = scripts.addJobArgs, scripts.moveToFinishedArgs

    def add_args(job: Any) -> Any:
        payload, job.data = job.data, None
        packed, _, opts = add(job)
        return [packed, payload.text, opts]

    def finish_args(job: Any, value: Any, kind: str, *rest: Any, **named: Any) -> Any:
        if type(value) is not Encoded:
            return finish(job, value, kind, *rest, **named)
        keys, args = finish(job, None, kind, *rest, **named)
        args[_VALUE] = value.text
        return keys, args

    scripts.addJobArgs, scripts.moveToFinishedArgs = add_args, finish_args


def _failure(job: Any, reason: str, stack: str) -> dict[str, str]:
    limit = job.opts.get("stackTraceLimit")
    stacks = [*job.stacktrace, stack]
    kept = stacks if limit is None else stacks[len(stacks) - limit :] if limit else []
    return {"failedReason": reason, "stacktrace": json.dumps(kept)}


def _fields(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
