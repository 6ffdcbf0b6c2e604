"""FlowStore in Redis."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from weakref import WeakValueDictionary

from nuxt_queue.rpc.codec import decode, encode
from nuxt_queue.services.flow_runs import FlowStatus, RunRecord
from nuxt_queue.services.flow_store import Change, FlowStore, FlowTally
from nuxt_queue.services.redis.pool import Turns
from nuxt_queue.services.redis.server import RedisServer, key_part

__all__ = ["RedisFlowStore"]

_LEAST_WAIT_S, _MOST_WAIT_S = 0.002, 0.1  # between two attempts to change a run
_COUNTERS = ("total", "success", "failure", "cancel")

# The one step that has to be indivisible: a run as changed takes the place of the run as read,
# unless somebody else was quicker, and with it everything that is known by it.
#
# KEYS: the run, running, running of its flow, due, ended, the tally of its flow.
# ARGV: the version that was read, the id, the JSON, the status, when it began, when it is due or
# "", when it ended or "", how many ended ones are kept, the beginning of the keys of runs, how
# long ended ones are kept, then the changes of the tally: name, "+" or "=", value.
_KEEP = """
if (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'run', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'version', 1)
if ARGV[4] == 'running' then
  redis.call('PERSIST', KEYS[1])
  redis.call('ZREM', KEYS[5], ARGV[2])
  redis.call('ZADD', KEYS[2], ARGV[5], ARGV[2])
  redis.call('ZADD', KEYS[3], ARGV[5], ARGV[2])
else
  redis.call('EXPIRE', KEYS[1], ARGV[10])
  redis.call('ZREM', KEYS[2], ARGV[2])
  redis.call('ZREM', KEYS[3], ARGV[2])
  redis.call('ZADD', KEYS[5], ARGV[7], ARGV[2])
  for _, id in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1 - ARGV[8])) do
    redis.call('DEL', ARGV[9] .. id)
    redis.call('ZREM', KEYS[5], id)
  end
end
if ARGV[6] == '' then
  redis.call('ZREM', KEYS[4], ARGV[2])
else
  redis.call('ZADD', KEYS[4], ARGV[6], ARGV[2])
end
for i = 11, #ARGV, 3 do
  if ARGV[i + 1] == '+' then
    redis.call('HINCRBY', KEYS[6], ARGV[i], ARGV[i + 2])
  else
    redis.call('HSET', KEYS[6], ARGV[i], ARGV[i + 2])
  end
