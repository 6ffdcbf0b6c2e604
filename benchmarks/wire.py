"""What a worker's calls and results cost on their way through a real child process.

Both sides of a comparison are measured in the same job where that is possible, by the worker's own
clock: the start of the process is in neither.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from paired import medians_of, report

from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.event_stream import MemoryEventStream
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

CALLS = 2_000
LINES = 100_000
IN_FLIGHT = 32
MEBIBYTE = 1024 * 1024
PIECE = 256 * 1024  # what asyncio reads at once

# A log line is not answered: the call behind the last one is, when all of them are recorded.
SYNC = """from time import perf_counter as now

def logs(ctx, count):
    started = now()
    for i in range(count):
        ctx.logger.info("epoch", {"loss": 0.25, "step": i})
    ctx.state.get("key")
    return now() - started

def gets(ctx, count):
    started = now()
    for i in range(count):
        ctx.state.get("key")
    return now() - started

def handler(job, ctx):
    count, logs_first = job["data"]
    if logs_first:
        return {"log": logs(ctx, count), "get": gets(ctx, count)}
    return {"get": gets(ctx, count), "log": logs(ctx, count)}
"""
ASYNC = SYNC.replace("def ", "async def ").replace("ctx.state", "await ctx.state")
ASYNC = ASYNC.replace(" logs(", " await logs(").replace(" gets(", " await gets(")
ASYNC = ASYNC.replace("def await ", "def ")

LOOP = """def handler(job, ctx):
    for i in range(job["data"]):
        ctx.logger.info(f"line {i}")
    return "done"
"""
BIG = """def handler(job, ctx):
    return "x" * job["data"]
"""
# What any child pays that sends a JSON text through a pipe.
PIPE = """import json, os, sys
os.write(1, b".")
text = "x" * int(sys.stdin.readline())
line = memoryview(json.dumps(text).encode("ascii") + b"\\n")
while line:
    line = line[os.write(1, line):]
"""
FLIGHT = """import asyncio
from time import perf_counter as now

async def handler(job, ctx):
    count, width = job["data"]
    found = {}
    started = now()
    for _ in range(count):
        await ctx.state.get("key")
    found["one after the other"] = now() - started
    started = now()
    for _ in range(count // width):
        await asyncio.gather(*(ctx.state.get("key") for _ in range(width)))
    found["in flight"] = now() - started
    return found
"""


class Host:
    """Runs each worker as a job of its own, with state and events of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lines: list[str] = []

    async def run(self, source: str, data: Any) -> Any:
        """Run one job in a fresh process and return its result."""
        worker = self._folder / f"worker_{abs(hash(source))}.py"
        worker.write_text(source)
        service = ContextService(
            MemoryStateStore(), EventBus(MemoryEventStream(max_events=2 * LINES))
        )
        await service.state.set("run", "key", {"value": 1})
        scope = Scope("job", "queue", "run", "flow", "step", "run__step__attempt-1")
        job = {"id": "job", "name": "step", "data": data, "attemptsMade": 0, "opts": {}}
        handler = ChildProcessRunner(worker).create_handler()
        result = await handler(job, service.for_job(scope))
        events = await service.bus.read("run")
        self.lines = [event.data["message"] for event in events if event.type == "log"]
        return result


async def compare_lines(host: Host, rounds: int = 9) -> None:
    """A log line against an awaited call, in one job."""
    for kind, source in (("sync", SYNC), ("async", ASYNC)):
        found = []
        for number in range(rounds):
            times = await host.run(source, [CALLS, number % 2 == 0])
            assert len(host.lines) == CALLS
            found.append({f"{kind}: {name}": each / CALLS for name, each in times.items()})
        report(
            f"One of {CALLS:,} in a {kind} handler",
            medians_of(found),
            {f"{kind}: log": (f"{kind}: get", 0.25)},
        )


async def count_lines(host: Host, rounds: int = 3) -> None:
    """All lines of a loop are there, in order, when the result is."""
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        assert await host.run(LOOP, LINES) == "done"
        found.append({f"{LINES:,} log lines": time.perf_counter() - started})
        assert host.lines == [f"line {i}" for i in range(LINES)]
    medians = medians_of(found)
    report("Log lines from a loop, the whole job", medians)
    print(f"  {'':<34} {LINES / medians[f'{LINES:,} log lines']:9,.0f} lines/s")


async def measure_results(host: Host, rounds: int = 9) -> None:
    """Large results against the least that JSON costs."""
    found = [each async for each in _big_results(host, rounds)]
    medians = medians_of(found)
    title = "A 10 MiB string as a result (the job less one with an empty string)"
    report(title, medians, faster={"10 MiB result": ("json.dumps + loads", 0.8)})
    report(
        "The same against a plain child with the same pipe",
        {name: medians[name] for name in ("json.dumps, a pipe, loads", "10 MiB result")},
        faster={"10 MiB result": ("json.dumps, a pipe, loads", 0.8)},
    )
    size = 50_000_000
    large = []
    for _ in range(3):
        started = time.perf_counter()
        assert len(await host.run(BIG, size)) == size
        large.append({"50 MB result": time.perf_counter() - started})
    report("A 50 MB result, the whole job", medians_of(large), within={"50 MB result": 5})


async def _big_results(host: Host, rounds: int) -> AsyncIterator[dict[str, float]]:
    size = 10 * MEBIBYTE
    for _ in range(rounds):
        started = time.perf_counter()
        assert await host.run(BIG, 0) == ""
        empty = time.perf_counter() - started
        started = time.perf_counter()
        assert len(await host.run(BIG, size)) == size
        whole = time.perf_counter() - started
        text = "x" * size
        started = time.perf_counter()
        assert len(json.loads(json.dumps(text))) == size
        floor = time.perf_counter() - started
        yield {
            "json.dumps + loads": floor,
            "json.dumps, a pipe, loads": _through_a_pipe(size),
            "empty result": empty,
            "10 MiB result, the whole job": whole,
            "10 MiB result": whole - empty,
        }


def _through_a_pipe(size: int) -> float:
    with subprocess.Popen(
        [sys.executable, "-c", PIPE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin
        assert child.stdout
        wire = child.stdout.fileno()
        os.read(wire, 1)  # its start is not what is measured
        started = time.perf_counter()
        child.stdin.write(b"%d\n" % size)
        child.stdin.close()
        pieces = [os.read(wire, PIECE)]
        while not pieces[-1].endswith(b"\n"):  # nor is its end
            pieces.append(os.read(wire, PIECE))
        assert len(json.loads(b"".join(pieces))) == size
        return time.perf_counter() - started


async def compare_flights(host: Host, rounds: int = 9) -> None:
    """Calls in flight together against calls one after the other."""
    found = []
    for _ in range(rounds):
        times = await host.run(FLIGHT, [CALLS // IN_FLIGHT * IN_FLIGHT, IN_FLIGHT])
        found.append({name: each / CALLS for name, each in times.items()})
    report(
        f"A call, {IN_FLIGHT} in flight",
        medians_of(found),
        faster={"in flight": ("one after the other", 2.5)},
    )


async def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        host = Host(Path(folder))
        await compare_lines(host)
        await compare_flights(host)
        await count_lines(host)
        await measure_results(host)


if __name__ == "__main__":
    asyncio.run(main())
