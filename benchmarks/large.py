"""What one large message costs the jobs beside it: results and job data of 60 MB in five shapes.

A server of its own process serves two queues.  While it handles a large result, or large data, its
event loop is watched, a neighbour with a timeout of 1.5 s runs, and its memory is measured.

    python benchmarks/large.py [--engine memory|file|redis://...] [--megabytes 60]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nuxt_queue.app import open_app

TIMEOUT_S = 1.5
SHAPES = ("records", "floats", "string", "[[]] * n", "[{}] * n")
MAKE = """
def made(shape, size):
    if shape == "records":
        row = {"id": 1234567, "name": "a name", "value": 0.25, "tag": None}
        return [dict(row) for _ in range(size // 62)]
    if shape == "floats":
        return [i / 7 for i in range(size // 19)]
    if shape == "string":
        return "x" * size
    return [[] if shape == "[[]] * n" else {} for _ in range(size // 3)]
"""
GIVE = f"""import json
{MAKE}
config = {{"queue": {{"name": "give"}}, "worker": {{"timeout": 300000}}}}

def handler(job, ctx):
    return made(job["data"]["shape"], job["data"]["size"])
"""
TAKE = """config = {"queue": {"name": "take"}, "worker": {"timeout": 300000}}

def handler(job, ctx):
    return len(job["data"])
"""
SLOW = """import time
config = {"queue": {"name": "slow"}, "worker": {"timeout": 1500}}

def handler(job, ctx):
    time.sleep(60)
"""
# Another process enqueues what it holds: the server sees it when a worker takes it.
ENQUEUE = f"""import asyncio, sys
from nuxt_queue.app import open_app
{MAKE}
async def main():
    async with open_app(sys.argv[1], backend=sys.argv[2], data_dir=sys.argv[1], serve=False) as app:
        data = made(sys.argv[3], int(sys.argv[4]))
        print(await app.enqueue("take", "take", data), flush=True)
asyncio.run(main())
"""


def memory_mb(field: str) -> float:
    """Return the resident memory of this process, now (VmRSS) or at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


class Watch:
    """How long the loop stood at a time."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            self.longest_s = max(self.longest_s, time.monotonic() - before - 0.01)

    def stop(self) -> float:
        self._task.cancel()
        return self.longest_s


async def serve(folder: Path, backend: str, direction: str, shape: str, size: int) -> None:
    """Handle one large message, and print what it cost."""
    ended: dict[str, asyncio.Future[float]] = {}
    began: dict[str, asyncio.Future[float]] = {}
    loop = asyncio.get_running_loop()

    def hear(event: Any) -> None:
        if event.type == "process.started":
            began[event.step_name].set_result(loop.time())
        if event.type in ("step.completed", "step.failed") and event.step_name in ended:
            ended[event.step_name].set_result(loop.time() - began[event.step_name].result())
            if event.type == "step.failed" and event.step_name != "slow":
                print(event.data, file=sys.stderr)

    async with open_app(folder, backend=backend, data_dir=folder) as app:
        app.bus.subscribe(hear)
        name = "give" if direction == "result" else "take"
        for futures in (began, ended):
            futures.update({each: loop.create_future() for each in (name, "slow")})
        before = memory_mb("VmRSS")
        watch = Watch()
        if direction == "result":
            await app.enqueue("give", "give", {"shape": shape, "size": size})
        elif backend == "memory":
            space: dict[str, Any] = {}
            exec(MAKE, space)  # noqa: S102
            data = space["made"](shape, size)
            before = memory_mb("VmRSS")
            watch.stop()
            watch = Watch()
            await app.enqueue("take", "take", data)
            del data
        else:
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", ENQUEUE, str(folder), backend, shape, str(size)
            )
        await began[name]
        # The neighbour begins when the large message is on its way.
        await app.enqueue("slow", "slow", {})
        took = await ended[name]
        late = await ended["slow"]
        await asyncio.sleep(0.5)
        stood = watch.stop()
        peak = memory_mb("VmHWM")
        print(json.dumps({"took": took, "late": late, "stood": stood, "before": before,
                          "peak": peak}), flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default="file")
    parser.add_argument("--megabytes", type=int, default=60)
    parser.add_argument("--only", nargs="*", default=SHAPES)
    parser.add_argument("--serve", nargs=5)
    given = parser.parse_args()
    if given.serve:
        folder, backend, direction, shape, size = given.serve
        asyncio.run(serve(Path(folder), backend, direction, shape, int(size)))
        return
    size = given.megabytes * 1_000_000
    print(f"engine {given.engine}, {given.megabytes} MB")
    for direction in ("result", "data"):
        for shape in given.only:
            with tempfile.TemporaryDirectory() as folder:
                for name, text in (("give", GIVE), ("take", TAKE), ("slow", SLOW)):
                    Path(folder, f"{name}.py").write_text(text)
                env = {**os.environ, "REDIS_URL": given.engine}
                backend = "redis" if "://" in given.engine else given.engine
                argv = [sys.executable, __file__, "--serve", folder, backend, direction, shape]
                run = subprocess.run(
                    [*argv, str(size)], check=False, capture_output=True, text=True, env=env
                )
            if run.returncode or not run.stdout:
                print(f"{direction:<7} {shape:<10} failed: {run.stderr[-1500:]}")
                continue
            found = json.loads(run.stdout.splitlines()[-1])
            times = (found["peak"] - found["before"]) / given.megabytes / (1_000_000 / 2**20)
            print(
                f"{direction:<7} {shape:<10} loop stands at most {found['stood']:.2f} s, "
                f"timeout of {TIMEOUT_S} s acted on after {found['late']:.2f} s, "
                f"memory + {times:.1f} x (peak {found['peak']:.0f} MiB), "
                f"job took {found['took']:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
