"""Puts the parts together: a folder of workers becomes queues and flows that are served.

The role of the host's plugin.  Everything else in this package is given what it needs; this is the
one place that knows which implementations are used.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nuxt_queue.backends import Backend, open_backend
from nuxt_queue.config import BackendName, ProjectConfig
from nuxt_queue.errors import QueueUnreachableError, WorkerNotFoundError
from nuxt_queue.managers import JobOptions, WorkerManager, WorkerOptions
from nuxt_queue.registrations import Registrations
from nuxt_queue.registry import ScanResult, WorkerEntry
from nuxt_queue.registry.scan import worker_folder
from nuxt_queue.services.cancelling import end
from nuxt_queue.services.context import ContextService, JobHandler
from nuxt_queue.services.events import Event, EventBus, Listener
from nuxt_queue.services.flows import FlowDefinition, FlowEngine, FlowRun
from nuxt_queue.services.state import StateStore
from nuxt_queue.worker_runner import (
    ALL_FLOWS,
    belongs_to,
    child_runner,
    in_nuxt_application,
    worker_options,
)

__all__ = ["App", "open_app"]


@dataclass(frozen=True)
class App:
    """A folder of workers, and where their jobs are kept.

    Attributes:
        settings: The project's.
        registrations: Which workers there are, kept as their files are by its `update`.
        manager: The queues.
        flows: Starts flows and knows their runs.
        bus: The timelines.
        state: What the flows share.
    """

    settings: ProjectConfig
    registrations: Registrations
    manager: WorkerManager
    flows: FlowEngine
    bus: EventBus
    state: StateStore

    @property
    def workers(self) -> ScanResult:
        """What the last scan found, with the problems of what it could not use."""
        return self.registrations.workers

    async def enqueue(
        self, queue: str, job: str, data: Any, opts: Mapping[str, Any] | None = None
    ) -> str:
        """Put a job into a queue and return its id; its worker's defaults count, wherever it runs.

        Raises:
            QueueError: A name or an option is wrong, or the queue refuses the job.
        """
        options = JobOptions.read(opts, refused=self.manager.refused_job_options)
        with contextlib.suppress(WorkerNotFoundError):  # it may be served elsewhere
            defaults = worker_options(self.workers.find(queue, job)).default_job_options
            options = options.over(defaults)
        return await self.manager.enqueue(queue, job, data, options)

    async def run_flow(
        self, name: str, payload: Any = None, *, timeout_s: float | None = None
    ) -> tuple[FlowRun, list[Event]]:
        """Run a flow to its end and return how it ended, with its timeline.

        Raises:
            QueueError: If there is no such flow.
            WorkerNotFoundError: If one of its steps has no worker, so that it could never end.
            TimeoutError: If it has not ended in time.
        """
        definition = self.registrations.flows.get(name)
        for step in (definition.entry, *definition.steps.values()) if definition else ():
            if self.manager.get_worker(step.queue, step.name) is None:
                raise WorkerNotFoundError(step.queue, step.name)
        started = await self.flows.start_flow(name, payload)
        run = await self.flows.wait(started["flowId"], timeout_s)
        return run, await self.bus.read(run.id)


@asynccontextmanager
async def open_app(
    directory: str | Path,
    *,
    backend: BackendName = "memory",
    data_dir: str | Path | None = None,
    settings: ProjectConfig | None = None,
    concurrency: int | None = None,
    serve: bool = True,
    runtimes: Collection[str] = (),
    listener: Listener | None = None,
) -> AsyncIterator[App]:
    """Scan a folder, register every worker in it and serve them until the block ends.

    A worker that asks for what cannot be had is among `workers.problems` and is not served.

    Args:
        directory: The folder of the workers.
        backend: Where jobs, state and flows are kept: `memory`; `file`, which any number of
            processes of this machine may open at once; or `redis`, for any number of machines.
        data_dir: The folder of the file; the project's unless given.
        settings: The project's; looked for from the folder upward unless given.
        concurrency: How many jobs of a queue may run at once, instead of what its workers say.
        serve: False registers none: to enqueue and look after what others serve.
        runtimes: Whose workers are registered; all, unless given, but those for Node of a Nuxt
            application on the same Redis, which runs them itself.
        listener: Called with each event that happens here, from the first job on.

    Raises:
        RegistryError: If there is no such folder.
        ConfigError: If the project's settings are wrong.
        QueueStorageError: If the file or Redis cannot be used.
    """
    directory = worker_folder(directory)  # before anything is made
    settings = settings or ProjectConfig.find(directory)
    data_dir = Path(data_dir or settings.data_dir)
    async with open_backend(backend, data_dir, settings.redis) as kept, AsyncExitStack() as stack:
        theirs = frozenset[str]()
        if serve and not runtimes and backend == "redis":
            theirs = await _run_by_an_application(directory, kept)
        is_ours = partial(_is_ours, runtimes=frozenset(runtimes), application=theirs)
        app = _put_together(directory, settings, kept, concurrency, is_ours)
        if listener is not None:
            app.bus.subscribe(listener)
        await stack.enter_async_context(app.manager)
        await app.registrations.update(register=serve)
        if serve:
            await stack.enter_async_context(_looked_after(app.flows))
        yield app


async def _run_by_an_application(directory: Path, kept: Backend) -> frozenset[str]:
    """Return the flows that a Nuxt application runs itself."""
    if in_nuxt_application(directory):
        return ALL_FLOWS
    with contextlib.suppress(QueueUnreachableError):  # the server waits for Redis
        return await kept.application_flows()
    return frozenset()


def _put_together(
    directory: Path,
    settings: ProjectConfig,
    kept: Backend,
    concurrency: int | None,
    is_ours: Callable[[WorkerEntry], bool],
) -> App:
    bus, definitions = EventBus(kept.events), dict[str, FlowDefinition]()

    async def enqueue(queue: str, job: str, data: Any, opts: dict[str, Any]) -> str:
        return await app.enqueue(queue, job, data, opts)

    async def remove(queue: str, job_id: str) -> bool:
        return await manager.remove_job(queue, job_id)

    def child_processes(options: WorkerOptions) -> JobHandler:
        entry = registrations.entry(options.path)
        return child_runner(settings, entry, options.timeout_ms).create_handler()

    flows = FlowEngine(definitions, bus, enqueue, store=kept.flows, remove=remove)
    manager = kept.manager(ContextService(kept.state, bus, flows, flows), child_processes)
    options_of = partial(worker_options, concurrency=concurrency)
    registrations = Registrations(directory, settings, manager, options_of, definitions, is_ours)
    app = App(settings, registrations, manager, flows, bus, kept.state)
    return app


def _is_ours(entry: WorkerEntry, *, runtimes: frozenset[str], application: frozenset[str]) -> bool:
    if runtimes:
        return entry.worker["runtime"] in runtimes
    return not belongs_to(entry, application)


@asynccontextmanager
async def _looked_after(flows: FlowEngine) -> AsyncIterator[None]:
    looking_after = asyncio.create_task(flows.serve())
    try:
        yield
    finally:
        await end(looking_after)  # else it would end when its loop does
