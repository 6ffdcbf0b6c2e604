"""`python -m tests.managers.file.enqueue_many DIRECTORY COUNT [PREFIX]`: enqueue all at once.

Prints how long the slowest waited for its answer, and the slowest of 99 in 100, in seconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from nuxt_queue.managers import FileWorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.sqlite import Database
from nuxt_queue.services.state import MemoryStateStore


async def main(directory: Path, count: int, prefix: str) -> None:
    """Enqueue, and say how long that took."""
    contexts = ContextService(MemoryStateStore(), EventBus())
    async with Database(directory) as database, FileWorkerManager(contexts, database) as manager:
        waits: list[float] = []

        async def enqueue(n: int) -> str:
            began = time.perf_counter()
            # Whoever is killed while it runs one has used an attempt of it.
            opts = {"jobId": f"{prefix}{n}", "attempts": 100}
            job_id = await manager.enqueue("q", "a", n, opts)
            waits.append(time.perf_counter() - began)
            return job_id

        ids = await asyncio.gather(*(enqueue(n) for n in range(count)))
    assert len(set(ids)) == count
    waits.sort()
    print(f"{waits[-1]:.3f} {waits[int(0.99 * (count - 1))]:.3f}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), (sys.argv[3:] or ["j"])[0]))
