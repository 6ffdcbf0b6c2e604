"""How long a job's processes live after its timeout, and after its parent was killed.

A timeout of half a second, each way of not ending in turn; then a parent that is killed with four
such jobs, each with a child in its group and one that has left it.  Medians, and the longest.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import sys
import time

from paired import ROOT

from nuxt_queue.errors import WorkerTimeoutError
from nuxt_queue.runner import ChildProcessRunner, sweep
from nuxt_queue.runner.reaper import reaper
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

WORKER = ROOT / "tests" / "samples" / "workers" / "takes_too_long.py"
PARENT = ROOT / "tests" / "process" / "parent_with_jobs.py"
TIMEOUT_MS = 500
GRACE_S = 2.0  # what a process gets that does not act on SIGTERM
WAYS = {"sleep": 0.0, "loop": 0.0, "regex": 0.0, "stopped": 0.0, "ignoring": GRACE_S}
ROUNDS = 5
KILLS = 20
SURVIVAL_S = 2.0


async def seconds_beyond_the_timeout(way: str) -> float:
    """Run a job that never ends; return how long after its timeout everything of it was gone."""
    service = ContextService(MemoryStateStore(), EventBus())
    runner = ChildProcessRunner(WORKER, timeout_ms=TIMEOUT_MS)
    started = time.perf_counter()
    with contextlib.suppress(WorkerTimeoutError):
        await runner.execute({"id": "1", "data": way}, service.for_job(Scope("1", "q")))
    return time.perf_counter() - started - TIMEOUT_MS / 1000


async def seconds_after_the_kill(*options: str) -> float:
    """Kill a parent with four jobs; return how long their twelve processes outlived it."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, str(PARENT), "1", *options, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    first = int(await parent.stdout.readline())
    marks = range(first, first + len(reaper().marks))
    os.kill(parent.pid, signal.SIGKILL)
    started = time.perf_counter()
    while sweep.marked(marks):  # noqa: ASYNC110 nobody tells us of them
        await asyncio.sleep(0.001)
    await parent.wait()
    return time.perf_counter() - started


async def main() -> None:
    """Print how long, and what it should be."""
    print("\nA job that does not end: gone after its timeout")
    rounds = [{way: await seconds_beyond_the_timeout(way) for way in WAYS} for _ in range(ROUNDS)]
    for way, grace_s in WAYS.items():
        times = [found[way] for found in rounds]
        verdict = "ok" if max(times) <= grace_s + 0.5 else "MISSED"
        print(
            f"  {way:<34} {statistics.median(times) * 1000:9.1f} ms   longest {max(times):.2f} s"
            f" (target <= {grace_s:g} + 0.5 s) {verdict}"
        )
    print(f"\nA parent that is killed: its twelve processes are gone, {KILLS} of {KILLS} times")
    for name, options in (
        ("fresh processes", ()),
        ("copies, and their fork server", ("--copies",)),
    ):
        times = [await seconds_after_the_kill(*options) for _ in range(KILLS)]
        verdict = "ok" if max(times) <= SURVIVAL_S else "MISSED"
        print(
            f"  {name:<34} {statistics.median(times) * 1000:9.1f} ms"
            f"   longest {max(times):.2f} s (target <= 2 s) {verdict}"
        )


if __name__ == "__main__":
    asyncio.run(main())
