"""How far one run of a flow has come: pure bookkeeping, no input or output."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from nuxt_queue.services.awaits import Await
from nuxt_queue.services.delivery import Delivery
from nuxt_queue.services.flow_definition import STEP_TOKEN, FlowDefinition, Step
from nuxt_queue.services.flow_status import FlowRun, FlowStatus, StepStatus, iso_time
from nuxt_queue.services.kept import fields_of

__all__ = ["FlowRun", "FlowStatus", "RunRecord", "StepStatus", "iso_time"]

_OPEN: frozenset[StepStatus] = frozenset({"queued", "running", "retrying", "awaiting"})

_IN_QUEUE: frozenset[StepStatus] = frozenset({"queued", "retrying"})
_RESUMED = "__resumed"  # ends the id of the job of a step that has waited

# How long whoever decided that a step starts may take to enqueue it; then somebody else does.
_DELIVERY_S = 5.0


@dataclass(slots=True)
class RunRecord:
    """One run, as it is kept: plain data and the transitions of it, which never wait.

    A transition that does not fit any more, such as the completion of a step that was completed
    before, decides nothing new: after a crash, steps are told twice.  Nor does what an attempt says
    that was given up and comes back after the next one has begun: its job's outcome is another's.

    An emit belongs to the attempt that made it and counts when that attempt completes.  The first
    emit of a name wins.

    Attributes:
        failures: Why steps have failed for good, by step, the first of them first.
        attempts: The number of the last attempt that began, by step.
        signals: What has been emitted by completed steps and is heard: payload by event.
        outbox: Jobs that may not be in their queues yet, by step.
        awaits: The steps that wait for something, by name.
        news: What the last transition has to say to the bus: type, step and data; not kept.
        fresh: The jobs that the last transition decided on; not kept.
    """

    id: str
    definition: FlowDefinition
    payload: Any
    started_at: float
    status: FlowStatus = "running"
    finished_at: float | None = None
    failures: dict[str, str] = field(default_factory=dict)
    steps: dict[str, StepStatus] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    signals: dict[str, Any] = field(default_factory=dict)
    outbox: dict[str, Delivery] = field(default_factory=dict)
    awaits: dict[str, Await] = field(default_factory=dict)
    news: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    fresh: list[Delivery] = field(default_factory=list)

    @classmethod
    def begin(cls, run_id: str, definition: FlowDefinition, payload: Any, now: float) -> Self:
        """Return a run whose entry step is to be enqueued."""
        run = cls(run_id, definition, payload, now)
        run._start(definition.entry, payload, now)
        return run

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Self:
        """Return the run that `to_json` wrote, without what only a newer release knows."""
        known = {name: kept[name] for name in _KEPT if name in kept}
        return cls(
            **{
                **known,
                "definition": FlowDefinition.read(kept["definition"]),
                "outbox": {step: Delivery.read(each) for step, each in kept["outbox"].items()},
                "awaits": {step: Await.read(each) for step, each in kept["awaits"].items()},
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Return all that is kept of the run as plain JSON data, not copied."""
        kept = {name: getattr(self, name) for name in _KEPT}
        kept["definition"] = self.definition.to_json()
        kept["outbox"] = {step: fields_of(each) for step, each in self.outbox.items()}
        kept["awaits"] = {step: each.to_json() for step, each in self.awaits.items()}
        return kept

    def snapshot(self) -> FlowRun:
        """Return how the run stands."""
        return FlowRun(
            self.id,
            self.definition.name,
            self.status,
            self.started_at,
            self.finished_at,
            dict(self.steps),
            self.error,
        )

    @property
    def error(self) -> str | None:
        """Why the run has failed, as far as it has: its first failure that stands."""
        return next((f"step {step}: {said}" for step, said in self.failures.items()), None)

    @property
    def due_at(self) -> float | None:
        """When somebody has to look after the run, if nothing happens before: unix seconds."""
        if self.status != "running":
            return None
        times = [each.since + _DELIVERY_S for each in self.outbox.values()]
        times += [each.due_at for each in self.awaits.values() if each.due_at is not None]
        return min(times, default=None)

    def step_started(self, step: str, attempt: int) -> None:
        """Note that an attempt of a step runs; one that had failed for good opens the run again."""
        self.outbox.pop(step, None)
        if self.status == "cancelled" or self._is_given_up(step, attempt):
            return
        self.attempts[step] = attempt
        if self.failures.pop(step, None) is not None and self.status == "failed":
            self.status, self.finished_at = "running", None
        if self.steps.get(step) not in ("completed", "awaiting"):
            self.steps[step] = "running"

    def step_retried(self, step: str, attempt: int) -> None:
        """Note that an attempt failed and another will follow."""
        if self._may_still_end(step, attempt):
            self.steps[step] = "retrying"

    def step_completed(
        self, step: str, attempt: int, emits: Mapping[str, Any], result: Any, now: float
    ) -> None:
        """Note that a step returned; what it emitted counts now, or when its wait is over."""
        self.outbox.pop(step, None)
        if not self._may_still_end(step, attempt):
            self.fresh += self.outbox.values()  # told twice: whoever decided has not delivered
            return
        gained = {**emits, STEP_TOKEN + step: result}
        defined = self.definition.step(step)
        if defined is not None and defined.await_after and self.status == "running":
            self._await(Await.begin(step, "after", defined.await_after, now, gained), now)
        else:
            self._complete(step, gained, now)

    def step_failed(self, step: str, attempt: int, error: str, now: float) -> None:
        """Note that a step has failed for good, and with it the run."""
        if not self._may_still_end(step, attempt):
            return
        if self.status == "cancelled":
            self.steps[step] = "failed"  # which is not why the run has ended
        else:
            self._fail(step, error, now)

    def not_enqueued(self, step: str, error: str, now: float) -> None:
        """Note that a queue does not take a step's job."""
        if self.steps.get(step) == "queued":
            self._fail(step, error, now)

    def _is_given_up(self, step: str, attempt: int) -> bool:
        under_way = self.steps.get(step) in ("running", "retrying")
        return under_way and attempt < self.attempts.get(step, 0)

    def _may_still_end(self, step: str, attempt: int) -> bool:
        has_ended = self.steps.get(step) in ("completed", "awaiting")
        return not has_ended and not self._is_given_up(step, attempt)

    def _fail(self, step: str, error: str, now: float) -> None:
        self.steps[step] = "failed"
        self.awaits.pop(step, None)
        self.failures.setdefault(step, error)
        if self.status == "running":
            self._end_failed(now)

    def _end_failed(self, now: float) -> None:
        step, error = next(iter(self.failures.items()))
        self._end("failed", "flow.failed", {"step": step, "error": error}, now)

    def triggered(self, event: str, payload: Any, now: float) -> None:
        """Start what an emit starts without waiting for its step to complete."""
        for step in self._unstarted() if self.status == "running" else ():
            if step.join == "any" and event in step.subscribes:
                self._start(step, {event: payload}, now)

    def emitted(self, event: str, payload: Any, now: float) -> None:
        """Note an event from outside of the run's steps; it counts at once."""
        if self.status == "running":
            self._signal(event, payload, now)
            self._advance(now)

    def resolve(self, step: str, data: Any, now: float) -> bool:
        """End a step's wait; say whether it waited."""
        waiting = self.awaits.get(step)
        if waiting is None or self.status != "running":
            return False
        self._resolve(waiting, data, now)
        self._advance(now)
        return True

    def time_passed(self, now: float) -> None:
        """Do what is due: waits that are over, jobs that nobody has enqueued."""
        for waiting in list(self.awaits.values()):
            if waiting.resolves_at is not None and waiting.resolves_at <= now:
                self._resolve(waiting, None, now)
            elif waiting.expires_at is not None and waiting.expires_at <= now:
                self._expire(waiting, now)
        for step, late in list(self.outbox.items()):
            if late.since + _DELIVERY_S <= now:
                self.outbox[step] = replace(late, since=now)
                self.fresh.append(self.outbox[step])
        self._advance(now)

    def delivered(self, steps: Collection[str]) -> None:
        """Note that the jobs of steps are in their queues."""
        for step in steps:
            self.outbox.pop(step, None)

    def cancel(self, now: float) -> None:
        """End the run because somebody wants it to; what has ended stays as it is."""
        if self.status == "running":
            said = {"canceledAt": iso_time(now), "previousStatus": self.status}
            self._end("cancelled", "flow.cancel", said, now)

    def waiting_jobs(self) -> list[tuple[str, str]]:
        """Return queue and id of the jobs that may be in their queues and have not ended."""
        steps = [self.definition.step(n) for n, s in self.steps.items() if s in _IN_QUEUE]
        names = [(step.queue, f"{self.id}__{step.name}") for step in steps if step is not None]
        return [(queue, job_id + end) for queue, job_id in names for end in ("", _RESUMED)]

    def _start(self, step: Step, inputs: Any, now: float) -> None:
        if step.await_before:
            self._await(Await.begin(step.name, "before", step.await_before, now, inputs), now)
        else:
            self._deliver(step, {"input": inputs}, f"{self.id}__{step.name}", now)

    def _deliver(self, step: Step, data: dict[str, Any], job_id: str, now: float) -> None:
        self.steps[step.name] = "queued"
        identity = {"flowId": self.id, "flowName": self.definition.name}
        opts: dict[str, Any] = {**(step.job_options or {}), "jobId": job_id}
        if step.timeout_ms:
            opts["timeout"] = step.timeout_ms
        delivery = Delivery(step.name, step.queue, job_id, {**identity, **data}, opts, now)
        self.outbox[step.name] = delivery
        self.fresh.append(delivery)

    def _complete(self, step: str, gained: Mapping[str, Any], now: float) -> None:
        self.steps[step] = "completed"
        for event, payload in gained.items():
            self._signal(event, payload, now)
        self._advance(now)

    def _signal(self, event: str, payload: Any, now: float) -> None:
        if self.definition.is_heard(event):  # what nobody hears is not carried along
            self.signals.setdefault(event, payload)
        for waiting in list(self.awaits.values()):
            if waiting.step in self.awaits and waiting.hears(event, payload, self.payload):
                self._resolve(waiting, payload, now)

    def _advance(self, now: float) -> None:
        """Start what may start now; end the run when nothing is left that could go on."""
        if self.status != "running":
            return
        # With a failure that stands, tried again or not, nothing more is started.
        for step in () if self.failures else self._unstarted():
            known = self.signals.keys() & set(step.subscribes)
            if known and (step.join == "any" or len(known) == len(set(step.subscribes))):
                inputs = {event: self.signals[event] for event in step.subscribes if event in known}
                self._start(step, inputs, now)
        if any(status in _OPEN for status in self.steps.values()):
            return
        if self.failures:
            self._end_failed(now)
        else:
            self._end("completed", "flow.completed", {}, now)

    def _await(self, waiting: Await, now: float) -> None:
        self.steps[waiting.step] = "awaiting"
        self.awaits[waiting.step] = waiting
        self._say("await.registered", waiting, {"config": dict(waiting.config)})
        for event, payload in self.signals.items():  # it may have come before
            if waiting.hears(event, payload, self.payload):
                self._resolve(waiting, payload, now)
                return

    def _resolve(self, waiting: Await, data: Any, now: float) -> None:
        del self.awaits[waiting.step]
        self._say("await.resolved", waiting, {"triggerData": data})
        step = self.definition.step(waiting.step)
        if waiting.position == "after" or step is None:
            self._complete(waiting.step, waiting.held, now)
            return
        resumed = {
            "input": waiting.held,
            "awaitResolved": True,
            "awaitData": data,
            "awaitPosition": waiting.position,
            "awaitConfig": dict(waiting.config),
        }
        self._deliver(step, resumed, f"{self.id}__{step.name}{_RESUMED}", now)

    def _expire(self, waiting: Await, now: float) -> None:
        self._say("await.timeout", waiting, {})
        if not waiting.fails:
            self._resolve(waiting, None, now)
            return
        kind = waiting.config["type"]
        self._fail(waiting.step, f"nothing came for its {kind} await in time", now)

    def _end(self, status: FlowStatus, event_type: str, data: dict[str, Any], now: float) -> None:
        self.status, self.finished_at = status, now
        self.fresh.clear()
        if status != "failed":  # a failed run may be opened again, and goes on with these
            self.outbox.clear()
        self.news.append((event_type, data))

    def _say(self, event_type: str, waiting: Await, more: dict[str, Any]) -> None:
        about: dict[str, Any] = {
            "stepName": waiting.step,
            "awaitType": waiting.config["type"],
            "position": waiting.position,
        }
        self.news.append((event_type, about | more))

    def _unstarted(self) -> list[Step]:
        return [step for name, step in self.definition.steps.items() if name not in self.steps]


_KEPT = (
    "id", "definition", "payload", "started_at", "status", "finished_at", "failures", "steps",
    "attempts", "signals", "outbox", "awaits",
)  # fmt: skip
