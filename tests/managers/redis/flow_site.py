"""One process that serves a flow of two steps from Redis, and may be killed at a named moment.

    python -m tests.managers.redis.flow_site URL PREFIX MOMENT

Starts the flow, serves it, and kills itself with SIGKILL when the moment comes.  Everything that is
patched is patched here, in the test.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from nuxt_queue.managers.bullmq import BullMQWorkerManager, Stalling
from nuxt_queue.managers.bullmq import manager as manager_module
from nuxt_queue.managers.bullmq.queue import BullMQQueue
from nuxt_queue.rpc import methods
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.flow_runs import RunRecord
from nuxt_queue.services.flows import FlowDefinition, FlowEngine, Step
from nuxt_queue.services.redis import (
    RedisEventStream,
    RedisFlowStore,
    RedisServer,
    RedisStateStore,
)

FLOW = FlowDefinition(
    "pair", Step("first", "q", "first"), {"second": Step("second", "q", "second", ("go",))}
)
# So short that a test can wait for a lock to run out.
QUICK = Stalling(lock_s=1.0, stalled_s=0.3, retry_s=0.1, blocked_s=0.4)


class Site:
    """A manager, an engine and two handlers that count their runs in `ctx.state`."""

    def __init__(self, url: str, prefix: str, moment: str = "") -> None:
        server = RedisServer(url)
        self._moment = moment
        self._state = RedisStateStore(server, prefix)
        self._events, self._store = RedisEventStream(server, prefix), RedisFlowStore(server, prefix)
        bus = EventBus(self._events)
        contexts = ContextService(self._state, bus)
        self.manager = BullMQWorkerManager(contexts, server, prefix=prefix, stalling=QUICK)
        self.flows = FlowEngine({"pair": FLOW}, bus, self.manager.enqueue, store=self._store)
        contexts.flows = contexts.steps = self.flows

    async def serve(self) -> None:
        """Register both handlers."""
        await self.manager.register_worker("q", "first", self._first)
        await self.manager.register_worker("q", "second", self._second, {"subscribes": ["go"]})

    async def runs(self, run_id: str) -> dict[str, Any]:
        """Return how often each handler ran."""
        return await self._state.all(run_id)

    async def close(self) -> None:
        """Let go of the connections."""
        for store in (self._state, self._events, self._store):
            await store.close()

    async def _first(self, _job: dict[str, Any], context: JobContext) -> str:
        await context.call(methods.STATE_INCR, {"key": "first"})
        await context.call(methods.FLOW_EMIT, {"trigger": "go", "payload": {"n": 1}})
        if self._moment == "running":
            die()
        return "one"

    async def _second(self, job: dict[str, Any], context: JobContext) -> Any:
        await context.call(methods.STATE_INCR, {"key": "second"})
        return job["inputs"]


@asynccontextmanager
async def open_site(url: str, prefix: str, moment: str = "") -> AsyncIterator[Site]:
    """Open everything until the block ends."""
    site = Site(url, prefix, moment)
    looking_after = asyncio.create_task(site.flows.serve())
    try:
        async with site.manager:
            yield site
    finally:
        looking_after.cancel()
        await asyncio.wait({looking_after})
        await site.close()


def die(*_args: Any, **_more: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


async def _die_when_completed(queue: BullMQQueue, *args: Any) -> None:
    await BullMQQueue_complete(queue, *args)
    die()


async def _die_with_a_decision(engine: FlowEngine, run: RunRecord, deliveries: list[Any]) -> None:
    if any(each.step == "second" for each in deliveries):
        die()
    await FlowEngine_deliver(engine, run, deliveries)


def _die_when_delivered(run: RunRecord, steps: list[str]) -> None:
    if "second" in steps:
        die()
    RunRecord_delivered(run, steps)


BullMQQueue_complete = BullMQQueue.complete
FlowEngine_deliver = FlowEngine._deliver
RunRecord_delivered = RunRecord.delivered

# moment -> (object, attribute, what takes its place)
MOMENTS: dict[str, tuple[Any, str, Any]] = {
    "taken": (BullMQWorkerManager, "_process", die),
    "running": (None, "", None),  # its handler kills it
    "result received": (manager_module, "record", die),
    "recorded": (BullMQQueue, "complete", _die_when_completed),
    "next step decided": (FlowEngine, "_deliver", _die_with_a_decision),
    "next step enqueued": (RunRecord, "delivered", _die_when_delivered),
}


async def main(url: str, prefix: str, moment: str) -> None:
    """Start the flow and die on the way."""
    owner, attribute, instead = MOMENTS[moment]
    if owner is not None:
        setattr(owner, attribute, instead)
    async with open_site(url, prefix, moment) as site:
        started = await site.flows.start_flow("pair")
        os.write(1, f"{started['flowId']}\n".encode())
        await site.serve()
        await asyncio.sleep(30)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
