"""A parent that is going to be killed: runs jobs that would survive it, and says when they work.

`python parent_with_jobs.py COUNT [--node | --copies | --fork FOLDER]`: COUNT jobs of each kind;
with `--node` of one kind in JavaScript, with `--copies` in copies of a fork server, with `--fork` a
copy of it stays behind that holds every pipe.  Prints the first of its marks when all of them work,
and waits.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.runner.reaper import reaper
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import Event, EventBus
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

WORKERS = Path(__file__).parent.parent / "samples" / "workers"
WORKER = WORKERS / "survives_its_parent.py"
NODE_WORKER = WORKERS / "node" / "survives_its_parent.mjs"
WAYS = ("sleeps", "is stuck in C", "is stopped", "ignores signals")


async def main(count: int) -> None:
    """Run the jobs."""
    bus = EventBus()
    works: asyncio.Queue[str] = asyncio.Queue()

    def hear(event: Event) -> None:
        if event.type == "log":
            works.put_nowait(event.data["message"])

    bus.subscribe(hear)
    service = ContextService(MemoryStateStore(), bus)
    in_node = "--node" in sys.argv
    process = "fork" if "--copies" in sys.argv else None
    runner = ChildProcessRunner(WORKER, process=process)
    if in_node:
        runner = ChildProcessRunner(NODE_WORKER, "node")
    jobs = [
        asyncio.create_task(
            runner.execute({"id": str(n), "data": way}, service.for_job(Scope(str(n), "q")))
        )
        for n, way in enumerate(("is stuck",) * count if in_node else WAYS * count)
    ]
    for _ in jobs:
        await works.get()
    if "--fork" in sys.argv and (copy := os.fork()) != 0:
        Path(sys.argv[-1], "copy").write_text(str(copy))
    elif "--fork" in sys.argv:
        time.sleep(60)  # noqa: ASYNC251 the copy has no loop to keep
        os._exit(0)
    print(reaper().marks[0], flush=True)
    await asyncio.wait(jobs)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
