"""What `ctx.flow` finds in a notebook: flows that are noted, not run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["LocalFlows", "StartedFlow"]


@dataclass(frozen=True, slots=True)
class StartedFlow:
    """A flow that the handler started."""

    name: str
    payload: Any
    flow_id: str


class LocalFlows:
    """Answers a handler's questions about flows; what it starts is kept in `started`."""

    def __init__(self) -> None:
        self.started: list[StartedFlow] = []
        self.cancelled: list[str] = []

    async def start_flow(self, name: str, payload: Any = None) -> dict[str, Any]:
        """Note that a flow was started; nothing of it runs here."""
        flow_id = f"local-{name}-{len(self.started) + 1}"
        self.started.append(StartedFlow(name, payload, flow_id))
        return {"id": f"{flow_id}-job", "queue": name, "step": name, "flowId": flow_id}

    async def cancel_flow(self, name: str, run_id: str) -> dict[str, Any]:
        """Note that a run was cancelled."""
        self.cancelled.append(run_id)
        return {"flowName": name, "id": run_id, "status": "canceled"}

    async def restart_flow(self, name: str, run_id: str) -> dict[str, Any]:
        """Note that a flow was started again."""
        earlier = next((flow for flow in self.started if flow.flow_id == run_id), None)
        return await self.start_flow(name, earlier.payload if earlier else None)

    async def is_running(
        self,
        name: str | None = None,
        run_id: str | None = None,
        *,
        exclude_run_ids: tuple[str, ...] = (),
    ) -> bool:
        """Tell whether the handler started such a flow."""
        flows = await self.get_running_flows(name, exclude_run_ids=exclude_run_ids)
        return any(run_id in (None, flow["id"]) for flow in flows)

    async def get_running_flows(
        self, name: str | None = None, *, exclude_run_ids: tuple[str, ...] = ()
    ) -> list[dict[str, Any]]:
        """List the flows that the handler started and did not cancel."""
        gone = {*exclude_run_ids, *self.cancelled}
        return [
            {"id": flow.flow_id, "flowName": flow.name, "status": "running"}
            for flow in self.started
            if name in (None, flow.name) and flow.flow_id not in gone
        ]

    async def get_flow_stats(self, name: str) -> dict[str, Any] | None:
        """Count the runs that the handler started."""
        runs = [flow for flow in self.started if flow.name == name]
        cancelled = sum(flow.flow_id in self.cancelled for flow in runs)
        stats = {"total": len(runs), "running": len(runs) - cancelled, "cancel": cancelled}
        return {"name": name, "stats": stats} if runs else None

    async def get_all_flow_stats(
        self, *, offset: int = 0, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Count the runs of every flow that the handler started."""
        names = sorted({flow.name for flow in self.started})
        stats = [await self.get_flow_stats(name) for name in names]
        return [s for s in stats if s is not None][
            offset : None if limit is None else offset + limit
        ]

    async def has_flow_stats(self, name: str) -> bool:
        """Tell whether the handler started such a flow."""
        return any(flow.name == name for flow in self.started)
