"""No-op jobs through each manager, each in a process of its own, beside bare Pythons."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from paired import clean_environment
from scaling import redis

from nuxt_queue.managers import FileWorkerManager, MemoryWorkerManager, QueueEvent, WorkerManager
from nuxt_queue.managers.bullmq import BullMQWorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.redis import RedisServer
from nuxt_queue.services.sqlite import Database
from nuxt_queue.services.state import MemoryStateStore

ROUNDS, JOBS, ALONE, CONCURRENCY = 3, 60, 12, 4
BARE = "python -c pass"
KINDS = {"sync": "def", "async": "async def"}
LEAST = {"sync": 60.0, "async": 20.0}  # jobs a second, on two cores that do nothing else
MOST_MS = 120.0  # half of the jobs, from enqueue to the end, when each is alone
WORKER = """from nuxt_queue import run_worker
{kind} handler(job, ctx):
    pass
if __name__ == "__main__":
    run_worker(handler)
"""


@asynccontextmanager
async def managers(folder: Path) -> AsyncIterator[dict[str, WorkerManager]]:
    """Open one of each engine."""
    contexts = ContextService(MemoryStateStore(), EventBus())
    async with AsyncExitStack() as stack:
        server = RedisServer(stack.enter_context(redis()))
        database = await stack.enter_async_context(Database(folder))
        made: dict[str, WorkerManager] = {
            "memory": MemoryWorkerManager(contexts),
            "file": FileWorkerManager(contexts, database),
            "redis": BullMQWorkerManager(contexts, server),
        }
        for manager in made.values():
            await stack.enter_async_context(manager)
        yield made


async def run_jobs(manager: WorkerManager, queue: str, count: int) -> float:
    """Enqueue jobs at once, wait for the end of all; return the seconds."""
    ended: asyncio.Queue[QueueEvent] = asyncio.Queue()
    with contextlib.ExitStack() as stack:
        for event in ("completed", "failed"):
            stack.callback(manager.on(queue, event, ended.put_nowait))
        started = time.perf_counter()
        await asyncio.gather(*(manager.enqueue(queue, "noop") for _ in range(count)))
        for _ in range(count):
            event = await ended.get()
            assert event.type == "completed", event
        return time.perf_counter() - started


async def run_bare(count: int) -> float:
    """Run as many Pythons that do nothing, as many at once; return the seconds."""
    places = asyncio.Semaphore(CONCURRENCY)

    async def one() -> None:
        async with places:
            argv = (sys.executable, "-c", "pass")
            process = await asyncio.create_subprocess_exec(*argv, env=clean_environment())
            assert await process.wait() == 0

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count)))
    return time.perf_counter() - started


async def measure(folder: Path) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return, for each side, the seconds of its rounds and of its jobs that were alone."""
    crowds: dict[str, list[float]] = {}
    alone: dict[str, list[float]] = {}
    async with managers(folder / "file") as made:
        sides = [(engine, kind) for kind in KINDS for engine in made]
        for kind, keyword in KINDS.items():
            path = folder / f"{kind}_worker.py"
            path.write_text(WORKER.format(kind=keyword), "utf-8")
            options = {"runtime": "python", "path": path, "concurrency": CONCURRENCY}
            for manager in made.values():
                await manager.register_worker(kind, "noop", None, options)
                await run_jobs(manager, kind, CONCURRENCY)  # bytecode, connections, caches
        for _ in range(ROUNDS):
            crowds.setdefault(BARE, []).append(await run_bare(JOBS))
            for engine, kind in sides:
                side = f"{engine}, {kind} handler"
                crowds.setdefault(side, []).append(await run_jobs(made[engine], kind, JOBS))
            for _ in range(ALONE // ROUNDS):
                alone.setdefault(BARE, []).append(await run_bare(1))
                for engine, kind in sides:
                    side = f"{engine}, {kind} handler"
                    alone.setdefault(side, []).append(await run_jobs(made[engine], kind, 1))
    return crowds, alone


def report(crowds: dict[str, list[float]], alone: dict[str, list[float]]) -> None:
    """Print jobs a second and what one job takes, with the targets and the ratios."""
    print(f"\nNo-op jobs, a new process for each, {CONCURRENCY} at once; then one alone")
    bare_s, bare_alone_s = statistics.median(crowds[BARE]), statistics.median(alone[BARE])
    for side, seconds in crowds.items():
        took_s, alone_s = statistics.median(seconds), statistics.median(alone[side])
        line = f"  {side:<24} {JOBS / took_s:6.1f}/s  {alone_s * 1000:6.1f} ms"
        if side != BARE:
            least = LEAST[side.split()[1]]
            line += (
                f"   {took_s / bare_s:.2f} x and {alone_s / bare_alone_s:.2f} x {BARE}"
                f" (targets >= {least:g}/s {_verdict(JOBS / took_s >= least)},"
                f" <= {MOST_MS:g} ms {_verdict(alone_s * 1000 <= MOST_MS)})"
            )
        print(line)


def _verdict(reached: bool) -> str:  # noqa: FBT001 the question is its whole content
    return "ok" if reached else "MISSED"


def main() -> None:
    """Print what each engine reaches."""
    with tempfile.TemporaryDirectory() as folder:
        report(*asyncio.run(measure(Path(folder))))


if __name__ == "__main__":
    main()
