"""One Redis and 1, 2 and 4 serving processes: jobs a second, and how many ran twice."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from bullmq import Worker
from paired import clean_environment, medians_of, report

from nuxt_queue.managers.bullmq import BullMQWorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.redis import RedisServer
from nuxt_queue.services.state import MemoryStateStore

ROUNDS = 3
SELF = Path(__file__).resolve()
THEIRS = "BullMQ's Worker"
# A worker file that does nothing, in a process of its own for each job; and the same in the server.
FILE = """
from nuxt_queue import run_worker
config = {"queue": {"name": "q"}, "runtime": "python", "timeout": 60000}
def handler(job, ctx):
    return job["data"]
if __name__ == "__main__":
    run_worker(handler)
"""


@contextmanager
def redis() -> Iterator[str]:
    """Start a Redis that keeps what it has acknowledged each second; give its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        argv = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "redis-server",
            "--port",
            str(port),
            "--dir",
            folder,
            "--save",
            "",
        ]
        argv += ["--appendonly", "yes", "--logfile", f"{folder}/log"]
        process = subprocess.Popen(argv)
        try:
            while socket.socket().connect_ex(("127.0.0.1", port)):
                time.sleep(0.01)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()
            process.wait()


async def nothing(job: dict[str, Any], _context: object) -> Any:
    return job["data"]


def manager(url: str, prefix: str) -> BullMQWorkerManager:
    contexts = ContextService(MemoryStateStore(), EventBus())
    return BullMQWorkerManager(contexts, RedisServer(url), prefix=prefix)


async def serve(url: str, prefix: str) -> None:
    """Serve queue `q` with a handler in this process until SIGTERM; note every run."""
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    notes = RedisServer(url).client(repeats=True)

    async def noting(job: dict[str, Any], context: object) -> Any:
        await notes.incr(f"{prefix}.runs")
        return await nothing(job, context)

    async with manager(url, prefix) as serving:
        await serving.register_worker("q", "q", noting, {"concurrency": 10})
        print("serving", flush=True)
        await ending.wait()
    await notes.aclose()


@asynccontextmanager
async def servers(count: int, argv: list[str], folder: Path) -> AsyncIterator[list[Path]]:
    """Let so many processes serve; give the files of what they say."""
    said = [folder / f"said{n}.log" for n in range(count)]
    started = []
    for path in said:
        with path.open("wb") as log:
            started.append(
                await asyncio.create_subprocess_exec(
                    *argv, cwd=folder, stdout=log, stderr=log, env=clean_environment()
                )
            )
    try:
        while not all("serving" in path.read_text("utf-8") for path in said):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        yield said
    finally:
        for process in started:
            process.terminate()
        for process in started:
            await process.wait()


async def drain(url: str, processes: int, jobs: int, folder: Path | None) -> tuple[float, int]:
    """Enqueue jobs, let them be served, and return jobs a second and how many ran twice.

    In a folder, by `nq serve` with the workers that are there.
    """
    prefix = f"b{uuid.uuid4().hex}"
    argv = [sys.executable, str(SELF), "serve", url, prefix]
    if folder is not None:
        settings = f'[tool.nuxt-queue.redis]\nurl = "{url}"\nprefix = "{prefix}"\n'
        (folder / "pyproject.toml").write_text(settings, encoding="utf-8")
        argv = [sys.executable, "-m", "nuxt_queue.cli", "serve", "workers", "--plain"]
        argv += ["--backend", "redis", "--concurrency", "2"]
    asking = RedisServer(url).client(repeats=True)
    with tempfile.TemporaryDirectory() as place:
        async with manager(url, prefix) as producer:
            await producer.pause("q")
            for start in range(0, jobs, 100):
                some = range(start, min(start + 100, jobs))
                await asyncio.gather(*(producer.enqueue("q", "q", n) for n in some))
            async with servers(processes, argv, folder or Path(place)) as said:
                started = time.perf_counter()
                await producer.resume("q")
                while await asking.zcard(f"{prefix}:q:completed") < jobs:  # noqa: ASYNC110 no event
                    await asyncio.sleep(0.005)
                seconds = time.perf_counter() - started
            if folder is None:
                runs = int(await asking.get(f"{prefix}.runs"))
            else:  # the servers have ended, so all that they had to say is there
                runs = sum(path.read_text("utf-8").count(": started\n") for path in said)
    await asking.aclose()
    return jobs / seconds, runs - jobs


async def table(url: str, folder: Path) -> None:
    """Print jobs a second by the number of serving processes."""
    workers = folder / "workers"
    workers.mkdir()
    (workers / "q.py").write_text(FILE, encoding="utf-8")
    print(f"\njobs a second, medians of {ROUNDS}; {os.cpu_count()} cores for everything")
    for title, jobs, place in (("in the server", 1_000, None), ("nq serve", 200, folder)):
        rates: dict[int, list[float]] = {1: [], 2: [], 4: []}
        twice = 0
        for _ in range(ROUNDS):  # interleaved: the machine has other work, which comes and goes
            for processes, found in rates.items():
                rate, more = await drain(url, processes, jobs, place)
                found.append(rate)
                twice += more
        alone = statistics.median(rates[1])
        for processes, found in rates.items():
            rate = statistics.median(found)
            print(f"  {title:<15} {processes} serving {rate:7.1f}/s {rate / alone:5.2f} x one")
        print(f"  {title:<15} {twice} of {3 * ROUNDS * jobs:,} ran twice")


async def per_job(url: str, jobs: int = 500) -> dict[str, float]:
    """Return what one job costs, one at a time: under our manager and under BullMQ's worker."""
    seconds = {}
    for side in ("ours", THEIRS):
        prefix, done, begun = f"b{uuid.uuid4().hex}", asyncio.Event(), itertools.count(1)

        def work(data: Any, done: asyncio.Event = done, begun: Iterator[int] = begun) -> Any:
            if next(begun) == jobs:
                done.set()
            return data

        async def ours(job: dict[str, Any], _context: object, *, work: Any = work) -> Any:
            return work(job["data"])

        async def theirs(job: Any, _token: str, *, work: Any = work) -> Any:
            return work(job.data)

        async with manager(url, prefix) as producer:
            for n in range(jobs):
                await producer.enqueue("q", "q", n)
            started = time.perf_counter()
            if side == "ours":
                await producer.register_worker("q", "q", ours)
                await done.wait()
            else:
                worker = Worker("q", theirs, {"connection": url, "prefix": prefix})
                await done.wait()
            seconds[side] = (time.perf_counter() - started) / jobs
            if side == THEIRS:
                await asyncio.sleep(0.3)  # closed while a job ends, it does not return
                await worker.close()
    return seconds


async def main() -> None:
    with redis() as url, tempfile.TemporaryDirectory() as folder:
        found = medians_of([await per_job(url) for _ in range(ROUNDS)])
        report("one job, handler in the server, one at a time", found)
        print(f"  ours is {found['ours'] / found[THEIRS]:.2f} x {THEIRS}")
        await table(url, Path(folder))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(*sys.argv[2:4]))
    else:
        asyncio.run(main())
