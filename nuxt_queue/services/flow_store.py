"""Where the runs of flows are kept: the port, and the store in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from nuxt_queue.errors import QueueError
from nuxt_queue.rpc.codec import decode, encode
from nuxt_queue.services.flow_runs import FlowStatus, RunRecord, iso_time

__all__ = ["Change", "FlowStore", "FlowTally", "MemoryFlowStore", "unknown_run"]

Change = Callable[[RunRecord], None]
"""A transition of a run.  It does not wait, and a store may try it more than once."""

_COUNTER_OF = {"completed": "success", "failed": "failure", "cancelled": "cancel"}


@dataclass(slots=True)
class FlowTally:
    """How often one flow ran, and how its runs ended; times are unix seconds."""

    total: int = 0
    success: int = 0
    failure: int = 0
    cancel: int = 0
    last_run_at: float | None = None
    last_completed_at: float | None = None

    def note(self, before: FlowStatus | None, run: RunRecord) -> None:
        """Count a run that began (`before` is None) or whose status has changed.

        A failed run that goes on, because its step is tried again by hand, is a failure no more.
        """
        if before is None:
            self.total += 1
            self.last_run_at = run.started_at
        for status, by in ((before, -1), (run.status, 1)):
            if before != run.status and status in _COUNTER_OF:
                name = _COUNTER_OF[status]
                setattr(self, name, getattr(self, name) + by)
        if run.status == "completed" and before != "completed":
            self.last_completed_at = run.finished_at

    def to_wire(
        self, name: str, registered_at: float, *, running: int, awaiting: int
    ) -> dict[str, Any]:
        """Return the host's `FlowStats`."""
        return {
            "name": name,
            "displayName": name,
            "registeredAt": iso_time(registered_at),
            "lastRunAt": self.last_run_at and iso_time(self.last_run_at),
            "lastCompletedAt": self.last_completed_at and iso_time(self.last_completed_at),
            "stats": {
                "total": self.total,
                "success": self.success,
                "failure": self.failure,
                "cancel": self.cancel,
                "running": running,
                "awaiting": awaiting,
            },
            "version": 1,
        }


class FlowStore(ABC):
    """Keep the runs of flows, for every manager that serves them.

    The one rule: `change` is indivisible among all processes, and what it returned is safe.
    Everything a flow promises is built on it: a step is decided on once, whoever ran the step
    before it, and what was decided is in the run's `outbox` until it is in its queue.

    The tally of a flow is counted in the same indivisible step as the change that it counts:
    `FlowTally.note` says how.  How many ended runs are remembered is the store's affair; a tally
    is not forgotten with them.
    """

    poll_s: float | None = None
    """How often one that waits for a run looks for what other processes did; None: none do."""

    @abstractmethod
    async def create(self, run: RunRecord) -> None:
        """Keep a new run."""

    @abstractmethod
    async def change(self, run_id: str, change: Change) -> RunRecord | None:
        """Apply a change to a run in one indivisible step, and return the run as changed.

        The returned run has the `news` and the `fresh` deliveries of the change that was kept;
        None means that there is no such run.  When `change` raises, nothing is kept.
        """

    @abstractmethod
    async def get(self, run_id: str) -> RunRecord | None:
        """Return a run, or None."""

    @abstractmethod
    async def running(self, flow_name: str | None = None) -> list[RunRecord]:
        """Return the runs under way, of one flow or of all, the oldest first."""

    @abstractmethod
    async def ended(self, limit: int) -> list[RunRecord]:
        """Return the runs that ended last and are remembered, the latest first."""

    @abstractmethod
    async def due(self, now: float) -> list[str]:
        """Return the ids of the runs whose `due_at` has come, the most overdue first."""

    @abstractmethod
    async def tally(self, flow_name: str) -> FlowTally:
        """Return how often a flow ran."""


class MemoryFlowStore(FlowStore):
    """A FlowStore of this process; everything is gone with it.

    Args:
        keep_ended: How many ended runs are remembered.
    """

    def __init__(self, *, keep_ended: int = 1_000) -> None:
        self._keep_ended = keep_ended
        # JSON text is the copy: a change that fails half-way leaves nothing.
        self._running: dict[str, bytes] = {}
        self._ended: dict[str, bytes] = {}
        self._due: dict[str, float] = {}
        self._tallies: dict[str, FlowTally] = {}

    async def create(self, run: RunRecord) -> None:
        """Keep a new run."""
        self._keep(None, run)

    async def change(self, run_id: str, change: Change) -> RunRecord | None:
        """Apply a change to a run and return the run as changed."""
        # No await between reading and keeping: that is what makes it indivisible here.
        run = self._read(run_id)
        if run is None:
            return None
        before = run.status
        change(run)
        self._keep(before, run)
        return run

    async def get(self, run_id: str) -> RunRecord | None:
        """Return a run, or None."""
        return self._read(run_id)

    async def running(self, flow_name: str | None = None) -> list[RunRecord]:
        """Return the runs under way, the oldest first."""
        runs = [RunRecord.read(decode(line)) for line in self._running.values()]
        return [run for run in runs if flow_name in (None, run.definition.name)]

    async def ended(self, limit: int) -> list[RunRecord]:
        """Return the runs that ended last, the latest first."""
        latest = islice(reversed(self._ended.values()), limit)
        return [RunRecord.read(decode(line)) for line in latest]

    async def due(self, now: float) -> list[str]:
        """Return the ids of the runs whose time has come, the most overdue first."""
        return [
            run_id for at, run_id in sorted((at, i) for i, at in self._due.items()) if at <= now
        ]

    async def tally(self, flow_name: str) -> FlowTally:
        """Return how often a flow ran."""
        return self._tallies.get(flow_name, FlowTally())

    def _read(self, run_id: str) -> RunRecord | None:
        line = self._running.get(run_id) or self._ended.get(run_id)
        return None if line is None else RunRecord.read(decode(line))

    def _keep(self, before: FlowStatus | None, run: RunRecord) -> None:
        line = encode(run.to_json())
        self._due.pop(run.id, None)
        if run.due_at is not None:
            self._due[run.id] = run.due_at
        self._tallies.setdefault(run.definition.name, FlowTally()).note(before, run)
        if run.status == "running":
            self._ended.pop(run.id, None)
            self._running[run.id] = line
            return
        self._running.pop(run.id, None)
        self._ended[run.id] = line
        while len(self._ended) > self._keep_ended:
            del self._ended[next(iter(self._ended))]


def unknown_run(run_id: str, flow_name: str | None = None) -> QueueError:
    """Return the error of asking for a run that is not there."""
    flow = f' of flow "{flow_name}"' if flow_name else ""
    return QueueError(f'Flow run not found: "{run_id}"{flow}')
