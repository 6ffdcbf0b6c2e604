"""One process that serves a flow of two steps from a file, and may be killed at a named moment.

`python -m tests.managers.file.site DIRECTORY MOMENT`: starts the flow, serves it, and kills itself
with SIGKILL when the moment comes.  Everything that is patched is patched here, in the test.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

from nuxt_queue.managers import FileWorkerManager
from nuxt_queue.managers.file import job_table
from nuxt_queue.rpc import methods
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.flow_runs import RunRecord
from nuxt_queue.services.flows import FlowDefinition, FlowEngine, Step
from nuxt_queue.services.sqlite import (
    Database,
    SqliteEventStream,
    SqliteFlowStore,
    SqliteStateStore,
)

FLOW = FlowDefinition(
    "pair", Step("first", "q", "first"), {"second": Step("second", "q", "second", ("go",))}
)
CHILD = """
import os, signal
from nuxt_queue import run_worker
async def handler(job, ctx):
    with open({log!r}, "a") as log:
        log.write("first\\n")
    os.kill({pid}, signal.SIGKILL)
    await ctx.emit("go", {{"n": 1}})
if __name__ == "__main__":
    run_worker(handler)
"""


class Site:
    """A manager, an engine and two handlers that write down each run of theirs."""

    def __init__(self, directory: Path, database: Database) -> None:
        self.log = directory / "runs.log"
        self.bus = EventBus(SqliteEventStream(database))
        self.contexts = ContextService(SqliteStateStore(database), self.bus)
        self.manager = FileWorkerManager(self.contexts, database)
        self.flows = FlowEngine(
            {"pair": FLOW}, self.bus, self.manager.enqueue, store=SqliteFlowStore(database)
        )
        self.contexts.flows = self.contexts.steps = self.flows

    async def serve(self, opts: dict[str, Any] | None = None) -> None:
        """Register both handlers."""
        await self.manager.register_worker("q", "first", self._first, opts)
        subscribes = {"subscribes": ["go"], **(opts or {})}
        await self.manager.register_worker("q", "second", self._second, subscribes)

    async def _first(self, _job: dict[str, Any], context: JobContext) -> str:
        self._note("first")
        await context.call(methods.FLOW_EMIT, {"trigger": "go", "payload": {"n": 1}})
        return "one"

    async def _second(self, job: dict[str, Any], _context: JobContext) -> Any:
        self._note("second")
        return job["inputs"]

    def _note(self, step: str) -> None:
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"{step}\n")

    async def both_completed(self) -> None:
        """Wait until both jobs are recorded as completed."""
        changed = asyncio.Event()
        self.manager.on("q", "completed", lambda _event: changed.set())
        while (await self.manager.get_job_counts("q"))["completed"] < 2:
            changed.clear()
            await changed.wait()

    def runs(self) -> list[str]:
        """Return the steps whose handlers ran, once for each run."""
        return self.log.read_text("utf-8").split() if self.log.exists() else []


@asynccontextmanager
async def open_site(directory: Path) -> AsyncIterator[Site]:
    """Open the file and everything on it until the block ends."""
    async with Database(directory / "data") as database:
        site = Site(directory, database)
        looking_after = asyncio.create_task(site.flows.serve())
        try:
            async with site.manager:
                yield site
        finally:
            looking_after.cancel()
            await asyncio.wait({looking_after})


def die(*_args: Any, **_more: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


def die_after(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **more: Any) -> NoReturn:
        function(*args, **more)
        die()

    return call


async def _die_with_a_decision(engine: FlowEngine, run: RunRecord, deliveries: list[Any]) -> None:
    if any(each.step == "second" for each in deliveries):
        die()
    await FlowEngine_deliver(engine, run, deliveries)


FlowEngine_deliver = FlowEngine._deliver
RunRecord_delivered = RunRecord.delivered


def _die_when_delivered(run: RunRecord, steps: list[str]) -> None:
    if "second" in steps:
        die()
    RunRecord_delivered(run, steps)


def _die_when_told(manager: FileWorkerManager, event: Any) -> None:
    if event.type == "completed":
        die()
    FileWorkerManager_tell(manager, event)


FileWorkerManager_tell = FileWorkerManager._tell

# moment -> (object, attribute, what takes its place)
MOMENTS: dict[str, tuple[Any, str, Any]] = {
    "claimed": (FileWorkerManager, "_begin", die),
    "running": (None, "", None),  # its child kills it
    "result received": (FileWorkerManager, "_record", die),
    "before commit": (job_table, "save_job", die_after(job_table.save_job)),
    "after commit": (FileWorkerManager, "_tell", _die_when_told),
    "next step decided": (FlowEngine, "_deliver", _die_with_a_decision),
    "next step enqueued": (RunRecord, "delivered", _die_when_delivered),
}


async def main(directory: Path, moment: str) -> None:
    """Start the flow and die on the way."""
    owner, attribute, instead = MOMENTS[moment]
    if owner is not None:
        setattr(owner, attribute, instead)
    async with open_site(directory) as site:
        started = await site.flows.start_flow("pair")
        os.write(1, f"{started['flowId']}\n".encode())
        await site.serve()
        if moment == "running":
            worker = directory / "first.py"
            worker.write_text(CHILD.format(log=str(site.log), pid=os.getpid()), "utf-8")
            await site.manager.register_worker("q", "first", None, {"path": str(worker)})
        await asyncio.sleep(30)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
