"""FlowEngine: events of one step start the next."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nuxt_queue.errors import (
    FlowCancelledError,
    QueueClosedError,
    QueueError,
    QueueStorageError,
)
from nuxt_queue.services.cancelling import is_cancelling
from nuxt_queue.services.delivery import Delivery
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.flow_definition import FlowDefinition, Step
from nuxt_queue.services.flow_queries import FlowQueries
from nuxt_queue.services.flow_runs import RunRecord
from nuxt_queue.services.flow_status import FlowRun, FlowStatus, StepStatus
from nuxt_queue.services.flow_store import Change, FlowStore, MemoryFlowStore, unknown_run
from nuxt_queue.services.payloads import taken_in
from nuxt_queue.services.scope import Scope

__all__ = [
    "Enqueue",
    "FlowDefinition",
    "FlowEngine",
    "FlowRun",
    "FlowStatus",
    "Remove",
    "Step",
    "StepStatus",
]

Enqueue = Callable[[str, str, Any, dict[str, Any]], Awaitable[str]]
"""`await enqueue(queue, job_name, data, opts)` returns the job's id; `opts` as on the wire."""

Remove = Callable[[str, str], Awaitable[bool]]
"""`await remove(queue, job_id)` forgets a job; raises QueueError while it runs."""

_StepAttempt = tuple[str, str, int]
_NO_STEP: _StepAttempt = ("", "", 0)
_LOOK_S = 1.0  # between two looks at what is due; sooner when sooner is known here

_log = logging.getLogger(__name__)


