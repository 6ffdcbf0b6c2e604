"""Where everything of an app is kept: queues, state, timelines and runs of flows, in one engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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

__all__ = ["Backend", "BackendName", "open_backend"]

BackendName = Literal["memory", "file"]


@dataclass(frozen=True, slots=True)
class Backend:
    """One engine.

    Attributes:
        state: Keeps what jobs share.
        events: Keeps the timelines.
        flows: Keeps the runs of flows.
        manager: Makes the queues, for a context service and the runtimes of worker files.
    """

    state: StateStore
    events: EventStream
    flows: FlowStore
    manager: Callable[[ContextService, Runtimes], WorkerManager]


@asynccontextmanager
async def open_backend(name: BackendName, data_dir: Path) -> AsyncIterator[Backend]:
    """Open an engine until the block ends; the manager made from it is closed before.

    Args:
        name: `memory`: gone with this process; `file`: one SQLite file for this machine.
        data_dir: The folder of the file.

    Raises:
        ConfigError: There is no engine of that name.
        QueueStorageError: The file cannot be used.
    """
    if name == "memory":
        yield Backend(MemoryStateStore(), MemoryEventStream(), MemoryFlowStore(), _in_memory)
    elif name == "file":
        async with Database(data_dir) as database:

            def in_file(contexts: ContextService, runtimes: Runtimes) -> WorkerManager:
                return FileWorkerManager(contexts, database, runtimes=runtimes)

            yield Backend(
                SqliteStateStore(database),
                SqliteEventStream(database),
                SqliteFlowStore(database),
                in_file,
            )
    else:
        raise ConfigError(f'unknown backend "{name}"; known: memory, file')


def _in_memory(contexts: ContextService, runtimes: Runtimes) -> WorkerManager:
    return MemoryWorkerManager(contexts, runtimes=runtimes)
