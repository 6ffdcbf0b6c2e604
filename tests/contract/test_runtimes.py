"""Workers of every runtime, in real processes, behind every manager."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.config import ProjectConfig
from nuxt_queue.managers import WorkerOptions
from nuxt_queue.managers.workers import child_processes
from nuxt_queue.registry import read_worker
from nuxt_queue.services.context import JobHandler
from nuxt_queue.worker_runner import child_runner
from tests.contract.conftest import BENCHES, Bench

PERL = Path(__file__).parents[2] / "examples" / "perl" / "worker.pl"
PYTHON = """
def handler(job, ctx):
    if job["data"] == "bad":
        raise ValueError("no good")
    return {"was": job["data"]}
"""
NODE = """
export default defineQueueWorker((job) => {
  if (job.data === "bad") throw new TypeError("no good")
  return { was: job.data }
})
"""
REASONS = {
    "python": "ValueError: no good",
    "node": "TypeError: no good",
    "node-isolated": "TypeError: no good",
    "inprocess": "ValueError: no good",
    "perl": "Error: no good",
}


def of_the_project(options: WorkerOptions) -> JobHandler:
    """Make handlers as an app does whose settings are those of the example in Perl."""
    if options.path != PERL:
        return child_processes(options)
    settings = ProjectConfig.find(PERL)
    entry = read_worker(PERL, settings=settings)
    return child_runner(settings, entry, options.timeout_ms).create_handler()


def in_process(job: dict[str, Any], _context: Any) -> dict[str, Any]:
    if job["data"] == "bad":
        raise ValueError("no good")
    return {"was": job["data"]}


@pytest.fixture(params=BENCHES, ids=lambda bench: bench.__name__.removesuffix("Bench").lower())
async def real(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A manager that starts processes."""
    made: Bench = request.param(of_the_project)
    await made.open()
    yield made
    await made.close()


async def test_a_worker_of_every_runtime_completes_a_job_and_fails_one_with_its_reason(
    real: Bench, tmp_path: Path
) -> None:
    """What holds the jobs means nothing to what runs them."""
    python, node = tmp_path / "works.py", tmp_path / "works.mjs"
    python.write_text(PYTHON, "utf-8")
    node.write_text(NODE, "utf-8")
    files = {"python": python, "node": node, "node-isolated": node, "perl": PERL}
    for runtime, path in files.items():
        await real.manager.register_worker(runtime, "a", None, {"runtime": runtime, "path": path})
    await real.manager.register_worker("inprocess", "a", in_process, {"runtime": "inprocess"})

    async def both(runtime: str) -> tuple[Any, str | None]:
        good: Any = {"n": 1, "text": "\u00e9"}
        bad: Any = "bad"
        if runtime == "perl":  # its example does what `nq conformance` asks for
            good = {"nq": "conformance", "do": "echo", "value": {"was": good}}
            bad = {"nq": "conformance", "do": "fail", "message": "no good"}
        done = await real.run(runtime, "a", good)
        failed = await real.run(runtime, "a", bad)
        assert (done.state, failed.state) == ("completed", "failed"), (runtime, done, failed)
        return done.returnvalue, failed.failed_reason

    answers = await asyncio.gather(*map(both, REASONS))

    results, reasons = zip(*answers, strict=True)
    assert list(results) == [{"was": {"n": 1, "text": "\u00e9"}}] * len(REASONS)
    assert dict(zip(REASONS, reasons, strict=True)) == REASONS
