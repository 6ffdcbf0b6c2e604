"""Runs a coroutine handler.  Imported for coroutine handlers only: asyncio is half of a start."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from nuxt_queue.sdk.context import RunContext

__all__ = ["finish_in_loop", "run_to_end"]

_CLEANUP_S = 1.0  # for tasks that are cancelled to end


def run_to_end(awaitable: Awaitable[Any], ctx: RunContext) -> Any:
    """Run an awaitable in an event loop of its own and return its result.

    Unlike `asyncio.run` it does not wait for threads of the loop's executor: they must not keep
    the job's answer back.
    """
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(finish_in_loop(awaitable, ctx))
    finally:
        _close(loop)


async def finish_in_loop(awaitable: Awaitable[Any], ctx: RunContext) -> Any:
    """Await it; tasks that it leaves behind are cancelled and named in a warning."""
    before = asyncio.all_tasks()
    result = await _in_one_process(awaitable)
    left = asyncio.all_tasks() - before
    if left:
        names = ", ".join(sorted(_name(task) for task in left))
        ctx.logger.warn(f"cancelled {len(left)} task(s) that the handler left running: {names}")
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_CLEANUP_S)
    return result


async def _in_one_process(awaitable: Awaitable[Any]) -> Any:
    """Await it; a copy that it forks ends here: to close the loop would close the worker's too."""
    pid = os.getpid()
    try:
        result = await awaitable
    except BaseException:
        if os.getpid() != pid:
            os._exit(1)
        raise
    if os.getpid() != pid:
        os._exit(0)
    return result


def _close(loop: asyncio.AbstractEventLoop) -> None:
    try:
        if left := asyncio.all_tasks(loop):  # of a handler that raised
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.wait(left, timeout=_CLEANUP_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _name(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", task.get_name())
