"""`python -m tests.managers.file.server DIRECTORY GRACE`: serve until told to stop.

Says on stdout when a handler has begun.
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
from nuxt_queue.serving import serve_until_stopped


async def handler(job: dict[str, Any], _context: JobContext) -> None:
    os.write(1, f"{job['id']}\n".encode())
    await asyncio.sleep(job["data"])


async def main(directory: Path, grace_s: float) -> int:
    """Serve queue `q`, each job for as many seconds as its data says."""
    contexts = ContextService(MemoryStateStore(), EventBus())
    async with Database(directory) as database, FileWorkerManager(contexts, database) as manager:
        await manager.register_worker("q", "a", handler, {"concurrency": 20})
        return await serve_until_stopped(manager, grace_s=grace_s)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]))))
