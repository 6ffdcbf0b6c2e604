"""What a job that needs pandas costs: a fresh process, a copy of one that has it, or a warm one.

Whole jobs, as managers run them: start, one exchange, end, and the sweep for what was left.
Between two rounds there is time for the next copy to be made ahead, as there is while a queue is
not full; then a thousand jobs follow each other without a pause, and what is left is counted.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from paired import clean_python, medians, process, report

from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.runner.reaper import reaper
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

WORKER = "import pandas\ndef handler(job, ctx):\n    return 1\n"
COPIES = 1_000


def job(loop: asyncio.AbstractEventLoop, runner: ChildProcessRunner) -> Callable[[], object]:
    """Return a call that runs one job to its end."""
    service = ContextService(MemoryStateStore(), EventBus())

    def run() -> None:
        job = runner.execute({"id": "1", "data": {}}, service.for_job(Scope("1", "q")))
        assert loop.run_until_complete(job) == 1

    return run


def footprint() -> tuple[int, int]:
    """Return this process's open descriptors, and its children but the reaper."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return len([*Path("/proc/self/fd").iterdir()]), len({*children} - {str(reaper().pid)})


def main() -> None:
    """Print the ratios, and what is left."""
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory() as folder:
        worker = Path(folder) / "worker.py"
        worker.write_text(WORKER)
        spawns = ChildProcessRunner(worker)
        forks = ChildProcessRunner(worker, process="fork", preload=["pandas"])
        reuses = ChildProcessRunner(worker, process="reuse")
        found = medians(
            {
                "bare python": process(clean_python(), "-c", "pass"),
                "spawn": job(loop, spawns),
                "fork": job(loop, forks),
                "reuse": job(loop, reuses),
            }
        )
        report(
            "A job that needs pandas",
            found,
            {"fork": ("bare python", 0.7), "reuse": ("bare python", 0.3)},
            faster={"fork": ("spawn", 40), "reuse": ("spawn", 100)},
        )
        loop.run_until_complete(spawns.close())
        loop.run_until_complete(reuses.close())
        run = job(loop, forks)
        before, started = footprint(), time.perf_counter()
        for _ in range(COPIES):
            run()
        each_ms = (time.perf_counter() - started) * 1000 / COPIES
        loop.run_until_complete(asyncio.sleep(0.1))  # the last copy that is made ahead
        after = footprint()
        loop.run_until_complete(forks.close())
    loop.close()
    verdict = "ok" if before == after else "MISSED"
    print(f"\n{COPIES} copies one after another, {each_ms:.1f} ms each")
    print(f"  descriptors {before[0]} -> {after[0]}, children {before[1]} -> {after[1]} {verdict}")


if __name__ == "__main__":
    main()
