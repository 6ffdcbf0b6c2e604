"""A manager in a process of its own, for tests that end it, stop it or share a queue with it.

    serving_manager.py URL PREFIX [--lock S] [--stalled S] [--concurrency N]

Serves queue `q`.  Every job notes its id in a list, `<prefix>.runs`, before it does what its data
say; every line of the log is on stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from typing import Any

from nuxt_queue.managers.bullmq import BullMQWorkerManager, Stalling
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.redis import RedisServer
from nuxt_queue.services.state import MemoryStateStore


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("prefix")
    parser.add_argument("--lock", type=float, default=Stalling().lock_s)
    parser.add_argument("--stalled", type=float, default=Stalling().stalled_s)
    parser.add_argument("--concurrency", type=int, default=1)
    given = parser.parse_args()
    server = RedisServer(given.url)
    notes = server.client(repeats=True, text=True)

    async def handle(job: dict[str, Any], _context: JobContext) -> Any:
        await notes.rpush(f"{given.prefix}.runs", job["id"])
        data = job["data"]
        match data["do"]:
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "block":
                time.sleep(data["s"])  # noqa: ASYNC251 the point of it
            case "work":
                await asyncio.sleep(data["s"])
            case other:
                raise ValueError(other)
        return {"by": os.getpid(), "n": data.get("n")}

    manager = BullMQWorkerManager(
        ContextService(MemoryStateStore(), EventBus()),
        server,
        prefix=given.prefix,
        stalling=Stalling(lock_s=given.lock, stalled_s=given.stalled, blocked_s=given.lock / 2),
    )
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    async with manager:
        await manager.register_worker("q", "a", handle, {"concurrency": given.concurrency})
        print("ready", flush=True)
        await ending.wait()
        await manager.close_all(grace_s=1)
    await notes.aclose()


logging.basicConfig(level=logging.INFO, stream=sys.stderr)
asyncio.run(main())
