"""A folder of workers, put together and served."""

from __future__ import annotations

import asyncio
import uuid
import venv
from pathlib import Path

import pytest

from nuxt_queue.app import open_app
from nuxt_queue.config import BackendName
from nuxt_queue.errors import ConfigError, WorkerNotFoundError
from tests.redis_server import shared_redis

WORKER = """
from nuxt_queue import run_worker
config = {config}
async def handler(job, ctx):
    {body}
if __name__ == "__main__":
    run_worker(handler)
"""


def worker(folder: Path, name: str, body: str = "return job['data']", **config: object) -> None:
    stated = {"queue": {"name": name}, "runtime": "python", "timeout": 20000, **config}
    (folder / f"{name}.py").write_text(WORKER.format(config=stated, body=body), "utf-8")


async def test_a_worker_that_asks_for_what_cannot_be_had_does_not_stop_the_others(
    tmp_path: Path,
) -> None:
    worker(tmp_path, "good")
    limited = {"name": "limited", "defaultJobOptions": {"repeat": {"cron": "* * * * *"}}}
    worker(tmp_path, "limited", queue=limited)
    (tmp_path / "broken.py").write_text("def handler(job, ctx:\n", "utf-8")
    async with open_app(tmp_path) as app:
        assert {problem.path.name for problem in app.workers.problems} == {
            "limited.py",
            "broken.py",
        }
        done = asyncio.Event()
        app.manager.on("good", "completed", lambda _event: done.set())
        job_id = await app.manager.enqueue("good", "good", {"n": 1})
        await asyncio.wait_for(done.wait(), 20)
        job = await app.manager.get_job("good", job_id)
        assert job is not None
        assert job.returnvalue == {"n": 1}


async def test_the_manager_goes_on_after_a_job_whose_file_does_not_import(tmp_path: Path) -> None:
    """One bad worker file must not take the jobs of the others along."""
    worker(tmp_path, "bad", body="return 1")
    text = (tmp_path / "bad.py").read_text("utf-8")
    (tmp_path / "bad.py").write_text(f"import not_installed_here\n{text}", "utf-8")
    worker(tmp_path, "good")
    async with open_app(tmp_path) as app:
        ended: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()
        for queue, event in (("bad", "failed"), ("good", "completed")):
            app.manager.on(queue, event, lambda e: ended.put_nowait((e.queue, e.failed_reason)))
        await app.manager.enqueue("bad", "bad", {})
        queue, reason = await asyncio.wait_for(ended.get(), 20)
        assert (queue, reason) == (
            "bad",
            "ModuleNotFoundError: No module named 'not_installed_here'",
        )
        await app.manager.enqueue("good", "good", {})
        assert (await asyncio.wait_for(ended.get(), 20))[0] == "good"


async def test_a_flow_that_could_never_end_is_refused_before_it_starts(tmp_path: Path) -> None:
    worker(
        tmp_path, "first", flow={"name": "pair", "role": "entry", "step": "first", "emits": ["x"]}
    )
    settings = '[tool.nuxt-queue.runtimes.ruby]\ncommand = "no-such-ruby"\n'
    (tmp_path / "pyproject.toml").write_text(settings, "utf-8")
    step = {"name": "pair", "role": "step", "step": "second", "subscribes": ["x"]}
    worker(tmp_path, "second", runtime="ruby", flow=step)
    async with open_app(tmp_path) as app:
        with pytest.raises(WorkerNotFoundError, match='"second" on queue "second"'):
            await app.run_flow("pair", {}, timeout_s=20)


async def test_runtimes_of_the_project_decide_what_is_served(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.nuxt-queue.runtimes.python]\nenabled = false\n", "utf-8"
    )
    worker(tmp_path, "good")
    async with open_app(tmp_path) as app:
        assert app.workers.entries == []
        assert [problem.path.name for problem in app.workers.problems] == ["good.py"]


async def run_one(folder: Path, name: str) -> object:
    async with open_app(folder) as app:
        ended: asyncio.Queue[object] = asyncio.Queue()
        for event in ("completed", "failed"):
            app.manager.on(
                name, event, lambda e: ended.put_nowait(e.failed_reason or e.returnvalue)
            )
        await app.manager.enqueue(name, name, {})
        return await asyncio.wait_for(ended.get(), 20)


async def test_workers_run_on_the_python_of_the_projects_virtual_environment(
    tmp_path: Path,
) -> None:
    venv.create(tmp_path / ".venv", with_pip=False)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.nuxt-queue.runtimes.python]\nvenv = ".venv"\nargs = ["-X", "dev"]\n', "utf-8"
    )
    worker(tmp_path, "where", body="import sys; return [sys.prefix, sys.flags.dev_mode]")
    assert await run_one(tmp_path, "where") == [str(tmp_path / ".venv"), True]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (
            'venv = "nowhere"',
            "there is no {root}/nowhere; make it with: python3 -m venv",
        ),
        ('command = "python9"', 'there is no "python9" on the path ('),
        ('command = "bin/python"', "{root}/bin/python does not exist; name another program"),
        (
            'process = "fork"\ncommand = "env --script"',
            'process is "fork", but its command runs one job and ends; use "spawn"',
        ),
    ],
)
async def test_a_runtime_that_cannot_be_had_is_a_problem_that_says_how_to_fix_it(
    setting: str, says: str, tmp_path: Path
) -> None:
    """Faults 90, host-contract row 17."""
    (tmp_path / "pyproject.toml").write_text(
        f"[tool.nuxt-queue.runtimes.python]\n{setting}\n", "utf-8"
    )
    worker(tmp_path, "good")
    async with open_app(tmp_path) as app:
        (problem,) = app.workers.problems
        assert says.format(root=tmp_path) in problem.reason


@pytest.mark.parametrize("backend", ["file", "redis"])
async def test_a_flow_that_two_apps_serve_can_be_looked_at_afterwards(
    backend: BackendName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any number of apps may share an engine; what ended is still there in the next."""
    monkeypatch.setenv("REDIS_URL", shared_redis().url)
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.nuxt-queue.redis]\nprefix = "t{uuid.uuid4().hex}"\n', "utf-8"
    )
    flow = {"name": "pair", "role": "entry", "step": "first", "emits": ["x"]}
    worker(
        tmp_path,
        "first",
        "await ctx.state.set('seen', 1); await ctx.emit('x', {'n': 1})",
        flow=flow,
    )
    step = {"name": "pair", "role": "step", "step": "second", "subscribes": ["x"]}
    worker(tmp_path, "second", "return [job['data'], await ctx.state.incr('seen')]", flow=step)
    data = tmp_path / "data"

    async with (
        open_app(tmp_path, backend=backend, data_dir=data) as one,
        open_app(tmp_path, backend=backend, data_dir=data) as other,
    ):
        started = await one.flows.start_flow("pair")
        run = await other.flows.wait(started["flowId"], 30)
    async with open_app(tmp_path, backend=backend, data_dir=data) as later:
        job = await later.manager.get_job("second", f"{run.id}__second")
        events = [event.type for event in await later.bus.read(run.id)]
        state = await later.state.all(run.id)
        stats = await later.flows.get_flow_stats("pair")

    assert run.status == "completed"
    assert job is not None
    assert job.returnvalue == [{"n": 1}, 2]
    assert state == {"seen": 2}
    assert events.count("step.completed") == 2
    assert events[-1] == "flow.completed"
    assert stats["stats"]["success"] == 1


async def test_an_unknown_backend_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='unknown backend "paper"; known: memory, file'):
        async with open_app(tmp_path, backend="paper"):  # type: ignore[arg-type]  # the point
            pass
