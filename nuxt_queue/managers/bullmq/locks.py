"""Locks are renewed and stalled jobs found whatever the handlers' event loop does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from nuxt_queue.errors import QueueUnreachableError
from nuxt_queue.managers.bullmq.queue import BullMQQueue
from nuxt_queue.services.redis.server import RedisServer

__all__ = ["LockKeeper", "Stalling"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stalling:
    """When a job counts as lost with its worker.

    It is back within `lock_s` + 2 * `stalled_s`, and a little.

    Attributes:
        lock_s: How long a job stays its worker's without a sign of life; shorter, and a server or
            a machine that hesitates costs a second run.
        stalled_s: Between two looks for jobs whose lock has run out.
        retry_s: Between two attempts to reach a Redis that is away.
        blocked_s: An event loop that does not turn for so long is warned about.
        given_up_s: After so long its jobs are left to others.
    """

    lock_s: float = 10.0
    stalled_s: float = 5.0
    retry_s: float = 0.5
    blocked_s: float = 5.0
    given_up_s: float = 600.0


class LockKeeper:
    """A thread that holds the locks of the running jobs.

    In a thread of its own, because a handler of the host's process may block the loop on which
    everything else runs: its jobs would count as lost and run a second time elsewhere.

    Args:
        server: The server.
        prefix: What the keys begin with.
        stalling: The times.
        lost: Called on the loop that calls `start`, with the token of a job that is another's now.
    """

    def __init__(
        self, server: RedisServer, prefix: str, stalling: Stalling, lost: Callable[[str], None]
    ) -> None:
        self._server, self._prefix, self._stalling, self._lost = server, prefix, stalling, lost
        self._held: dict[str, tuple[str, str]] = {}  # queue and id by token
        self._watched: set[str] = set()
        self._thread: threading.Thread | None = None
        self._app: asyncio.AbstractEventLoop | None = None
        self._own: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()  # of the thread's own loop
        self._turned_at = self._looked_at = 0.0
        self._away = False
        self._in_trouble: dict[str, str] = {}  # what was wrong last with a queue

    def start(self) -> None:
        """Begin, once."""
        if self._thread is None:
            self._app, self._turned_at = asyncio.get_running_loop(), time.monotonic()
            self._looked_at = self._turned_at
            self._own = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._live, name="nuxt-queue locks", daemon=True)
            self._thread.start()

    async def stop(self) -> None:
        """End the thread."""
        if self._thread is not None and self._own is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                self._own.call_soon_threadsafe(self._ending.set)
            await asyncio.to_thread(self._thread.join, self._server.limits.operation_s + 1)

    def hold(self, queue: str, job_id: str, token: str) -> None:
        """Hold the lock of a job from now on."""
        self._held[token] = (queue, job_id)

    def let_go(self, token: str) -> None:
        """Hold a lock no longer."""
        self._held.pop(token, None)

    def watch(self, queue: str) -> None:
        """Look for stalled jobs of a queue from now on."""
        self._watched.add(queue)

    def _live(self) -> None:
        own = self._own
        assert own is not None
        with asyncio.Runner(loop_factory=lambda: own) as runner:
            runner.run(self._keep())

    async def _keep(self) -> None:
        client = self._server.own_client()
        queues: dict[str, BullMQQueue] = {}

        def queue(name: str) -> BullMQQueue:
            if name not in queues:
                lock_ms = round(self._stalling.lock_s * 1000)
                queues[name] = BullMQQueue(name, client, self._prefix, lock_ms)
            return queues[name]

        beat_s = self._stalling.lock_s / 4
        look_at = time.monotonic() + self._stalling.stalled_s
        while not self._ending.is_set():
            started = time.monotonic()
            try:
                if self._loop_turns():
                    await self._hold_all(queue)
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + self._stalling.stalled_s
                    await self._recover(queue)
            except QueueUnreachableError as error:
                if not self._away and self._held:
                    _log.warning("locks of %d jobs are not renewed: %s", len(self._held), error)
                self._away = True
                await self._sleep(self._stalling.retry_s)
                # Whoever else runs jobs renews their locks first; then those left are lost.
                look_at = time.monotonic() + max(self._stalling.stalled_s, 2 * beat_s)
                continue
            except (Exception, asyncio.CancelledError):  # noqa: BLE001 else every job would run twice
                _log.exception("the locks of running jobs could not be renewed")
            self._away = False
            wake_at = min(started + beat_s, look_at)
            await self._sleep(max(0.0, wake_at - time.monotonic()))
        await client.aclose()

    async def _hold_all(self, queue: Callable[[str], BullMQQueue]) -> None:
        by_queue: dict[str, list[tuple[str, str]]] = {}
        for token, (name, job_id) in list(self._held.items()):
            by_queue.setdefault(name, []).append((job_id, token))
        for name, held in by_queue.items():
            async with self._about(name):
                lost = set(await queue(name).hold(held))
                for job_id, token in held:
                    if job_id in lost and token in self._held:
                        self.let_go(token)
                        self._tell(self._lost, token)

    async def _recover(self, queue: Callable[[str], BullMQQueue]) -> None:
        interval_ms = round(self._stalling.stalled_s * 1000)
        for name in list(self._watched):
            async with self._about(name):
                for job_id in await queue(name).recover(interval_ms):
                    _log.warning("job %s of queue %s has lost its worker", job_id, name)

    @contextlib.asynccontextmanager
    async def _about(self, queue: str) -> AsyncIterator[None]:
        """Ask about one queue, whose trouble is not the others'; it is told of once."""
        try:
            async with self._server.answering():
                yield
        except QueueUnreachableError:
            raise
        except Exception as error:  # noqa: BLE001 see above
            if self._in_trouble.get(queue) != str(error):
                _log.error("jobs of queue %s are not looked after: %s", queue, error)
            self._in_trouble[queue] = str(error)

    def _loop_turns(self) -> bool:
        """Tell whether the loop of the handlers may go on; warn while it does not."""
        now, looked_at = time.monotonic(), self._looked_at
        self._looked_at = now
        if now - looked_at > self._stalling.blocked_s:  # this thread stood still too: the process
            self._turned_at = now
        blocked_s = now - self._turned_at
        if blocked_s > self._stalling.blocked_s and self._held:
            _log.warning(
                "the event loop of this process has not turned for %.0f s: something in it blocks,"
                " such as time.sleep or a long computation; the locks of its %d jobs are %s."
                " Move it to a thread or to a worker file",
                blocked_s,
                len(self._held),
                "kept" if blocked_s < self._stalling.given_up_s else "given up",
            )
        self._tell(self._turned)
        return blocked_s < self._stalling.given_up_s

    def _turned(self) -> None:
        self._turned_at = time.monotonic()

    def _tell(self, callback: Callable[..., Any], *args: Any) -> None:
        assert self._app is not None
        if not self._app.is_closed():
            self._app.call_soon_threadsafe(callback, *args)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
