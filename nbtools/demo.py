"""The whole way, shown: export notebooks, discover the workers, run their flow in processes."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from nbtools.exporter import export_notebook, write_worker
from nbtools.terminal import say
from nuxt_queue.app import open_app
from nuxt_queue.services.events import Event
from nuxt_queue.timeline import event_line, step_table

__all__ = ["main"]

_FLOW = "tumours"


def main(folder: str = "notebooks") -> int:
    """Run the demonstration on a folder of notebooks and return the exit status."""
    notebooks = sorted(Path(folder).glob("*.ipynb"))
    if not notebooks:
        say(f"demo: no notebooks in {folder}; run it from the project's folder", sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="nq-demo-") as workers:
        _title("Export the notebooks")
        for notebook in notebooks:
            exported = export_notebook(notebook)
            write_worker(exported, Path(workers) / f"{exported.stem}.py")
            lines = exported.text.count("\n")
            say(f"  {notebook}  ->  {exported.stem}.py  ({lines} lines)", sys.stdout)
        return asyncio.run(_run(workers))


async def _run(workers: str) -> int:
    async with open_app(workers) as app:
        _title("Discover the workers")
        for entry in app.workers.entries:
            flow = entry.flow.names[0] if entry.flow and entry.flow.names else "-"
            say(f"  {entry.path.lstrip('/')}  queue {entry.queue}, flow {flow}", sys.stdout)
        _title(f"Run the flow {_FLOW!r}: each step in a process of its own, started by an event")
        width = max(len(entry.job) for entry in app.workers.entries)
        app.bus.subscribe(lambda event: _say(event, width))
        run, events = await app.run_flow(_FLOW, {}, timeout_s=300)
        _title("What happened")
        say(_indented(step_table(events)), sys.stdout)
        result = _last_result(events)
        say(f"\n  flow {run.status}" + (f": {run.error}" if run.error else ""), sys.stdout)
        if isinstance(result, dict) and "accuracy" in result:
            say(
                f"  accuracy {result['accuracy']:.1%} on {result['rows']} rows never seen before",
                sys.stdout,
            )
        return 0 if run.status == "completed" else 1


def _say(event: Event, width: int) -> None:
    line = event_line(event, width)
    if line is not None:
        say(f"  {line}", sys.stdout)


def _last_result(events: Iterable[Event]) -> object:
    results = [event.data["result"] for event in events if event.type == "step.completed"]
    return results[-1] if results else None


def _title(text: str) -> None:
    say(f"\n{text}", sys.stdout)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
