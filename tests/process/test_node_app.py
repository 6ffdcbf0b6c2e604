"""A folder of workers in Python and for Node, served together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from nuxt_queue.app import open_app
from nuxt_queue.managers import MemoryWorkerManager
from nuxt_queue.one_job import run_job
from nuxt_queue.registry import read_worker
from tests.process.conftest import WAIT_S, Host, is_alive

ENTRY = """
from nuxt_queue import define_config

config = define_config({"queue": "f", "flow": {"name": "f", "role": "entry", "emits": ["begun"]}})

def handler(job, ctx):
    ctx.flow.emit("begun", {"n": job["data"]["n"]})
"""
WARM = """
export const config = defineQueueConfig({
  queue: { name: 'f' },
  flow: { name: 'f', role: 'step', subscribes: ['begun'], emits: ['doubled'] },
})
export default defineQueueWorker(async (job, ctx) => {
  await ctx.state.set('pid', process.pid)
  ctx.flow.emit('doubled', { n: job.data.n * 2 })
})
"""
ISOLATED = """
interface Data { n: number }
export const config = defineQueueConfig({
  runtime: 'node-isolated',
  queue: { name: 'f' },
  flow: { name: 'f', role: 'step', subscribes: ['doubled'] },
})
export default defineQueueWorker(async (job: { data: Data }, ctx) => {
  ctx.logger.info('last', { step: ctx.stepName })
  return { n: job.data.n, pid: await ctx.state.get('pid') }
})
"""


async def test_a_flow_goes_through_both_languages(host: Host, node_project: Path) -> None:
    """D11; `host` looks after what is left when all of it has ended."""
    folder = node_project / "queues"
    folder.mkdir()
    (folder / "start.py").write_text(ENTRY)
    (folder / "double.mjs").write_text(WARM)
    (folder / "finish.ts").write_text(ISOLATED)
    results = []
    async with asyncio.timeout(WAIT_S), open_app(folder) as app:
        assert app.workers.problems == []
        for n in (1, 2):
            run, events = await app.run_flow("f", {"n": n}, timeout_s=WAIT_S)
            assert run.status == "completed"
            completed = [e for e in events if e.type == "step.completed"]
            assert [e.step_name for e in completed] == ["start", "double", "finish"]
            results.append(completed[-1].data["result"])
        assert [each["n"] for each in results] == [2, 4]
        warm = results[0]["pid"]
        assert results[1]["pid"] == warm
        assert is_alive(warm)
    assert not is_alive(warm)
    assert host.folder == node_project


async def test_a_manager_runs_files_of_node_and_ends_their_processes(host: Host) -> None:
    """host-contract 6: registered by path, the runtime that of the file or one that is named."""
    worker = host.folder / "w.mjs"
    worker.write_text("export default (job) => [process.pid, job.data]\n")
    done: asyncio.Queue[Any] = asyncio.Queue()
    pids = set()
    async with asyncio.timeout(WAIT_S), MemoryWorkerManager(host.service) as manager:
        for runtime in (None, "node-isolated"):
            options = {"path": worker, "runtime": runtime}
            info = await manager.register_worker("q", f"{runtime}", None, options)
            assert info.runtime == (runtime or "node")
        manager.on("q", "completed", done.put_nowait)
        for name in ("None", "None", "node-isolated"):
            await manager.enqueue("q", name, 7)
            await done.get()
        for job in await manager.get_jobs("q", ["completed"]):
            pid, data = job.returnvalue
            assert data == 7
            pids.add(pid)
        assert len(pids) == 2
        assert len(list(filter(is_alive, pids))) == 1
    assert not any(map(is_alive, pids))


async def test_one_job_leaves_no_warm_process(host: Host) -> None:
    """`nq run` of a worker whose processes would wait for more."""
    worker = host.folder / "w.mjs"
    worker.write_text("export default (job) => [job.data, process.pid]\n")
    report = await run_job(read_worker(worker), {"a": 1})
    assert report.status == "completed"
    data, pid = report.result
    assert data == {"a": 1}
    assert not is_alive(pid)
