"""The file manager in real processes that are killed: what was accepted is there, once."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from nuxt_queue.managers import FileWorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.sqlite import Database
from nuxt_queue.services.state import MemoryStateStore
from tests.managers.file.site import MOMENTS, open_site

WAIT_S = 30.0


def start(module: str, *args: object, **options: int) -> subprocess.Popen[bytes]:
    """Start one of the programs beside this file."""
    command = [sys.executable, "-m", f"tests.managers.file.{module}", *map(str, args)]
    # Unbuffered, so that `communicate` finds what `readline` has not returned.
    return subprocess.Popen(command, bufsize=0, stdout=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]  # options are plain


def stored(directory: Path) -> tuple[set[str], str]:
    """Return the ids in the file, and what SQLite says of its integrity."""
    with sqlite3.connect(directory / "queue.sqlite3") as db:
        ids = {row[0] for row in db.execute("SELECT id FROM jobs")}
        (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
    db.close()
    return ids, verdict


def enqueue_and_kill(directory: Path, round_: int, after: int) -> tuple[set[str], int]:
    """Let two processes enqueue, kill both when one has said so often; return what was accepted."""
    writers = [start("enqueuer", directory, f"r{round_}w{w}", 10**6) for w in range(2)]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    for _ in range(after):
        writers[0].stdout.readline()  # type: ignore[union-attr]  # see above
    for writer in writers:
        writer.kill()
    accepted = set()
    for w, writer in enumerate(writers):
        rest, _ = writer.communicate(timeout=WAIT_S)
        lines = rest.decode().splitlines()
        last = int(lines[-1].rpartition("-")[2]) if lines else (after if w == 0 else 0)
        accepted |= {f"r{round_}w{w}-{n}" for n in range(last + 1)}
    return accepted, len(writers)


def test_what_was_accepted_is_there_after_its_process_was_killed(tmp_path: Path) -> None:
    """Faults 70: accepted is stored, and beyond it at most what was on its way."""
    accepted: set[str] = set()
    on_its_way = 0
    for round_ in range(3):
        more, writers = enqueue_and_kill(tmp_path, round_, after=20 + 7 * round_)
        accepted |= more
        on_its_way += writers

    ids, verdict = stored(tmp_path)

    assert accepted <= ids
    assert len(ids - accepted) <= on_its_way
    assert verdict == "ok"


def test_the_disk_has_a_job_before_it_is_accepted(tmp_path: Path) -> None:
    """Faults 71: at least one fdatasync before each answer."""
    trace = tmp_path / "trace"
    calls = "trace=fdatasync,fsync,write"
    program = [sys.executable, "-m", "tests.managers.file.enqueuer", str(tmp_path), "w", "20"]
    subprocess.run(
        ["strace", "-f", "-qq", "-s", "20", "-e", calls, "-o", str(trace), *program],
        check=True,
        stdout=subprocess.PIPE,
        timeout=WAIT_S,
    )

    synced, answers = 0, []
    for line in trace.read_text("utf-8").splitlines():
        if "sync(" in line:
            synced += 1
        elif 'write(1, "w-' in line:
            answers.append(synced)
            synced = 0

    assert len(answers) == 20
    assert min(answers) >= 1


def run_claimers(directory: Path, jobs: int, claimers: int) -> list[str]:
    """Enqueue jobs and have processes run them; return each run's job id."""
    subprocess.run(
        [sys.executable, "-m", "tests.managers.file.enqueue_many", directory, str(jobs)],
        check=True,
        timeout=WAIT_S,
    )
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [start("claimer", directory, **pipes) for _ in range(claimers)]
    with sqlite3.connect(directory / "queue.sqlite3", timeout=WAIT_S) as db:
        left = jobs
        while left:
            (left,) = db.execute("SELECT count(*) FROM jobs WHERE state != 'completed'").fetchone()
    db.close()
    ran: list[str] = []
    for process in processes:
        said, complaints = process.communicate(timeout=WAIT_S)
        assert complaints == b""
        ran += said.decode().split()
    return ran


def test_two_managers_take_each_job_once(tmp_path: Path) -> None:
    """Faults 72: as many claims as jobs, all of them different, nothing is locked."""
    ran = run_claimers(tmp_path, jobs=1000, claimers=2)

    assert len(ran) == 1000
    assert len(set(ran)) == 1000


async def kill_and_rescue(directory: Path, moment: str) -> list[str]:
    """Have a process die at a moment of a flow, another go on; return the runs of handlers."""
    process = await asyncio.to_thread(start, "site", directory, moment)
    output, _ = await asyncio.to_thread(process.communicate, timeout=WAIT_S)
    assert process.returncode == -signal.SIGKILL
    run_id = output.decode().strip()
    async with open_site(directory) as site:
        await site.serve()
        run = await site.flows.wait(run_id, WAIT_S)
        async with asyncio.timeout(WAIT_S):
            await site.both_completed()
        second = await site.manager.get_job("q", f"{run_id}__second")
        runs = site.runs()
    assert run.status == "completed"
    assert second is not None
    assert second.returnvalue == {"go": {"n": 1}}
    return runs


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_flow_ends_though_its_manager_is_killed(tmp_path: Path, moment: str) -> None:
    """Faults 74: another manager goes on; a job whose end was recorded does not run again."""
    runs = await kill_and_rescue(tmp_path, moment)

    again = {"claimed": 1, "after commit": 1}.get(moment, 2)
    assert sorted(runs) == ["first"] * again + ["second"]


async def enqueue(directory: Path, *seconds: float) -> None:
    """Put jobs into queue `q` that take so many seconds each."""
    contexts = ContextService(MemoryStateStore(), EventBus())
    async with Database(directory) as database, FileWorkerManager(contexts, database) as manager:
        for n, each in enumerate(seconds):
            await manager.enqueue("q", "a", each, {"jobId": f"j{n}"})


async def look(directory: Path) -> list[tuple[str, int]]:
    """Return state and attempts of the jobs of queue `q`."""
    contexts = ContextService(MemoryStateStore(), EventBus())
    async with Database(directory) as database, FileWorkerManager(contexts, database) as manager:
        return [(job.state, job.attempts_made) for job in await manager.get_jobs("q")]


async def test_a_service_that_is_told_to_stop_puts_back_what_it_cannot_finish(
    tmp_path: Path,
) -> None:
    """Faults 53: what ends within the grace completes, nothing else has used an attempt."""
    await enqueue(tmp_path, 0.5, *[600.0] * 19, 0, 0)
    server = start("server", tmp_path, 1.5)
    assert server.stdout is not None
    for _ in range(20):
        server.stdout.readline()

    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=WAIT_S)

    assert server.returncode == 0
    assert await look(tmp_path) == [("completed", 1), *[("waiting", 0)] * 21]


async def test_a_second_signal_puts_back_everything_at_once(tmp_path: Path) -> None:
    """Faults 54."""
    await enqueue(tmp_path, *[600.0] * 5)
    server = start("server", tmp_path, 600)
    assert server.stdout is not None
    for _ in range(5):
        server.stdout.readline()

    server.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)  # two signals at once are one
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=WAIT_S)

    assert server.returncode == 1
    assert await look(tmp_path) == [("waiting", 0)] * 5
