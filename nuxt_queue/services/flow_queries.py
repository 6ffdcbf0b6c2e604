"""What can be asked about flows and their runs, wherever the runs go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from nuxt_queue.errors import QueueError
from nuxt_queue.services.flow_definition import FlowDefinition
from nuxt_queue.services.flow_runs import RunRecord
from nuxt_queue.services.flow_status import FlowRun
from nuxt_queue.services.flow_store import FlowStore, unknown_run

__all__ = ["FlowQueries"]


class FlowQueries:
    """Answers from the store; names, arguments and shapes are the host's.

    Args:
        flows: The flows by name that can be started here.
        store: Where the runs are kept.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        flows: Mapping[str, FlowDefinition],
        store: FlowStore,
        clock: Callable[[], float],
    ) -> None:
        self._flows, self._store, self._clock = flows, store, clock
        self._registered_at = clock()
        self._over = asyncio.Event()  # some run has ended; then there is another for the next

    async def run(self, run_id: str) -> FlowRun:
        """Return how a run stands; raises QueueError for an unknown id."""
        return (await self._record(run_id)).snapshot()

    async def wait(self, run_id: str, timeout_s: float | None = None) -> FlowRun:
        """Wait until a run has ended, wherever its steps run.

        Raises:
            TimeoutError: It has not ended in time; the message names its steps.
            QueueError: There is no such run.
        """
        run = await self.run(run_id)
        try:
            async with asyncio.timeout(timeout_s):
                while run.status == "running":
                    over = self._over
                    run = await self.run(run_id)
                    if run.status == "running":
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(over.wait(), self._store.poll_s)
        except TimeoutError:
            steps = ", ".join(f"{name} {status}" for name, status in run.steps.items())
            raise TimeoutError(
                f"flow run {run_id} still runs after {timeout_s} s: {steps}"
            ) from None
        return run

    async def is_running(
        self,
        name: str | None = None,
        run_id: str | None = None,
        *,
        exclude_run_ids: Collection[str] = (),
    ) -> bool:
        """Tell whether a run is under way: that one, one of that flow, or any."""
        return any(run_id in (None, run.id) for run in await self._running(name, exclude_run_ids))

    async def get_running_flows(
        self, name: str | None = None, *, exclude_run_ids: Collection[str] = ()
    ) -> list[dict[str, Any]]:
        """Return the runs under way as the host's `RunningFlow` objects, oldest first."""
        return [run.snapshot().to_wire() for run in await self._running(name, exclude_run_ids)]

    async def get_ended_flows(self, limit: int = 20) -> list[dict[str, Any]]:
        """Return the runs that ended last, shaped as the running ones, the latest first."""
        return [run.snapshot().to_wire() for run in await self._store.ended(limit)]

    async def has_flow_stats(self, name: str) -> bool:
        """Tell whether the flow is known."""
        return name in self._flows

    async def get_flow_stats(self, name: str) -> dict[str, Any]:
        """Return the host's `FlowStats` object; raises QueueError for an unknown flow."""
        self._definition(name)
        tally, running = await self._store.tally(name), await self._running(name, ())
        awaiting = sum(bool(run.awaits) for run in running)
        return tally.to_wire(name, self._registered_at, running=len(running), awaiting=awaiting)

    async def get_all_flow_stats(
        self, *, offset: int = 0, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return the statistics of all flows by name, or a page of them."""
        names = sorted(self._flows)[offset : None if limit is None else offset + limit]
        return [await self.get_flow_stats(name) for name in names]

    def _definition(self, name: str) -> FlowDefinition:
        if name not in self._flows:
            known = ", ".join(sorted(self._flows)) or "none"
            raise QueueError(f'Flow not found: "{name}". Available: {known}')
        return self._flows[name]

    async def _record(self, run_id: str, name: str | None = None) -> RunRecord:
        run = await self._store.get(run_id)
        if run is None or name not in (None, run.definition.name):
            raise unknown_run(run_id, name)
        return run

    async def _running(self, name: str | None, exclude: Collection[str]) -> list[RunRecord]:
        return [run for run in await self._store.running(name) if run.id not in exclude]
