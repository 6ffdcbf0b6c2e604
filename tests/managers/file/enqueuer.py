"""`python -m tests.managers.file.enqueuer DIRECTORY PREFIX COUNT`: enqueue one by one.

Each id is written to stdout, unbuffered, when `enqueue` has returned it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from nuxt_queue.managers import FileWorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.sqlite import Database
from nuxt_queue.services.state import MemoryStateStore


async def main(directory: Path, prefix: str, count: int) -> None:
    """Enqueue one job after the other."""
    contexts = ContextService(MemoryStateStore(), EventBus())
    async with Database(directory) as database, FileWorkerManager(contexts, database) as manager:
        for n in range(count):
            job_id = await manager.enqueue("q", "a", {"n": n}, {"jobId": f"{prefix}-{n}"})
            os.write(1, f"{job_id}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
