"""The workers of a folder stay registered as their files are."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.app import App, open_app
from nuxt_queue.errors import RegistryError
from nuxt_queue.managers import WorkerOptions
from nuxt_queue.registry import WorkerEntry
from nuxt_queue.services.events import Event
from nuxt_queue.worker_runner import worker_options

WAIT_S = 20.0
WORKER = """
from nuxt_queue import run_worker
config = {config}
async def handler(job, ctx):
    {body}
if __name__ == "__main__":
    run_worker(handler)
"""


def write(folder: Path, name: str, body: str = "return 1", **config: Any) -> Path:
    stated = {"queue": {"name": name}, "runtime": "python", "timeout": 20000, **config}
    path = folder / f"{name}.py"
    path.write_text(WORKER.format(config=stated, body=body), "utf-8")
    return path


async def changes(app: App) -> list[tuple[str, str]]:
    return [(each.kind, each.path.name) for each in await app.registrations.update()]


async def test_only_what_has_changed_is_registered_again(tmp_path: Path) -> None:
    write(tmp_path, "one")
    write(tmp_path, "two")
    async with open_app(tmp_path) as app:
        before = app.manager.get_worker("one", "one")
        assert await changes(app) == []
        write(tmp_path, "two", concurrency=3)
        write(tmp_path, "three")
        assert await changes(app) == [("added", "three.py"), ("changed", "two.py")]
        assert app.manager.get_worker("one", "one") is before
        two = app.manager.get_worker("two", "two")
        assert two is not None
        assert two.concurrency == 3


async def test_a_broken_file_is_said_once_and_mended_it_is_registered_again(tmp_path: Path) -> None:
    path = write(tmp_path, "one")
    text = path.read_text("utf-8")
    async with open_app(tmp_path) as app:
        before = app.manager.get_worker("one", "one")
        path.write_text("x = (\n", "utf-8")
        (refused,) = await app.registrations.update()
        assert (refused.kind, refused.was_registered) == ("refused", True)
        assert await changes(app) == []
        assert app.manager.get_worker("one", "one") is before
        assert [entry.job for entry in app.workers.entries] == ["one"]
        path.write_text(text, "utf-8")
        assert await changes(app) == [("changed", "one.py")]  # somebody waits for that line
        limited = {"name": "one", "defaultJobOptions": {"repeat": {"cron": "* * * * *"}}}
        write(tmp_path, "one", queue=limited)
        assert await changes(app) == [("refused", "one.py")]
        assert await changes(app) == []
        write(tmp_path, "one")
        assert await changes(app) == [("changed", "one.py")]


async def test_a_folder_with_only_some_steps_of_a_flow_has_no_false_alarm(tmp_path: Path) -> None:
    flow = {"name": "f", "role": "step", "step": "late", "subscribes": ["made.elsewhere"]}
    path = write(tmp_path, "late", flow=flow)
    async with open_app(tmp_path) as app:
        assert app.workers.problems == []
        before = app.manager.get_worker("late", "late")
        for look in (path.touch, lambda: path.write_bytes(path.read_bytes()), lambda: _save(path)):
            look()
            (tmp_path / "unrelated.csv").write_text("1", "utf-8")
            assert await changes(app) == []
        assert app.manager.get_worker("late", "late") is before


def _save(path: Path) -> None:
    """Save as editors do: another file takes its place, with another time."""
    other = path.with_name(".late.swp")
    other.write_bytes(path.read_bytes())
    other.replace(path)


async def test_a_flaw_of_a_flow_is_said_once_and_its_worker_is_served(tmp_path: Path) -> None:
    write(tmp_path, "one", flow={"name": "f", "role": "entry", "step": "one"})
    async with open_app(tmp_path) as app:
        write(tmp_path, "two", flow={"name": "f", "role": "entry", "step": "two"})
        assert await changes(app) == [("added", "two.py"), ("noted", "two.py")]
        assert await changes(app) == []
        assert app.manager.get_worker("two", "two") is not None
        write(tmp_path, "two")
        assert await changes(app) == [("changed", "two.py")]


async def test_whatever_a_registration_raises_the_other_workers_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "one")
    write(tmp_path, "two")

    def options(entry: WorkerEntry, concurrency: int | None = None) -> WorkerOptions:
        if entry.job == "one":
            raise LookupError("a surprise")
        return worker_options(entry, concurrency)

    monkeypatch.setattr("nuxt_queue.app.worker_options", options)
    async with open_app(tmp_path) as app:
        assert [problem.reason for problem in app.workers.problems] == ["LookupError: a surprise"]
        assert app.manager.get_worker("two", "two") is not None


async def test_a_worker_that_is_renamed_or_removed_takes_no_more_jobs(tmp_path: Path) -> None:
    write(tmp_path, "one")
    path = write(tmp_path, "two")
    async with open_app(tmp_path) as app:
        path.rename(tmp_path / "zwei.py")  # the same queue, another name for its jobs
        assert await changes(app) == [("added", "zwei.py"), ("removed", "two.py")]
        assert app.manager.get_worker("two", "two") is None
        assert app.manager.get_worker("two", "zwei") is not None
        write(tmp_path, "one", queue={"name": "eins"})
        assert await changes(app) == [("changed", "one.py")]
        assert app.manager.get_worker("one", "one") is None
        waits = await app.manager.enqueue("one", "one", {})
        job = await app.manager.get_job("one", waits)
        assert job is not None
        assert job.state == "waiting"


async def test_a_file_that_moves_keeps_its_registration_all_the_time(tmp_path: Path) -> None:
    flow = {"name": "f", "role": "entry", "step": "s"}
    path = write(tmp_path, "one", flow=flow)
    async with open_app(tmp_path) as app:
        path.rename(tmp_path / "moved.py")
        assert await changes(app) == [("added", "moved.py"), ("removed", "one.py")]
        assert app.manager.get_worker("one", "s") is not None


async def test_the_flows_that_can_be_started_are_those_of_the_workers_as_they_are(
    tmp_path: Path,
) -> None:
    write(tmp_path, "one")
    async with open_app(tmp_path) as app:
        assert not await app.flows.has_flow_stats("f")
        write(tmp_path, "one", flow={"name": "f", "role": "entry", "step": "one"})
        await app.registrations.update()
        run, _events = await app.run_flow("f", {}, timeout_s=WAIT_S)
        assert run.status == "completed"


async def test_a_running_job_finishes_on_the_old_code_and_the_next_runs_the_new(
    tmp_path: Path,
) -> None:
    go = tmp_path / "go"
    wait = (
        f"import pathlib, time\n    while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)"
    )
    body = f"ctx.logger.info('it runs')\n    {wait}\n    return 'old'"
    write(tmp_path, "one", body=body)
    running, ended = asyncio.Event(), asyncio.Queue[Any]()

    def hear(event: Event) -> None:
        if event.type == "log":
            running.set()

    async with open_app(tmp_path, listener=hear) as app:
        app.manager.on("one", "completed", lambda event: ended.put_nowait(event.returnvalue))
        await app.manager.enqueue("one", "one", {})
        await asyncio.wait_for(running.wait(), WAIT_S)
        write(tmp_path, "one", body="return 'new'")
        assert await changes(app) == [("changed", "one.py")]
        await app.manager.enqueue("one", "one", {})
        go.touch()
        results = [await asyncio.wait_for(ended.get(), WAIT_S) for _ in range(2)]
        assert results == ["old", "new"]


async def test_a_process_that_is_kept_ready_does_not_run_old_code(tmp_path: Path) -> None:
    settings = '[tool.nuxt-queue.runtimes.python]\nprocess = "reuse"\n'
    (tmp_path / "pyproject.toml").write_text(settings, "utf-8")
    write(tmp_path, "one", body="import os; return ['old', os.getpid()]")
    ended: asyncio.Queue[list[Any]] = asyncio.Queue()
    async with open_app(tmp_path) as app:
        app.manager.on("one", "completed", lambda event: ended.put_nowait(event.returnvalue))
        pids = []
        for _ in range(2):
            await app.manager.enqueue("one", "one", {})
            pids.append(await asyncio.wait_for(ended.get(), WAIT_S))
        assert pids[0] == pids[1]
        write(tmp_path, "one", body="import os; return ['new', os.getpid()]")
        assert await changes(app) == [("changed", "one.py")]
        await app.manager.enqueue("one", "one", {})
        word, pid = await asyncio.wait_for(ended.get(), WAIT_S)
        assert word == "new"
        assert pid != pids[0][1]


async def test_a_folder_that_is_gone_leaves_everything_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "workers"
    folder.mkdir()
    write(folder, "one")
    async with open_app(folder) as app:
        shutil.rmtree(folder)
        with pytest.raises(RegistryError, match="does not exist"):
            await app.registrations.update()
        assert app.manager.get_worker("one", "one") is not None
        assert [entry.job for entry in app.workers.entries] == ["one"]
