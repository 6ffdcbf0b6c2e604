"""A Nuxt application whose queues are on the same Redis: which flows are its own.

Its functions in TypeScript run inside it, and its runs go on only by what it hears there.  A server
of ours that takes their jobs completes them, and the runs stay as they are.
"""

from __future__ import annotations

from nuxt_queue.services.redis.server import RedisServer

__all__ = ["application_flows"]

_STORE = "nvent"  # the prefix of the application's store, whatever that of its queues is
_COUNT, _MOST_ROUNDS = 10_000, 200  # two million keys; a round takes a few milliseconds


async def application_flows(server: RedisServer, prefix: str) -> frozenset[str]:
    """Return the flows that an application runs here; `*` when our prefix is its own.

    It keeps each run under `<store>:flow:runs:<flow>:meta:<run>`; we have no such keys.

    Raises:
        QueueStorageError: Redis refuses us or does not answer.
    """
    flows, cursor = set[str](), 0
    client = server.client(repeats=True, text=True)
    try:
        for _ in range(_MOST_ROUNDS):
            async with server.answering():
                cursor, keys = await client.scan(cursor, match="*:flow:runs:*:meta:*", count=_COUNT)
            for key in keys:
                store, _, rest = key.partition(":flow:runs:")
                if store in (prefix, _STORE):
                    flows.add(rest.rpartition(":meta:")[0])
                if store == prefix:
                    flows.add("*")
            if not int(cursor):
                break
    finally:
        await client.aclose()
    return frozenset(flows)
