"""`run_local`: one job, here and now, as production would run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nbtools.emulator.context import Emitted, LocalRunContext, LogLine
from nbtools.emulator.display import html_of, text_of
from nbtools.emulator.frames import users_frames
from nbtools.emulator.records import records_of
from nuxt_queue.rpc.messages import MAX_MESSAGE
from nuxt_queue.services.loopback import run_handler

__all__ = ["LocalRun", "run_local"]


@dataclass(frozen=True, slots=True)
class LocalRun:
    """What one run did; shown as a table in Jupyter and as plain lines in a terminal.

    Attributes:
        result: What the handler returned, as JSON carries it.
        ctx: The context it ran with.
    """

    result: Any
    ctx: LocalRunContext

    @property
    def logs(self) -> list[LogLine]:
        """The lines that it logged."""
        return self.ctx.logs

    @property
    def emitted(self) -> list[Emitted]:
        """The events that it emitted."""
        return self.ctx.emitted

    @property
    def state(self) -> dict[str, Any]:
        """What `ctx.state` holds afterwards."""
        return self.ctx.state.contents

    def __repr__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


async def run_local(
    handler: Callable[..., Any],
    data: Any = None,
    *,
    ctx: LocalRunContext | None = None,
    config: Mapping[str, Any] | None = None,
    state: Mapping[str, Any] | None = None,
    opts: Mapping[str, Any] | None = None,
) -> LocalRun:
    """Run `handler` once with `data` as `job['data']` and return everything it did.

    A coroutine handler runs in the notebook's loop, a plain function in a thread, where its calls
    simply return.  What the handler raises is raised here, with a note that names the cell where
    the notebook is known.

    Args:
        handler: `handler(job, ctx)`.
        data: The payload.
        ctx: Where to run it; one made from `config` when left out.
        config: The worker's config, for the names of flow and step; the notebook's own variable
            `config` when left out.
        state: What earlier steps have left in `ctx.state`.
        opts: The job's options.

    Raises:
        ValuePathError: If JSON cannot hold the data or the result.
        CallFailedError: If a call failed that the handler did not await.
    """
    if config is None:
        config = getattr(handler, "__globals__", {}).get("config")
    names = _names(config if isinstance(config, Mapping) else {}, handler)
    if ctx is None:
        ctx = LocalRunContext(
            flow_name=names["flow"],
            step_name=names["step"],
            queue=names["queue"],
            flow_id="local-run" if names["flow"] else None,
            state=state,
            max_message=names["max_message"],
        )
    elif state:
        raise TypeError("give the state to LocalRunContext(state=...) or to run_local, not to both")
    job = {
        "id": ctx.job_id,
        "name": ctx.step_name,
        "data": data,
        "attemptsMade": (ctx.attempt or 1) - 1,
        "opts": dict(opts or {}),
    }
    try:
        with records_of(ctx):
            result = await run_handler(handler, job, ctx, ctx.calls, names["subscribes"])
    except BaseException as error:
        from nbtools.emulator.places import note_place

        note_place(error)
        error.__traceback__ = users_frames(error)
        raise
    return LocalRun(result.value(), ctx)


def _names(config: Mapping[str, Any], handler: Callable[..., Any]) -> dict[str, Any]:
    """Read what a config says about a step, in any of the spellings that it allows."""
    flow = config.get("flow") if isinstance(config.get("flow"), Mapping) else {}
    queue = config.get("queue")
    queue_name = queue.get("name") if isinstance(queue, Mapping) else queue
    flow_name = (flow or {}).get("name")
    if isinstance(flow_name, list | tuple):
        flow_name = flow_name[0] if flow_name else None
    events = (flow or {}).get("subscribes") or ()
    worker = config.get("worker") if isinstance(config.get("worker"), Mapping) else {}
    most = (worker or {}).get("max_message")
    step = (flow or {}).get("step") or queue_name or getattr(handler, "__name__", "handler")
    return {
        "flow": flow_name,
        "step": step,
        "queue": queue_name or step,
        "max_message": most if isinstance(most, int) else MAX_MESSAGE,
        "subscribes": (events,) if isinstance(events, str) else tuple(events),
    }
