"""One job of one worker, through the real runner and without a queue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nuxt_queue.config import ProjectConfig
from nuxt_queue.errors import HandlerError, JobError, NuxtQueueError
from nuxt_queue.registry import WorkerEntry
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import Event, EventBus, Listener
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore
from nuxt_queue.worker_runner import child_runner

__all__ = ["JobReport", "error_to_wire", "run_job"]


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
