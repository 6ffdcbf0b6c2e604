"""What a job of Node pays: a fresh process, TypeScript, and a warm process."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from paired import ROOT, medians, process, report

from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

PACKAGES = ROOT / "tests" / "node" / "node_modules"
WORKER = "export default defineQueueWorker(async (job{type}, ctx) => 1)\n"


def job(runner: ChildProcessRunner, loop: asyncio.Runner) -> Callable[[], object]:
    """Return a call that runs one job of a worker to its end."""
    context = ContextService(MemoryStateStore(), EventBus()).for_job(Scope("1", "q"))
    return lambda: loop.run(runner.execute({"id": "1", "data": {}}, context))


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as loop:
        script, typescript = Path(folder) / "w.mjs", Path(folder) / "w.ts"
        script.write_text(WORKER.format(type=""))
        typescript.write_text(WORKER.format(type=": { data: unknown }"))
        (Path(folder) / "node_modules").symlink_to(PACKAGES)
        tsx = (PACKAGES / "tsx" / "dist" / "loader.mjs").as_uri()
        warm = ChildProcessRunner(script, "node")
        found = medians(
            {
                "node -e 0": process("node", "-e", "0"),
                "job, node-isolated": job(ChildProcessRunner(script, "node-isolated"), loop),
                "node --import tsx -e 0": process("node", "--import", tsx, "-e", "0"),
                "job, node-isolated, TypeScript": job(
                    ChildProcessRunner(typescript, "node-isolated"), loop
                ),
                "job, node (warm)": job(warm, loop),
            }
        )
        loop.run(warm.close())
    report(
        "Jobs of Node",
        found,
        {
            "job, node-isolated": ("node -e 0", 2.0),
            "job, node-isolated, TypeScript": ("node --import tsx -e 0", 1.5),
            "job, node (warm)": ("job, node-isolated", 0.1),
        },
    )


if __name__ == "__main__":
    main()
