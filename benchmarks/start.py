"""What a job pays before its handler runs: importing the SDK, one exchange, the end."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from paired import ROOT, clean_environment, clean_python, medians, process, report

BOOTSTRAP = str(ROOT / "nuxt_queue" / "sdk" / "bootstrap.py")
WORKER = """from nuxt_queue import run_worker
{kind} handler(job, ctx):
    return 1
if __name__ == "__main__":
    run_worker(handler)
"""
EXECUTE = json.dumps(
    {
        "jsonrpc": "2.0",
        "method": "execute",
        "params": {"job": {"id": "1", "data": {}}, "context": {"jobId": "1"}},
        "id": 1,
    }
).encode()


def job(python: str, worker: Path) -> Callable[[], object]:
    """Return a call that starts a worker, sends it one job, reads the answer and sees it end."""
    env = {**clean_environment(), "NUXT_QUEUE_CHILD_PROCESS": "1", "NQ_RPC_FRAMING": "lines"}

    def run() -> None:
        with subprocess.Popen(
            [python, "-P", BOOTSTRAP, str(worker)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdin
            assert child.stdout
            child.stdin.write(EXECUTE + b"\n")
            child.stdin.flush()
            assert b'"started"' in child.stdout.readline()
            assert b'"result":1' in child.stdout.readline()

    return run


def main() -> None:
    """Print the ratios."""
    python = clean_python()
    with tempfile.TemporaryDirectory() as folder:
        workers = {}
        for name, kind in (("sync", "def"), ("async", "async def")):
            workers[name] = Path(folder) / f"{name}_worker.py"
            workers[name].write_text(WORKER.format(kind=kind))
        noop = "import asyncio, json\nasync def noop(): pass\nasyncio.run(noop())"
        found = medians(
            {
                "bare python": process(python, "-c", "pass"),
                "import json": process(python, "-c", "import json"),
                "import nuxt_queue": process(
                    python, "-c", "import nuxt_queue", env={"PYTHONPATH": str(ROOT)}
                ),
                "job, sync handler": job(python, workers["sync"]),
                "asyncio.run(noop())": process(python, "-c", noop),
                "job, async handler": job(python, workers["async"]),
            }
        )
    report(
        "Starting a worker",
        found,
        {
            "import nuxt_queue": ("bare python", 1.9),
            "job, sync handler": ("bare python", 2.0),
            "job, async handler": ("asyncio.run(noop())", 1.2),
        },
    )


if __name__ == "__main__":
    main()
