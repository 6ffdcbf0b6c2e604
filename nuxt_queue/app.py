"""Puts the parts together: a folder of workers becomes queues and flows that are served.

The role of the host's plugin.  Everything else in this package is given what it needs; this is the
one place that knows which implementations are used.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nuxt_queue.backends import Backend, BackendName, open_backend
from nuxt_queue.config import ProcessSettings, ProjectConfig
from nuxt_queue.errors import (
    ConfigError,
    HandlerError,
    JobError,
    NuxtQueueError,
    QueueError,
    WorkerNotFoundError,
)
from nuxt_queue.managers import WorkerManager, WorkerOptions
from nuxt_queue.registry import Problem, ScanResult, WorkerEntry, scan
from nuxt_queue.runner import ChildProcessRunner, Limits
from nuxt_queue.runner.programs import resolve_command
from nuxt_queue.services.context import ContextService, JobHandler
from nuxt_queue.services.events import Event, EventBus, Listener
from nuxt_queue.services.flows import FlowEngine, FlowRun
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore, StateStore

__all__ = ["App", "JobReport", "open_app", "run_job"]


@dataclass(frozen=True)
class App:
    """A folder of workers, being served.

    Attributes:
        workers: What the scan found, with the problems of what it could not use.
        manager: The queues.
        flows: Starts flows and knows their runs.
        bus: The timelines.
        state: What the flows share.
    """

    workers: ScanResult
    manager: WorkerManager
    flows: FlowEngine
    bus: EventBus
    state: StateStore

    async def run_flow(
        self, name: str, payload: Any = None, *, timeout_s: float | None = None
    ) -> tuple[FlowRun, list[Event]]:
        """Run a flow to its end and return how it ended, with its timeline.

        Raises:
            QueueError: If there is no such flow.
            WorkerNotFoundError: If one of its steps has no worker, so that it could never end.
            TimeoutError: If it has not ended in time.
        """
        definition = self.workers.flows().get(name)
        for step in (definition.entry, *definition.steps.values()) if definition else ():
            if self.manager.get_worker(step.queue, step.name) is None:
                raise WorkerNotFoundError(step.queue, step.name)
        started = await self.flows.start_flow(name, payload)
        run = await self.flows.wait(started["flowId"], timeout_s)
        return run, await self.bus.read(run.id)


@asynccontextmanager
async def open_app(
    directory: str | Path, *, backend: BackendName = "memory", data_dir: str | Path | None = None
) -> AsyncIterator[App]:
    """Scan a folder, register every worker in it and serve them until the block ends.

    A worker that asks for what cannot be had is among `workers.problems` and is not served.

    Args:
        directory: The folder of the workers.
        backend: Where jobs, state and flows are kept: `memory`, or `file`, which any number of
            processes of this machine may open at once.
        data_dir: The folder of the file; `.nuxt-queue` in the project's root unless given.

    Raises:
        RegistryError: If there is no such folder.
        ConfigError: If the project's settings are wrong.
        QueueStorageError: If the file cannot be used.
    """
    settings = ProjectConfig.find(Path(directory))
    workers = scan(directory, settings)
    data_dir = Path(data_dir or settings.root / ".nuxt-queue")
    async with open_backend(backend, data_dir) as kept, _serve(settings, workers, kept) as app:
        yield app


@asynccontextmanager
async def _serve(settings: ProjectConfig, workers: ScanResult, kept: Backend) -> AsyncIterator[App]:
    bus, state = EventBus(kept.events), kept.state

    async def enqueue(queue: str, job: str, data: Any, opts: dict[str, Any]) -> str:
        return await manager.enqueue(queue, job, data, opts)

    async def remove(queue: str, job_id: str) -> bool:
        return await manager.remove_job(queue, job_id)

    flows = FlowEngine(workers.flows(), bus, enqueue, store=kept.flows, remove=remove)

    def child_processes(options: WorkerOptions) -> JobHandler:
        assert options.path is not None  # every entry of a scan has one
        entry = next(e for e in workers.entries if e.abs_path == options.path)
        runner = child_runner(settings, entry, options.timeout_ms)
        return runner.create_handler()

    contexts = ContextService(state, bus, flows, flows)
    manager = kept.manager(contexts, child_processes)
    looking_after = asyncio.create_task(flows.serve())
    try:
        async with manager:
            for entry in workers.entries:
                try:
                    options = worker_options(entry)
                    await manager.register_worker(entry.queue, entry.job, None, options)
                except (ConfigError, QueueError) as error:  # the others are served all the same
                    workers.problems.append(Problem(entry.abs_path, None, str(error)))
            yield App(workers, manager, flows, bus, state)
    finally:
        looking_after.cancel()
        await asyncio.wait({looking_after})  # else it would end when its loop does


def worker_options(entry: WorkerEntry) -> WorkerOptions:
    """Say how a discovered worker is registered."""
    queue = entry.config.get("queue") or {}
    given = {
        "runtime": entry.worker["runtime"],
        "path": entry.abs_path,
        "concurrency": entry.worker["concurrency"],
        "timeout": entry.worker["timeout"],
        "subscribes": tuple(entry.flow.subscribes) if entry.flow else (),
        "defaultJobOptions": queue.get("defaultJobOptions"),
        "limiter": queue.get("limiter"),
    }
    return WorkerOptions.read(given, refused={})


def child_runner(
    settings: ProjectConfig, entry: WorkerEntry, timeout_ms: int | None
) -> ChildProcessRunner:
    """Make the runner of a worker as it and the project's settings say.

    Raises:
        ConfigError: If the runtime is unknown, switched off, or asks for what is not there.
    """
    name = entry.worker["runtime"]
    runtime = settings.runtime(name)
    stated = ProcessSettings.among(entry.worker).below(entry.abs_path.parent)
    given = stated.over(runtime.below(settings.root))
    return ChildProcessRunner(
        entry.abs_path,
        name,
        runtime.timeout_ms if timeout_ms is None else timeout_ms,
        max_message=given.max_message,
        max_output=given.max_output,
        command=resolve_command(name, runtime, settings.root),
        args=runtime.args,
        env=given.env,
        env_passthrough=given.env_passthrough,
        cwd=Path(given.cwd) if given.cwd else None,
        limits=Limits(
            given.memory_mb, given.cpu_seconds, given.open_files, given.file_mb, given.processes
        ),
        process=runtime.process,
        preload=runtime.preload,
    )


@dataclass(frozen=True)
class JobReport:
    """What one job did.

    Attributes:
        status: `completed` or `failed`.
        result: What the handler returned.
        error: Why it failed.
        events: The timeline, log lines and emitted events among them.
        state: What `ctx.state` holds afterwards.
        duration_ms: From start to end, process included.
    """

    status: str
    result: Any
    error: NuxtQueueError | None
    events: list[Event]
    state: dict[str, Any]
    duration_ms: float

    @property
    def logs(self) -> list[dict[str, Any]]:
        """The log lines: `{level, message, ...metadata}` each."""
        return [event.data for event in self.events if event.type == "log"]

    @property
    def emits(self) -> list[dict[str, Any]]:
        """The emitted events: `{name, payload}` each."""
        return [event.data for event in self.events if event.type == "emit"]

    def to_wire(self) -> dict[str, Any]:
        """Return the report as one JSON object."""
        outcome: dict[str, Any] = {"status": self.status}
        if self.error is None:
            outcome["result"] = self.result
        else:
            outcome["error"] = error_to_wire(self.error)
        return {
            **outcome,
            "logs": self.logs,
            "emits": self.emits,
            "state": self.state,
            "events": [event.to_wire() for event in self.events],
            "duration_ms": round(self.duration_ms, 1),
        }


def error_to_wire(error: NuxtQueueError) -> dict[str, Any]:
    """Return what a report says of a failure: type, message, phase, traceback, location, hint.

    Of a process that ended it says the exit code too, negative for a signal; of every job how long
    it took, in milliseconds.
    """
    data = error.data if isinstance(error, HandlerError) else {}
    told = {
        "type": error.type if isinstance(error, HandlerError) else type(error).__name__,
        "message": error.text if isinstance(error, HandlerError) else str(error),
        "phase": error.phase if isinstance(error, JobError) else "run",
        "traceback": data.get("traceback") or getattr(error, "stderr_tail", ""),
        "location": data.get("location"),
    }
    known = {
        "hint": data.get("hint"),
        "returncode": getattr(error, "returncode", None),
        "duration_ms": getattr(error, "duration_ms", None),
    }
    return told | {name: value for name, value in known.items() if value is not None}


async def run_job(
    entry: WorkerEntry,
    data: Any,
    *,
    state: Mapping[str, Any] | None = None,
    timeout_ms: int | None = None,
    listener: Listener | None = None,
    settings: ProjectConfig | None = None,
) -> JobReport:
    """Run one job of one worker through the real runner, without a queue.

    Args:
        entry: The worker.
        data: What the handler finds in `job['data']`.
        state: What earlier steps have left in `ctx.state`.
        timeout_ms: Milliseconds it may take, instead of what its config says.
        listener: Called with each event as it happens.
        settings: The project's; those of the worker's folder when left out.

    Raises:
        ConfigError: If the worker asks for what cannot be had.
    """
    flow = entry.flow
    job_id = "1"
    scope = Scope(
        job_id=job_id,
        queue=entry.queue,
        flow_id=f"run-{job_id}" if flow else None,
        flow_name=flow.names[0] if flow and flow.names else None,
        step_name=entry.job,
        step_id=f"{job_id}__{entry.job}__attempt-1",
    )
    service = ContextService(MemoryStateStore(), EventBus())
    for key, value in (state or {}).items():
        await service.state.set(scope.flow_id or "", key, value)
    if listener is not None:
        service.bus.subscribe(listener)
    timeout_ms = entry.worker["timeout"] if timeout_ms is None else timeout_ms
    settings = settings or ProjectConfig.find(entry.abs_path.parent)
    runner = child_runner(settings, entry, timeout_ms)
    job = {"id": job_id, "name": entry.job, "data": data, "attemptsMade": 0, "opts": {}}
    await service.bus.publish("step.started", scope, {"jobId": job_id, "name": entry.job})
    started = time.perf_counter()
    result, error = None, None
    try:
        result = await runner.execute(job, service.for_job(scope))
        await service.bus.publish("step.completed", scope, {"result": result})
    except JobError as failure:
        error = failure
        await service.bus.publish("step.failed", scope, {"error": str(failure)})
    finally:
        await runner.close()
    return JobReport(
        status="failed" if error else "completed",
        result=result,
        error=error,
        events=await service.bus.read(scope.run_id),
        state=await service.state.all(scope.flow_id or ""),
        duration_ms=(time.perf_counter() - started) * 1000,
    )
