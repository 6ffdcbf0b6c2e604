"""Runs a coroutine handler.  Imported for coroutine handlers only: asyncio is half of a start."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from nuxt_queue.sdk.context import RunContext

__all__ = ["finish_in_loop", "run_to_end"]


def run_to_end(awaitable: Awaitable[Any], ctx: RunContext) -> Any:
    """Run an awaitable in an event loop of its own and return its result."""
    return asyncio.run(finish_in_loop(awaitable, ctx))


async def finish_in_loop(awaitable: Awaitable[Any], ctx: RunContext) -> Any:
    """Await it; tasks that it leaves behind are cancelled and named in a warning."""
    before = asyncio.all_tasks()
    result = await awaitable
    left = asyncio.all_tasks() - before
    if left:
        names = ", ".join(sorted(_name(task) for task in left))
        ctx.logger.warn(f"cancelled {len(left)} task(s) that the handler left running: {names}")
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=1.0)
    return result


def _name(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", task.get_name())
