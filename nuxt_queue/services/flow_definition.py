"""What a flow is: its steps, what each waits for, and the form in which a run remembers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from nuxt_queue.services.awaits import check_await
from nuxt_queue.services.kept import known_fields

__all__ = ["STEP_TOKEN", "FlowDefinition", "Step"]

# `subscribes` may name a step instead of an event: `step:train` stands for its completion.
STEP_TOKEN = "step:"  # noqa: S105 no secret


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a flow.

    Attributes:
        name: The step, which is also the name of its jobs.
        queue: The queue its jobs go to.
        worker_id: The worker file's id.
        subscribes: Events that start it, or `step:<name>` for the completion of a step.
        emits: Events it says it emits.
        join: `all` waits for every event of `subscribes`, `any` starts at the first.
        timeout_ms: Milliseconds that one attempt may take; None leaves it to the worker.
        await_before: What it waits for before it runs, in the host's form (`awaitBefore`).
        await_after: What it waits for before its completion counts (`awaitAfter`).
        job_options: What its jobs have, as on the wire: its worker's `defaultJobOptions`.  They are
            in the run, so that whoever enqueues the job need not know the worker.
    """

    name: str
    queue: str
    worker_id: str
    subscribes: tuple[str, ...] = ()
    emits: tuple[str, ...] = ()
    join: Literal["all", "any"] = "all"
    timeout_ms: int | None = None
    await_before: Mapping[str, Any] | None = None
    await_after: Mapping[str, Any] | None = None
    job_options: Mapping[str, Any] | None = None

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Self:
        """Return the step that was kept as a mapping of its fields."""
        names = {key: tuple(kept.get(key) or ()) for key in ("subscribes", "emits")}
        return cls(**{**known_fields(cls, kept), **names})

    @property
    def awaited(self) -> tuple[str, ...]:
        """The events that its waits are for."""
        awaits = (self.await_before, self.await_after)
        return tuple(each["event"] for each in awaits if each and "event" in each)

    def check(self) -> None:
        """Raise QueueError when it could not wait as it is told to."""
        for key, config in (("awaitBefore", self.await_before), ("awaitAfter", self.await_after)):
            if config is not None:
                check_await(config, f'step "{self.name}": {key}')


@dataclass(frozen=True, slots=True)
class FlowDefinition:
    """A flow: where it enters, and its other steps by name."""

    name: str
    entry: Step
    steps: dict[str, Step] = field(default_factory=dict)

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Self:
        """Return the flow that `to_json` wrote."""
        steps = {name: Step.read(step) for name, step in kept["steps"].items()}
        return cls(kept["name"], Step.read(kept["entry"]), steps)

    def to_json(self) -> dict[str, Any]:
        """Return the flow as plain JSON data."""
        return asdict(self)

    def check(self) -> None:
        """Raise QueueError when one of its steps could not wait as it is told to."""
        for step in (self.entry, *self.steps.values()):
            step.check()

    def step(self, name: str) -> Step | None:
        """Return a step by its name, the entry included."""
        return self.entry if name == self.entry.name else self.steps.get(name)

    def is_heard(self, event: str) -> bool:
        """Tell whether a step subscribes to an event, or waits for it."""
        return any(
            event in step.subscribes or event in step.awaited
            for step in (self.entry, *self.steps.values())
        )

    def is_joined_by_any(self, event: str) -> bool:
        """Tell whether an emit starts a step at once, without waiting for the emitting step."""
        return any(step.join == "any" and event in step.subscribes for step in self.steps.values())
