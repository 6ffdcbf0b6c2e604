"""One process that serves a fan-out of two hundred steps, each with a queue of its own.

    python -m tests.soak.fan_out file|redis DIRECTORY URL start|serve

With `start` it also starts a run, prints its id, and prints a line when the run has ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from nuxt_queue.backends import open_backend
from nuxt_queue.config import RedisConfig
from nuxt_queue.managers.workers import child_processes
from nuxt_queue.rpc import methods
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.flows import FlowDefinition, FlowEngine, Step

STEPS, COUNTS = 200, 5
_OPTIONS = {"attempts": 20}
FLOW = FlowDefinition(
    "fan",
    Step("entry", "entry", "entry", job_options=_OPTIONS),
    {f"s{n}": Step(f"s{n}", f"q{n}", f"s{n}", ("go",), job_options=_OPTIONS) for n in range(STEPS)},
)


async def entry(_job: dict[str, Any], context: JobContext) -> None:
    await context.call(methods.FLOW_EMIT, {"trigger": "go", "payload": {"n": 1}})


async def step(_job: dict[str, Any], context: JobContext) -> None:
    for _ in range(COUNTS):
        await context.call(methods.STATE_INCR, {"key": "n"})
        await asyncio.sleep(0.2)


async def main(engine: Any, directory: str, url: str, role: str) -> None:
    """Serve until killed."""
    settings = RedisConfig.check({"url": url}, "redis")
    async with open_backend(engine, Path(directory), settings) as kept:
        bus = EventBus(kept.events)
        contexts = ContextService(kept.state, bus)
        async with kept.manager(contexts, child_processes) as manager:
            flows = FlowEngine({"fan": FLOW}, bus, manager.enqueue, store=kept.flows)
            contexts.flows = contexts.steps = flows
            looking_after = asyncio.create_task(flows.serve())
            await manager.register_worker("entry", "entry", entry)
            for n in range(STEPS):
                await manager.register_worker(f"q{n}", f"s{n}", step, {"subscribes": ["go"]})
            print("ready", flush=True)
            if role == "start":
                run_id = (await flows.start_flow("fan"))["flowId"]
                print(run_id, flush=True)
                ended = await flows.wait(run_id)
                record = await kept.flows.get(run_id)
                assert record is not None
                steps = list(record.steps.values())
                said = {"status": ended.status, "completed": steps.count("completed")}
                print(json.dumps({**said, "n": await kept.state.get(run_id, "n")}), flush=True)
            await looking_after


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
