"""Assembles flows from the workers that say they are part of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from nuxt_queue.config.settings import closest
from nuxt_queue.errors import QueueError
from nuxt_queue.registry.entry import Problem, WorkerEntry
from nuxt_queue.services.flows import FlowDefinition, Step

__all__ = ["FlowPlan", "plan_flows"]

_STEP_TOKEN = "step:"  # noqa: S105 no secret: `step:train` stands for the end of a step


@dataclass(slots=True)
class FlowPlan:
    """The flows of a folder.

    Attributes:
        flows: By name, those that have an entry.
        problems: What keeps a flow, or a worker's part in it, from running.
        warnings: What looks like a slip, or is elsewhere.
    """

    flows: dict[str, FlowDefinition] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class _Draft:
    """One flow while its workers are being collected; the first file of a place has it."""

    name: str
    entry: tuple[Step, WorkerEntry] | None = None
    steps: dict[str, tuple[Step, WorkerEntry]] = field(default_factory=dict)

    def members(self) -> list[tuple[Step, WorkerEntry]]:
        return [*([self.entry] if self.entry else []), *self.steps.values()]


def plan_flows(workers: Iterable[WorkerEntry]) -> FlowPlan:
    """Return the flows that the workers make up, in the order in which the workers come."""
    plan = FlowPlan()
    drafts: dict[str, _Draft] = {}
    for worker in workers:
        for name in (worker.flow and worker.flow.names) or ():
            problem = _add(drafts.setdefault(name, _Draft(name)), worker)
            plan.problems += [Problem(worker.abs_path, None, problem)] if problem else []
    for draft in drafts.values():
        _finish(draft, plan)
    return plan


def _add(draft: _Draft, worker: WorkerEntry) -> str | None:
    """Take a worker into a flow; return what is wrong with that, if anything."""
    flow = worker.flow
    assert flow is not None
    step = Step(
        name=flow.step,
        queue=worker.queue,
        worker_id=worker.id,
        subscribes=tuple(flow.subscribes) if flow.role == "step" else (),
        emits=tuple(flow.emits),
        join=flow.join or "all",
        timeout_ms=flow.step_timeout_ms,
        await_before=flow.await_before,
        await_after=flow.await_after,
        job_options=worker.config["queue"].get("defaultJobOptions"),
    )
    try:
        step.check()
    except QueueError as error:
        return str(error)
    if flow.role == "entry":
        if draft.entry:
            first = draft.entry[1].path
            return f'flow "{draft.name}" already has an entry, {first}; make one of them a step'
        draft.entry = (step, worker)
        return None
    if step.name in draft.steps:
        first = draft.steps[step.name][1].path
        return f'flow "{draft.name}" already has a step "{step.name}", {first}; rename one'
    draft.steps[step.name] = (step, worker)
    return None


def _finish(draft: _Draft, plan: FlowPlan) -> None:
    _warn_of_deaf_steps(draft, plan)
    if draft.entry is None:
        path = next(iter(draft.steps.values()))[1].abs_path
        reason = (
            f'flow "{draft.name}" has no entry here, so it is started where its entry is; without'
            ' one, give one of its workers "role": "entry"'
        )
        plan.warnings.append(Problem(path, None, reason))
        return
    entry, first = draft.entry
    twin = draft.steps.pop(entry.name, None)
    if twin:
        reason = (
            f'flow "{draft.name}" has an entry of the same name, "{entry.name}", {first.path};'
            " rename one"
        )
        plan.problems.append(Problem(twin[1].abs_path, None, reason))
    steps = {name: step for name, (step, _) in draft.steps.items()}
    plan.flows[draft.name] = FlowDefinition(draft.name, entry, steps)


def _warn_of_deaf_steps(draft: _Draft, plan: FlowPlan) -> None:
    heard = {event for step, _ in draft.members() for event in step.emits}
    heard |= {_STEP_TOKEN + step.name for step, _ in draft.members()}
    for step, worker in draft.steps.values():
        for event in step.subscribes:
            if event in heard:
                continue
            close = closest(event, heard)
            hint = f'did you mean "{close}"?' if close else "no worker of the flow says it emits it"
            reason = (
                f'step "{step.name}" of flow "{draft.name}" waits for "{event}", which nobody'
                f" emits; {hint}"
            )
            plan.warnings.append(Problem(worker.abs_path, None, reason))
