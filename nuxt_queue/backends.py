"""Where everything of an app is kept: queues, state, timelines and runs of flows, in one engine."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nuxt_queue.config import BackendName, RedisConfig
from nuxt_queue.errors import ConfigError
from nuxt_queue.managers import FileWorkerManager, MemoryWorkerManager, Runtimes, WorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.event_stream import EventStream, MemoryEventStream
from nuxt_queue.services.flow_store import FlowStore, MemoryFlowStore
from nuxt_queue.services.sqlite import (
    Database,
    SqliteEventStream,
    SqliteFlowStore,
    SqliteStateStore,
)
from nuxt_queue.services.state import MemoryStateStore, StateStore

__all__ = ["Backend", "open_backend"]


async def _no_application() -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class Backend:
    """One engine.

    Attributes:
        state: Keeps what jobs share.
        events: Keeps the timelines.
        flows: Keeps the runs of flows.
        manager: Makes the queues, for a context service and the runtimes of worker files.
        application_flows: Names the flows that a Nuxt application runs in the same place; `*` when
            all queues here may be its own.
    """

    state: StateStore
    events: EventStream
    flows: FlowStore
    manager: Callable[[ContextService, Runtimes], WorkerManager]
    application_flows: Callable[[], Awaitable[frozenset[str]]] = _no_application


@asynccontextmanager
async def open_backend(
    name: BackendName, data_dir: Path, redis: RedisConfig
) -> AsyncIterator[Backend]:
    """Open an engine until the block ends; the manager made from it is closed before.

    Args:
        name: `memory`: gone with this process; `file`: one SQLite file for this machine; `redis`:
            a server, for any number of machines.
        data_dir: The folder of the file.
        redis: Where the server is; the environment's REDIS_URL comes first.

    Raises:
        ConfigError: There is no engine of that name, or the address of Redis cannot be read.
        QueueStorageError: The file cannot be used.
    """
    if name == "memory":
        yield Backend(MemoryStateStore(), MemoryEventStream(), MemoryFlowStore(), _in_memory)
    elif name == "file":
        async with _file(data_dir) as kept:
            yield kept
    elif name == "redis":
        async with _redis(redis.address(os.environ), redis.prefix) as kept:
            yield kept
    else:
        raise ConfigError(f'unknown backend "{name}"; known: memory, file, redis')


def _in_memory(contexts: ContextService, runtimes: Runtimes) -> WorkerManager:
    return MemoryWorkerManager(contexts, runtimes=runtimes)


@asynccontextmanager
async def _file(data_dir: Path) -> AsyncIterator[Backend]:
    async with Database(data_dir) as database:

        def in_file(contexts: ContextService, runtimes: Runtimes) -> WorkerManager:
            return FileWorkerManager(contexts, database, runtimes=runtimes)

        yield Backend(
            SqliteStateStore(database),
            SqliteEventStream(database),
            SqliteFlowStore(database),
            in_file,
        )


@asynccontextmanager
async def _redis(address: str, prefix: str) -> AsyncIterator[Backend]:
    # The packages of the extra `redis` are wanted only here.
    from nuxt_queue.managers.bullmq import BullMQWorkerManager
    from nuxt_queue.services.redis import (
        RedisEventStream,
        RedisFlowStore,
        RedisServer,
        RedisStateStore,
        application_flows,
    )

    server = RedisServer(address, prefix=prefix)

    def on_redis(contexts: ContextService, runtimes: Runtimes) -> WorkerManager:
        return BullMQWorkerManager(contexts, server, prefix=prefix, runtimes=runtimes)

    async with AsyncExitStack() as stack:
        state, flows = RedisStateStore(server, prefix), RedisFlowStore(server, prefix)
        events = RedisEventStream(server, prefix)
        for each in (state, flows, events):
            stack.push_async_callback(each.close)
        yield Backend(state, events, flows, on_redis, partial(application_flows, server, prefix))
