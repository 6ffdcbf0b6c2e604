"""Waiting for the jobs of many queues over few connections.

BullMQ marks a queue that has something to take, and a worker waits for the mark with `BZPOPMIN`,
which takes the keys of many queues.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import uuid
from typing import Any

from nuxt_queue.errors import QueueStorageError
from nuxt_queue.services.cancelling import end
from nuxt_queue.services.redis.server import RedisServer

__all__ = ["BLOCK_S", "Markers", "worker_name"]

BLOCK_S = 5.0  # an idle queue looks so often by itself; a new job wakes it at once
_WOKEN_MS = 60_000  # how long the key stays of a manager that died while it woke its connection


def worker_name(prefix: str, queue: str) -> str:
    """Return what BullMQ's dashboards look for among the names of connections."""
    return f"{prefix}:{base64.b64encode(queue.encode()).decode()}"


class Markers:
    """Waits for marks, each queue on one of a bounded number of connections.

    A connection has the name of the first queue that waits on it, as that of a BullMQ worker has:
    dashboards show a worker for as many queues as there are connections.

    Args:
        server: The server.
        prefix: What the keys begin with.
        client: A client for text whose commands are sent once.
    """

    def __init__(self, server: RedisServer, prefix: str, client: Any) -> None:
        self._server, self._prefix, self._client = server, prefix, client
        self._lines: list[_Line] = []
        self._line_of: dict[str, _Line] = {}

    async def wait(self, queue: str, seconds: float) -> None:
        """Wait until a queue is marked, for some time at most.

        Raises:
            QueueStorageError: Redis is away or refuses.
        """
        await self._line(queue).wait(f"{self._prefix}:{queue}:marker", seconds)

    async def show(self, queue: str) -> None:
        """Let dashboards see a worker of a queue also while it has no time to wait.

        Raises:
            QueueStorageError: Redis is away or refuses.
        """
        await self._line(queue).connect()

    async def close(self) -> None:
        """Let go of the connections."""
        await asyncio.gather(*(line.close() for line in self._lines))

    def _line(self, queue: str) -> _Line:
        line = self._line_of.get(queue)
        if line is None:
            if len(self._lines) < self._server.limits.waiting:
                name = worker_name(self._prefix, queue)
                self._lines.append(_Line(self._server, self._prefix, self._client, name))
                line = self._lines[-1]
            else:
                line = min(self._lines, key=lambda each: each.queues)
            line.queues += 1
            self._line_of[queue] = line
        return line


class _Line:
    """One connection on which some queues wait."""

    def __init__(self, server: RedisServer, prefix: str, client: Any, name: str) -> None:
        self._server, self._client = server, client
        self._waiting = server.own_client(wait_s=BLOCK_S, client_name=name)
        self._wake_key = f"{prefix}:flow::wake:{uuid.uuid4().hex}"
        self._wanted: dict[str, asyncio.Future[None]] = {}
        self._asked: frozenset[str] = frozenset()  # what the connection waits for now
        self._task: asyncio.Task[None] | None = None
        self.queues = 0  # that wait here

    async def wait(self, key: str, seconds: float) -> None:
        """Wait until a key is marked, for some time at most."""
        marked = self._wanted[key] = asyncio.get_running_loop().create_future()
        try:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._listen(), name=f"markers of {key}")
                self._task.add_done_callback(self._ended)
            elif self._asked and key not in self._asked:
                await self._wake()
            await asyncio.wait({marked}, timeout=seconds)
            if marked.done():
                marked.result()
        finally:
            marked.cancel()
            if self._wanted.get(key) is marked:
                del self._wanted[key]

    async def connect(self) -> None:
        """Connect, unless it is in use."""
        if self._task is None or self._task.done():
            async with self._server.answering():
                await self._waiting.ping()

    async def close(self) -> None:
        """Let go of the connection."""
        if self._task is not None:
            await end(self._task)
        await self._waiting.aclose()

    async def _listen(self) -> None:
        """Hand out marks for as long as a queue waits for one."""
        while self._wanted:
            self._asked = frozenset(self._wanted)
            try:
                with self._server.speaking():
                    found = await self._waiting.bzpopmin([self._wake_key, *self._asked], BLOCK_S)
            finally:
                self._asked = frozenset()
            if found and found[0] != self._wake_key:
                await self._hand_out(found[0])

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Tell those that wait why they are not waited for any more."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        for marked in self._wanted.values():
            if error is not None and not marked.done():
                marked.set_exception(error)

    async def _hand_out(self, key: str) -> None:
        marked = self._wanted.pop(key, None)
        if marked is not None and not marked.done():
            marked.set_result(None)
            return
        # The queue has enough to do here: the mark is for another worker.
        with contextlib.suppress(QueueStorageError):
            async with self._server.answering():
                await self._client.zadd(key, {"0": 0})

    async def _wake(self) -> None:
        """Let the connection wait for what is wanted now."""
        async with self._server.answering():
            pipe = self._client.pipeline(transaction=True)
            pipe.zadd(self._wake_key, {"0": 0})
            pipe.pexpire(self._wake_key, _WOKEN_MS)
            await pipe.execute()
