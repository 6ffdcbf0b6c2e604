"""Faults 58: whatever loop and whichever thread the host runs it in, forked or not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import uvloop

from nuxt_queue.app import open_app
from nuxt_queue.config import BackendName

WAIT_S = 20.0
WORKER = """
import os
from nuxt_queue import run_worker
config = {"queue": {"name": "greet"}, "timeout": 20000}
def handler(job, ctx):
    ctx.state.set("last", job["data"])
    print("hello")
    if job["data"] == "die":
        os._exit(7)
    return job["data"]
if __name__ == "__main__":
    run_worker(handler)
"""
OUTCOMES = [
    ("completed", 1, None),
    ("failed", None, "worker process exited with code 7 without a result"),
    ("completed", "last", None),
]
FORKED = """
import asyncio, os, sys
from pathlib import Path
from tests.test_loops import outcomes
if os.fork() == 0:
    print(asyncio.run(outcomes(Path(sys.argv[1]), "file")), flush=True)
    os._exit(0)
os.wait()
"""


async def outcomes(folder: Path, backend: BackendName) -> list[tuple[Any, ...]]:
    """Run three jobs in processes of their own, of which one dies; return how each ended."""
    (folder / "greet.py").write_text(WORKER, "utf-8")
    async with open_app(folder, backend=backend, data_dir=folder / "data") as app:
        ids = [await app.enqueue("greet", "greet", data) for data in (1, "die", "last")]
        ended = []
        async with asyncio.timeout(WAIT_S):
            for job_id in ids:
                job = await app.manager.get_job("greet", job_id)
                while job is None or job.state not in ("completed", "failed"):
                    await asyncio.sleep(0.01)
                    job = await app.manager.get_job("greet", job_id)
                ended.append((job.state, job.returnvalue, job.failed_reason))
    return ended


@pytest.mark.parametrize("backend", ["memory", "file"])
def test_it_runs_on_uvloop(tmp_path: Path, backend: BackendName) -> None:
    assert uvloop.run(outcomes(tmp_path, backend)) == OUTCOMES


@pytest.mark.parametrize("backend", ["memory", "file"])
def test_it_runs_on_a_loop_of_another_thread(tmp_path: Path, backend: BackendName) -> None:
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.append(asyncio.run(outcomes(tmp_path, backend))), daemon=True
    )
    thread.start()
    thread.join(2 * WAIT_S)
    assert found == [OUTCOMES]


def test_it_runs_in_a_process_that_was_forked(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path)]
    said = subprocess.check_output(command, text=True, timeout=2 * WAIT_S)
    assert said.strip() == str(OUTCOMES)
