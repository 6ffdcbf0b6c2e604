"""`LocalRunContext`: the SDK's own context over a loopback, with everything it did kept to look at.

Every call is encoded, answered by the service that production uses, and decoded again, so what
JSON cannot hold fails here as it would there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbtools.emulator.flow import LocalFlows
from nuxt_queue.rpc.codec import decode, encode
from nuxt_queue.rpc.messages import MAX_MESSAGE
from nuxt_queue.sdk.calls import Calls
from nuxt_queue.sdk.context import RunContext, State
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import Event, EventBus
from nuxt_queue.services.loopback import connect, now
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

__all__ = ["Emitted", "LocalRunContext", "LocalState", "LogLine"]


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that the handler logged."""

    level: str
    message: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        pairs = "  ".join(f"{key}={value!r}" for key, value in self.metadata.items())
        return f"{self.level:<5}  {self.message}" + (f"  {pairs}" if pairs else "")


@dataclass(frozen=True, slots=True)
class Emitted:
    """One event that the handler emitted."""

    name: str
    payload: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}  {self.payload!r}"


class LocalState(State):
    """`ctx.state`, which shows what it holds.

    Attributes:
        contents: Every value by key, as a copy.
    """

    def __init__(self, calls: Calls, job_context: JobContext) -> None:
        super().__init__(calls)
        self._store = job_context.service.state
        self._scope = job_context.scope.flow_id or ""

    @property
    def contents(self) -> dict[str, Any]:
        """Every value by key, as a copy."""
        return now(self._store.all(self._scope))

    def __repr__(self) -> str:
        return f"<state {self.contents!r}>"


class LocalRunContext(RunContext):
    """A context for a notebook or a test: pass it to a handler, then look at what it did.

    All names and ids are fixed unless given, so that a notebook shows the same each time it runs.

    Args:
        flow_name: The flow that the handler is a step of.
        step_name: The step's name.
        queue: The queue; the step's name when left out.
        job_id: The job's id.
        flow_id: The id of the flow's run.
        attempt: 1 for the first attempt.
        state: What earlier steps of the run have left in `ctx.state`.
        trigger: What resumed the step, if it waited.
        max_message: Bytes of the longest message, `worker.max_message`.

    Attributes:
        logs: The lines logged so far.
        emitted: The events emitted so far.
        events: Both and more, as the host's timeline has them, without times.
    """

    def __init__(  # noqa: PLR0913 all of them have defaults
        self,
        *,
        flow_name: str | None = "local",
        step_name: str = "handler",
        queue: str | None = None,
        job_id: str = "local-job",
        flow_id: str | None = "local-run",
        attempt: int = 1,
        state: Mapping[str, Any] | None = None,
        trigger: Any = None,
        max_message: int = MAX_MESSAGE,
    ) -> None:
        scope = Scope(
            job_id=job_id,
            queue=queue or step_name,
            flow_id=flow_id,
            flow_name=flow_name,
            step_name=step_name,
            step_id=f"{flow_id or job_id}__{step_name}__attempt-{attempt}",
            attempt=attempt,
            trigger=trigger,
        )
        self.flows = LocalFlows()
        service = ContextService(MemoryStateStore(), EventBus(), self.flows)
        self._job_context = service.for_job(scope)
        # The connection itself, so that a run can wait for what its handler has not awaited.
        self.calls = connect(self._job_context, now, max_message)
        super().__init__(self.calls, decode(encode(scope.to_wire())))
        self.state: LocalState = LocalState(self.calls, self._job_context)
        for key, value in (state or {}).items():
            now(service.state.set(scope.flow_id or "", key, value))

    @property
    def events(self) -> list[Event]:
        """The timeline, oldest first."""
        bus = self._job_context.service.bus
        return now(bus.read(self._job_context.scope.run_id))

    @property
    def logs(self) -> list[LogLine]:
        """The lines logged so far, oldest first."""
        return [_log_line(event.data) for event in self.events if event.type == "log"]

    @property
    def emitted(self) -> list[Emitted]:
        """The events emitted so far, oldest first."""
        found = [event.data for event in self.events if event.type == "emit"]
        return [Emitted(data["name"], data["payload"]) for data in found]


def _log_line(data: dict[str, Any]) -> LogLine:
    metadata = {key: value for key, value in data.items() if key not in ("level", "message")}
    return LogLine(data["level"], data["message"], metadata)
