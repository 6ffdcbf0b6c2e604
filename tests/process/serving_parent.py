"""Serves jobs until it is told to stop, then prints what became of them.

`python serving_parent.py GRACE_S JOBS`: JOBS is a JSON list of the jobs' data, one too many to run
at once.  Prints the pids of the running jobs when all but the last run.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from nuxt_queue.managers import MemoryWorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import Event, EventBus
from nuxt_queue.services.state import MemoryStateStore
from nuxt_queue.serving import serve_until_stopped

WORKER = Path(__file__).parent.parent / "samples" / "workers" / "takes_until.py"


async def main(grace_s: float, jobs: list[object]) -> int:
    """Serve the jobs."""
    bus = EventBus()
    running: asyncio.Queue[list[int]] = asyncio.Queue()

    def hear(event: Event) -> None:
        if event.type == "log" and event.data["message"] == "working":
            running.put_nowait(event.data["pids"])

    bus.subscribe(hear)
    manager = MemoryWorkerManager(ContextService(MemoryStateStore(), bus))
    options = {"path": WORKER, "runtime": "python", "concurrency": max(1, len(jobs) - 1)}
    await manager.register_worker("q", "j", None, options)
    for n, data in enumerate(jobs):
        await manager.enqueue("q", "j", data, {"jobId": str(n)})
    serving = asyncio.create_task(serve_until_stopped(manager, grace_s=grace_s))
    await asyncio.sleep(0)

    async def tell() -> None:
        pids = [pid for _ in jobs[1:] for pid in await running.get()]
        print(json.dumps(pids), flush=True)

    telling = asyncio.create_task(tell())
    # It may be told to stop before its jobs have begun, and then they never do.
    await asyncio.wait({telling, serving}, return_when=asyncio.FIRST_COMPLETED)
    status = await serving
    telling.cancel()
    kept = await manager.get_jobs("q")
    print(json.dumps({job.id: [job.state, job.attempts_made] for job in kept}), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(asyncio.run(main(float(sys.argv[1]), json.loads(sys.argv[2]))))
