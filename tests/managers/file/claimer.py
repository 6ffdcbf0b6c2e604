"""`python -m tests.managers.file.claimer DIRECTORY [CONCURRENCY SECONDS]`: run jobs, and say which.

Ends when its stdin does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from nuxt_queue.managers import FileWorkerManager
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.sqlite import Database
from nuxt_queue.services.state import MemoryStateStore


async def main(directory: Path, concurrency: int, seconds: float) -> None:
    """Serve queue `q`, each job for so many seconds."""

    async def handler(job: dict[str, Any], _context: JobContext) -> None:
        os.write(1, f"{job['id']}\n".encode())
        await asyncio.sleep(seconds)

    contexts = ContextService(MemoryStateStore(), EventBus())
    async with Database(directory) as database, FileWorkerManager(contexts, database) as manager:
        await manager.register_worker("q", "a", handler, {"concurrency": concurrency})
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    _, where, *more = sys.argv
    asyncio.run(main(Path(where), int(more[0]) if more else 100, float(more[1]) if more else 0))