end
return 1
"""


class RedisFlowStore(FlowStore):
    """A FlowStore that any number of machines share.

    Args:
        server: The server.
        prefix: What every key begins with.
        keep_ended: How many ended runs are remembered.
        ttl_s: How long an ended run is remembered at most: the host's `metadataTTL`.
    """

    poll_s = 0.1

    def __init__(
        self,
        server: RedisServer,
        prefix: str = "nq",
        *,
        keep_ended: int = 1_000,
        ttl_s: int = 2_592_000,
    ) -> None:
        self._server, self._base = server, f"{prefix}:flow::"
        self._keep_ended, self._ttl_s = keep_ended, ttl_s
        self._client = server.client(repeats=True)
        self._changing = WeakValueDictionary[str, Turns]()
        self._keep_script = self._client.register_script(_KEEP)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def create(self, run: RunRecord) -> None:
        """Keep a new run."""
        # Refused only when it is there already, by an attempt whose answer was lost.
        await self._keep("", None, run)

    async def change(self, run_id: str, change: Change) -> RunRecord | None:
        """Apply a change to a run and return the run as changed."""
        # One after the other here; only other processes can be quicker.
        turns = self._changing.setdefault(run_id, Turns(1, self._server.limits.operation_s))
        with self._server.speaking():
            async with turns.turn():
                return await self._change(run_id, change)

    async def get(self, run_id: str) -> RunRecord | None:
        """Return a run, or None."""
        async with self._server.answering():
            line = await self._client.hget(self._run(run_id), "run")
        return None if line is None else RunRecord.read(decode(line))

    async def running(self, flow_name: str | None = None) -> list[RunRecord]:
        """Return the runs under way, the oldest first."""
        async with self._server.answering():
            return await self._read(await self._client.zrange(self._running(flow_name), 0, -1))

    async def ended(self, limit: int) -> list[RunRecord]:
        """Return the runs that ended last, the latest first."""
        async with self._server.answering():
            return await self._read(
                await self._client.zrevrange(f"{self._base}ended", 0, limit - 1)
            )

    async def due(self, now: float) -> list[str]:
        """Return the ids of the runs whose time has come, the most overdue first."""
        async with self._server.answering():
            ids = await self._client.zrangebyscore(f"{self._base}due", "-inf", now)
        return [run_id.decode() for run_id in ids]

    async def tally(self, flow_name: str) -> FlowTally:
        """Return how often a flow ran."""
        async with self._server.answering():
            kept = await self._client.hgetall(self._tally(flow_name))
        counts = {name: int(kept.get(name.encode(), 0)) for name in _COUNTERS}
        times = {name.decode(): float(value) for name, value in kept.items()}
        return FlowTally(
            **counts,
            last_run_at=times.get("last_run_at"),
            last_completed_at=times.get("last_completed_at"),
        )

    async def _change(self, run_id: str, change: Change) -> RunRecord | None:
        wait_s = _LEAST_WAIT_S
        while True:
            async with self._server.answering():
                line, version = await self._client.hmget(self._run(run_id), "run", "version")
            if line is None or version is None:
                return None
            run = RunRecord.read(decode(line))
            before = run.status
            change(run)
            if await self._keep(version, before, run):
                return run
            # Somebody else was quicker: at different times, not all of them are again.
            await asyncio.sleep(random.uniform(0, wait_s))  # noqa: S311 no secret
            wait_s = min(2 * wait_s, _MOST_WAIT_S)

    async def _read(self, ids: list[bytes]) -> list[RunRecord]:
        pipe = self._client.pipeline(transaction=False)
        for run_id in ids:
            pipe.hget(self._run(run_id.decode()), "run")
        lines = await pipe.execute() if ids else []
        return [RunRecord.read(decode(line)) for line in lines if line is not None]

    async def _keep(self, version: bytes | str, before: FlowStatus | None, run: RunRecord) -> bool:
        """Keep a run unless it has been changed since that version; say whether it was kept."""
        name = run.definition.name
        keys = [
            self._run(run.id),
            self._running(None),
            self._running(name),
            f"{self._base}due",
            f"{self._base}ended",
            self._tally(name),
        ]
        args = [
            version,
            run.id,
            encode(run.to_json()),
            run.status,
            repr(run.started_at),
            "" if run.due_at is None else repr(run.due_at),
            "" if run.finished_at is None else repr(run.finished_at),
            self._keep_ended,
            self._run(""),
            self._ttl_s,
            *_tally_changes(before, run),
        ]
        async with self._server.answering():
            return bool(await self._keep_script(keys=keys, args=args))

    def _run(self, run_id: str) -> str:
        return f"{self._base}run:{run_id}"

    def _running(self, flow_name: str | None) -> str:
        return f"{self._base}running" + ("" if flow_name is None else f":{flow_name}")

    def _tally(self, flow_name: str) -> str:
        return f"{self._base}tally:{key_part(flow_name)}"


def _tally_changes(before: FlowStatus | None, run: RunRecord) -> list[Any]:
    """Return what a change does to the tally of its flow: counted from nothing, it is the sum."""
    change = FlowTally()
    change.note(before, run)
    counts = [(name, "+", getattr(change, name)) for name in _COUNTERS]
    times = [(name, "=", getattr(change, name)) for name in ("last_run_at", "last_completed_at")]
    said = [each for each in counts if each[2]] + [each for each in times if each[2] is not None]
    return [repr(part) if isinstance(part, float) else part for each in said for part in each]