class FlowEngine(FlowQueries):
    """Start flows, and decide from what their steps do what comes next.

    A step starts when every event it subscribes to was emitted, judged when an emitting step
    completes; with `join: "any"` at the first emit.  Each step runs once in a run.  The run is
    completed when nothing of it is queued, running or waiting, failed when a step has failed for
    good; then nothing more is started, and steps already running end on their own.

    Everything that is decided is in the store before it is acted on, and a job has the same id
    whoever enqueues it.  So any number of engines, each beside a manager, serve the same runs, and
    what one leaves undone another one does: give each `serve` a task.

    Args:
        flows: The flows by name that can be started here.  Read at every use, so a caller may
            change it.  A run goes on with the definition that it was started with.
        bus: Where runs say what happened.
        enqueue: Puts a job into a queue; a job whose id is there already is not put there again.
        store: Where the runs are kept; in memory unless given.
        remove: Takes a job out of its queue, for the steps of a cancelled run that only wait.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        flows: Mapping[str, FlowDefinition],
        bus: EventBus,
        enqueue: Enqueue,
        *,
        store: FlowStore | None = None,
        remove: Remove | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(flows, store or MemoryFlowStore(), clock)
        self._bus, self._enqueue, self._remove = bus, enqueue, remove
        self._attempts: dict[_StepAttempt, _Attempt] = {}
        self._due = asyncio.Event()

    async def start_flow(self, name: str, payload: Any = None) -> dict[str, str]:
        """Start a run of a flow.

        Args:
            name: The flow.
            payload: What the entry step gets as its job's data; JSON.

        Returns:
            `{"id", "queue", "step", "flowId"}`, where `id` is the entry step's job.

        Raises:
            QueueError: There is no such flow, a step could not wait as it is told to, or the
                queue refuses the job.
            ValuePathError: JSON cannot hold the payload.
        """
        definition = self._definition(name)
        definition.check()
        payload = await taken_in({} if payload is None else payload, "payload")
        run = RunRecord.begin(str(uuid.uuid4()), definition, payload, self._clock())
        run.news.insert(0, ("flow.start", {"input": payload}))
        await self._store.create(run)
        await self._tell(run)
        with contextlib.suppress(QueueStorageError, QueueClosedError):  # it is kept, and will start
            await self._deliver(run, self._deliveries(run))
        entry = definition.entry
        return {
            "id": f"{run.id}__{entry.name}",
            "queue": entry.queue,
            "step": entry.name,
            "flowId": run.id,
        }

    async def restart_flow(self, name: str, run_id: str) -> dict[str, str]:
        """Start a flow again with the input of an earlier run; returns what `start_flow` does."""
        return await self.start_flow(name, (await self._record(run_id, name)).payload)

    async def cancel_flow(self, name: str, run_id: str) -> dict[str, Any]:
        """Cancel a run: no further step starts; a step that runs ends on its own.

        Cancelling a run that has ended changes nothing.

        Returns:
            The run as it stands, in the wire's form.
        """
        await self._record(run_id, name)
        run = await self._apply(run_id, lambda run: run.cancel(self._clock()))
        if run is None:
            raise unknown_run(run_id, name)
        if run.status == "cancelled" and self._remove is not None:
            for queue, job_id in run.waiting_jobs():
                with contextlib.suppress(QueueError):  # it runs, and ends on its own
                    await self._remove(queue, job_id)
        return run.snapshot().to_wire()

    async def emit(self, event: str, payload: Any = None, run_id: str | None = None) -> list[str]:
        """Let something that happened outside reach the runs.

        Args:
            event: The event's name.
            payload: What belongs to it; JSON.
            run_id: The run in which it happened.  Without it, it happened in every run that waits
                for it.

        Returns:
            The ids of the runs that it reached: steps that subscribe to it may start there, and
            waits for it are over.
        """
        payload = await taken_in({} if payload is None else payload, "payload")
        if run_id is not None:
            run = await self._record(run_id)
            reached = [run_id] if run.status == "running" else []
        else:
            reached = [
                run.id
                for run in await self._store.running()
                if any(each.hears(event, payload, run.payload) for each in run.awaits.values())
            ]
        for each in reached:
            await self._apply(each, lambda run: run.emitted(event, payload, self._clock()))
        return reached

    async def resolve_await(self, run_id: str, step: str, data: Any = None) -> None:
        """End a step's wait for a call (`type: "webhook"`), or any other wait of it.

        Raises:
            QueueError: There is no such run, or the step does not wait.
        """
        data = await taken_in(data, "data")
        answers: list[bool] = []

        def change(run: RunRecord) -> None:
            answers[:] = [run.resolve(step, data, self._clock())]

        if await self._apply(run_id, change) is None:
            raise unknown_run(run_id)
        if not answers[0]:
            raise QueueError(f'step "{step}" of flow run "{run_id}" does not wait for anything')

    async def serve(self) -> None:
        """Look after what is due, here and for engines that are gone, until cancelled."""
        is_away = False
        while True:
            self._due.clear()
            try:
                await self.look_after()
                is_away = False
            except QueueStorageError as error:  # it comes back
                if not is_away:
                    _log.warning("the runs of flows wait: %s", error)
                is_away = True
            except (Exception, asyncio.CancelledError):
                if is_cancelling():
                    raise
                _log.exception("the runs of flows could not be looked after")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), _LOOK_S)

    async def look_after(self) -> None:
        """Do what is due now: waits that are over, steps that nobody has enqueued."""
        for run_id in await self._store.due(self._clock()):
            try:
                await self._apply(run_id, lambda run: run.time_passed(self._clock()))
            except QueueStorageError:
                raise
            except Exception:  # noqa: BLE001 one run's trouble is not the others'
                _log.exception("flow run %s could not be looked after", run_id)

    async def step_started(self, scope: Scope) -> None:
        """Take notice that an attempt of a step begins, before its handler does.

        Raises:
            FlowCancelledError: The run has been cancelled; the handler must not be called.
        """
        if (step := _step(scope)) is None:
            return
        run = await self._apply(step[0], lambda run: run.step_started(*step[1:]))
        if run is not None:
            if run.status == "cancelled":
                raise FlowCancelledError(run.id)
            self._attempts[step] = _Attempt(run.definition)

    async def step_begins(self, scope: Scope) -> None:
        """Look once more, now that the process of an attempt is ready.

        Raises:
            FlowCancelledError: The run has been cancelled; the handler must not be called.
        """
        if (step := _step(scope)) is None:
            return
        run = await self._store.get(step[0])
        if run is not None and run.status == "cancelled":
            raise FlowCancelledError(run.id)

    async def step_emitted(self, scope: Scope, event: str, payload: Any) -> None:
        """Take notice of an emit: it counts when its attempt completes."""
        attempt = self._attempts.get(_step(scope) or _NO_STEP)
        if attempt is None:
            return
        attempt.emits.setdefault(event, payload)
        if attempt.definition.is_joined_by_any(event):
            await self._apply(
                scope.run_id, lambda run: run.triggered(event, payload, self._clock())
            )

    async def step_completed(self, scope: Scope, result: Any) -> None:
        """Take notice that a step has completed, before its job is recorded as completed."""
        if (step := _step(scope)) is None:
            return
        attempt = self._attempts.pop(step, None)
        emits = attempt.emits if attempt else {}
        await self._apply(
            step[0], lambda run: run.step_completed(*step[1:], emits, result, self._clock())
        )

    async def step_retried(self, scope: Scope) -> None:
        """Take notice that an attempt has failed, and that there will be another."""
        if (step := _step(scope)) is not None:
            self._attempts.pop(step, None)
            await self._apply(step[0], lambda run: run.step_retried(*step[1:]))

    async def step_failed(self, scope: Scope, error: str) -> None:
        """Take notice that a step has failed for good."""
        if (step := _step(scope)) is not None:
            self._attempts.pop(step, None)
            await self._apply(step[0], lambda run: run.step_failed(*step[1:], error, self._clock()))

    async def _apply(self, run_id: str, change: Change) -> RunRecord | None:
        """Change a run, say what there is to say, and enqueue what was decided on."""
        run = await self._store.change(run_id, change)
        if run is None:
            return None
        await self._tell(run)
        try:
            await self._deliver(run, self._deliveries(run))
        except (QueueStorageError, QueueClosedError) as error:
            # It is in the outbox: whoever looks next delivers it.
            _log.warning("steps of flow run %s wait for their queue: %s", run_id, error)
        except Exception as error:  # noqa: BLE001 the run has failed for it
            _log.warning("flow run %s failed: %s", run_id, error)
        self._look_in_time(run)
        return run

    def _deliveries(self, run: RunRecord) -> list[Delivery]:
        """Return what the last change decided on, unless the run has ended since."""
        return run.fresh if run.status == "running" else []

    async def _deliver(self, run: RunRecord, deliveries: list[Delivery]) -> None:
        for each in deliveries:
            try:
                await self._enqueue(each.queue, each.step, each.data, dict(each.opts))
            except (QueueStorageError, QueueClosedError):
                raise
            except Exception as error:
                reason, step = f"cannot be enqueued: {error}", each.step
                await self._apply(
                    run.id,
                    lambda run: run.not_enqueued(step, reason, self._clock()),  # noqa: B023 applied at once
                )
                raise
        if deliveries:
            done = [each.step for each in deliveries]
            await self._store.change(run.id, lambda run: run.delivered(done))

    async def _tell(self, run: RunRecord) -> None:
        name, queue = run.definition.name, run.definition.entry.queue
        scope = Scope(job_id=run.id, queue=queue, flow_id=run.id, flow_name=name)
        for event_type, data in run.news:
            await self._bus.publish(event_type, scope, data)
        if run.status != "running":
            over, self._over = self._over, asyncio.Event()
            over.set()

    def _look_in_time(self, run: RunRecord) -> None:
        if run.due_at is not None and (delay := run.due_at - self._clock()) < _LOOK_S:
            asyncio.get_running_loop().call_later(max(0, delay), self._due.set)


@dataclass(slots=True)
class _Attempt:
    """An attempt of a step that runs here."""

    definition: FlowDefinition
    emits: dict[str, Any] = field(default_factory=dict)


def _step(scope: Scope) -> _StepAttempt | None:
    """Return the run, the step and the attempt of a job, None for a job of no flow."""
    if not scope.flow_id or not scope.step_name:
        return None
    return scope.flow_id, scope.step_name, scope.attempt
