"""FlowEngine: events of one step start the next."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from nuxt_queue.errors import QueueError
from nuxt_queue.rpc.values import to_json
from nuxt_queue.services.events import Event, EventBus
from nuxt_queue.services.flow_runs import (
    FlowDefinition,
    FlowRun,
    FlowStatus,
    FlowTally,
    RunRecord,
    Step,
    StepStatus,
    iso_time,
)
from nuxt_queue.services.scope import Scope

__all__ = [
    "Enqueue",
    "FlowDefinition",
    "FlowEngine",
    "FlowRun",
    "FlowStatus",
    "Step",
    "StepStatus",
]

Enqueue = Callable[[str, str, Any, dict[str, Any]], Awaitable[str]]
"""`await enqueue(queue, job_name, data, opts)` returns the job's id; `opts` as on the wire."""


class FlowEngine:
    """Start flows, and decide from the events of their steps what comes next.

    A step starts when every event it subscribes to was emitted, judged when an emitting step
    completes; with `join: "any"` at the first emit.  Each step runs once in a run.  The run is
    completed when nothing of it is queued or running, failed when a step has failed for good;
    then nothing more is started, and steps already running end on their own.

    Args:
        flows: The flows by name.  Read at every use, so a caller may change it.
        bus: Where steps say what happened.
        enqueue: Puts a job into a queue.
        max_runs: How many ended runs are remembered.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        flows: Mapping[str, FlowDefinition],
        bus: EventBus,
        enqueue: Enqueue,
        *,
        max_runs: int = 1_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._flows, self._bus, self._enqueue = flows, bus, enqueue
        self._max_runs, self._clock = max_runs, clock
        self._runs: dict[str, RunRecord] = {}
        self._tallies: dict[str, FlowTally] = {}
        self._registered_at = clock()
        self._unsubscribe = bus.subscribe(self._on_event)

    def close(self) -> None:
        """Stop listening to the bus."""
        self._unsubscribe()

    async def start_flow(self, name: str, payload: Any = None) -> dict[str, str]:
        """Start a run of a flow.

        Args:
            name: The flow.
            payload: What the entry step gets as its job's data; JSON.

        Returns:
            `{"id", "queue", "step", "flowId"}`, where `id` is the entry step's job.

        Raises:
            QueueError: There is no such flow, or the queue refuses the job.
            ValuePathError: JSON cannot hold the payload.
        """
        definition = self._definition(name)
        payload = to_json({} if payload is None else payload, "payload")
        run = RunRecord(str(uuid.uuid4()), definition, payload, self._clock())
        self._remember(run)
        await self._publish(run, "flow.start", {"input": payload})
        job_id = await self._start_step(run, definition.entry, payload)
        return {
            "id": job_id,
            "queue": definition.entry.queue,
            "step": definition.entry.name,
            "flowId": run.id,
        }

    async def restart_flow(self, name: str, run_id: str) -> dict[str, str]:
        """Start a flow again with the input of an earlier run; returns what `start_flow` does."""
        return await self.start_flow(name, self._record(run_id, name).payload)

    async def cancel_flow(self, name: str, run_id: str) -> dict[str, Any]:
        """Cancel a run: no further step starts; a step that runs ends on its own.

        Cancelling a run that has ended changes nothing.

        Returns:
            The run as it stands, in the wire's form.
        """
        run = self._record(run_id, name)
        if run.status == "running":
            data = {"canceledAt": iso_time(self._clock()), "previousStatus": run.status}
            await self._end(run, "cancelled", "flow.cancel", data)
        return run.snapshot().to_wire()

    def run(self, run_id: str) -> FlowRun:
        """Return how a run stands; raises QueueError for an unknown id."""
        return self._record(run_id).snapshot()

    async def wait(self, run_id: str, timeout_s: float | None = None) -> FlowRun:
        """Wait until a run has ended.

        Raises:
            TimeoutError: It has not ended in time; the message names its steps.
            QueueError: There is no such run.
        """
        run = self._record(run_id)
        try:
            async with asyncio.timeout(timeout_s):
                await run.done.wait()
        except TimeoutError:
            steps = ", ".join(f"{name} {status}" for name, status in run.steps.items())
            raise TimeoutError(
                f"flow run {run_id} still runs after {timeout_s} s: {steps}"
            ) from None
        return run.snapshot()

    async def is_running(
        self,
        name: str | None = None,
        run_id: str | None = None,
        *,
        exclude_run_ids: Collection[str] = (),
    ) -> bool:
        """Tell whether a run is under way: that one, one of that flow, or any."""
        return any(run_id in (None, run.id) for run in self._running(name, exclude_run_ids))

    async def get_running_flows(
        self, name: str | None = None, *, exclude_run_ids: Collection[str] = ()
    ) -> list[dict[str, Any]]:
        """Return the runs under way as the host's `RunningFlow` objects, oldest first."""
        return [run.snapshot().to_wire() for run in self._running(name, exclude_run_ids)]

    async def has_flow_stats(self, name: str) -> bool:
        """Tell whether the flow is known."""
        return name in self._flows

    async def get_flow_stats(self, name: str) -> dict[str, Any]:
        """Return the host's `FlowStats` object; raises QueueError for an unknown flow."""
        self._definition(name)
        tally = self._tallies.get(name) or FlowTally()
        return tally.to_wire(name, self._registered_at, running=len(self._running(name, ())))

    async def get_all_flow_stats(
        self, *, offset: int = 0, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return the statistics of all flows by name, or a page of them."""
        names = sorted(self._flows)[offset : None if limit is None else offset + limit]
        return [await self.get_flow_stats(name) for name in names]

    async def _on_event(self, event: Event) -> None:
        run = self._runs.get(event.run_id)
        if run is None:
            return
        step, data = event.step_name, event.data
        if event.type == "emit":
            await self._on_emit(run, step, data)
        elif step is None:
            return
        elif event.type == "step.started":
            run.begin_attempt(step)
        elif event.type == "step.retry":
            run.end_attempt(step, "retrying")
        elif event.type == "step.completed":
            run.end_attempt(step, "completed", data.get("result"))
            await self._advance(run)
        elif event.type == "step.failed":
            run.end_attempt(step, "failed")
            await self._fail(run, step, str(data.get("error")))

    async def _on_emit(self, run: RunRecord, step: str | None, data: Mapping[str, Any]) -> None:
        name, payload = str(data.get("name")), data.get("payload")
        run.emit(step, name, payload)
        await self._start_all(run, run.triggered(name, payload))
        if step is None:
            await self._start_all(run, run.joined())

    async def _advance(self, run: RunRecord) -> None:
        await self._start_all(run, run.joined())
        if run.status == "running" and run.is_exhausted():
            await self._end(run, "completed", "flow.completed", {})

    async def _start_all(self, run: RunRecord, steps: list[tuple[Step, dict[str, Any]]]) -> None:
        for step, inputs in steps:
            if run.status != "running":
                return
            try:
                await self._start_step(run, step, inputs)
            except Exception:  # noqa: BLE001 the run has been failed; the bus has nobody to tell
                return

    async def _start_step(self, run: RunRecord, step: Step, payload: Any) -> str:
        run.steps[step.name] = "queued"
        data = {"flowId": run.id, "flowName": run.definition.name, "input": payload}
        try:
            return await self._enqueue(
                step.queue, step.name, data, {"jobId": f"{run.id}__{step.name}"}
            )
        except Exception as error:
            run.steps[step.name] = "failed"
            await self._fail(run, step.name, f"cannot be enqueued: {error}")
            raise

    async def _fail(self, run: RunRecord, step: str, error: str) -> None:
        if run.status == "running":
            data = {"step": step, "error": error}
            await self._end(run, "failed", "flow.failed", data, f"step {step}: {error}")

    async def _end(
        self,
        run: RunRecord,
        status: FlowStatus,
        event_type: str,
        data: dict[str, Any],
        error: str | None = None,
    ) -> None:
        run.end(status, self._clock(), error)
        self._tally(run).note_end(status, self._clock())
        await self._publish(run, event_type, data)

    async def _publish(self, run: RunRecord, event_type: str, data: dict[str, Any]) -> None:
        name, queue = run.definition.name, run.definition.entry.queue
        scope = Scope(job_id=run.id, queue=queue, flow_id=run.id, flow_name=name)
        await self._bus.publish(event_type, scope, data)

    def _remember(self, run: RunRecord) -> None:
        ended = [known.id for known in self._runs.values() if known.status != "running"]
        for run_id in ended[: max(0, len(ended) - self._max_runs)]:
            del self._runs[run_id]
        self._runs[run.id] = run
        self._tally(run).note_start(run.started_at)

    def _tally(self, run: RunRecord) -> FlowTally:
        return self._tallies.setdefault(run.definition.name, FlowTally())

    def _definition(self, name: str) -> FlowDefinition:
        if name not in self._flows:
            known = ", ".join(sorted(self._flows)) or "none"
            raise QueueError(f'Flow not found: "{name}". Available: {known}')
        return self._flows[name]

    def _record(self, run_id: str, name: str | None = None) -> RunRecord:
        run = self._runs.get(run_id)
        if run is None or name not in (None, run.definition.name):
            flow = f' of flow "{name}"' if name else ""
            raise QueueError(f'Flow run not found: "{run_id}"{flow}')
        return run

    def _running(self, name: str | None, exclude: Collection[str]) -> list[RunRecord]:
        return [
            run
            for run in self._runs.values()
            if run.status == "running"
            and name in (None, run.definition.name)
            and run.id not in exclude
        ]
