"""Serves until it is told to stop: the signals of a service."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from nuxt_queue.managers import WorkerManager

__all__ = ["STOPPED_AT_ONCE", "Signals", "serve_until_stopped", "stop_signals"]

# The exit status after a second signal: running jobs were killed, and wait again.
STOPPED_AT_ONCE = 1

Signals = asyncio.Queue[int]
"""The signals that have come."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def serve_until_stopped(
    manager: WorkerManager,
    *,
    grace_s: float = 30.0,
    stopping: Callable[[], None] | None = None,
    signals: Signals | None = None,
) -> int:
    """Let a manager work until a signal comes, then close it; return the exit status.

    After SIGTERM, SIGINT or SIGHUP no job is started; those that run have `grace_s` seconds.  What
    is not done by then is cancelled, waits again, and has not used up an attempt.  A second signal
    kills at once what still runs.

    Args:
        manager: What serves.
        grace_s: Seconds that running jobs have.
        stopping: Called when the first signal has come.
        signals: Those that have been heard since before jobs were taken; from now on if not given.

    Returns:
        0, or 1 after a second signal.
    """
    with stop_signals() if signals is None else nullcontext(signals) as heard:
        await heard.get()
        if stopping is not None:
            stopping()
        closing = asyncio.create_task(manager.close_all(grace_s))
        again = asyncio.create_task(heard.get())
        await asyncio.wait({closing, again}, return_when=asyncio.FIRST_COMPLETED)
        if not closing.done():
            await manager.close_all(0, at_once=True)
        await closing
        stopped_at_once = again.done()
        again.cancel()
    return STOPPED_AT_ONCE if stopped_at_once else 0


@contextmanager
def stop_signals() -> Iterator[Signals]:
    """Queue the signals that arrive, instead of dying of them; nohup's are left ignored."""
    numbers = [n for n in _SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    loop = asyncio.get_running_loop()
    heard: Signals = asyncio.Queue()
    for number in numbers:
        loop.add_signal_handler(number, heard.put_nowait, int(number))
    try:
        yield heard
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
