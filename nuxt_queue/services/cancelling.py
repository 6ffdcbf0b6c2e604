"""A cancellation that was asked for, and one that only came up from below."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["end", "is_cancelling"]


def is_cancelling() -> bool:
    """Return True if somebody has cancelled the current task.

    A CancelledError may also come from a future or a task that something else has cancelled.  It
    is then a failure like any other, and must not end a task that many jobs depend on.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended.

    A client loses a cancellation that comes while it looks whether a connection is alive, so the
    task is cancelled until it has ended.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
