"""The file manager at length: kills, claims, crowds, torn logs, a full disk, with the figures."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nuxt_queue.managers import FileWorkerManager
from nuxt_queue.managers.file import job_table
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.sqlite import Database
from nuxt_queue.services.state import MemoryStateStore
from tests.managers.file.site import MOMENTS
from tests.managers.file.test_processes import (
    enqueue_and_kill,
    kill_and_rescue,
    run_claimers,
    start,
    stored,
)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(4_000)]

FILE = "queue.sqlite3"


def test_a_hundred_rounds_of_kills_lose_nothing_that_was_accepted(tmp_path: Path) -> None:
    """Faults 70."""
    accepted: set[str] = set()
    chance = random.Random(1)  # the same moments each time
    for round_ in range(100):
        more, _ = enqueue_and_kill(tmp_path, round_, after=chance.randrange(5, 60))
        accepted |= more

    ids, verdict = stored(tmp_path)

    print(
        f"\n100 rounds, {len(accepted)} accepted, {len(accepted - ids)} lost, "
        f"{len(ids - accepted)} stored that were on their way; integrity {verdict}"
    )
    assert accepted <= ids
    assert len(ids - accepted) <= 200
    assert verdict == "ok"


def test_ten_thousand_jobs_are_taken_once_each_by_two_managers(tmp_path: Path) -> None:
    """Faults 72."""
    began = time.perf_counter()
    ran = run_claimers(tmp_path, jobs=10_000, claimers=2)

    print(
        f"\n10,000 jobs, {len(ran)} runs, {len(set(ran))} different,"
        f" {time.perf_counter() - began:.1f} s"
    )
    assert len(ran) == len(set(ran)) == 10_000


@pytest.mark.parametrize("moment", MOMENTS)
async def test_twenty_kills_at_a_moment_of_a_flow(tmp_path: Path, moment: str) -> None:
    """Faults 74."""
    slowest = 0.0
    for n in range(20):
        directory = tmp_path / str(n)
        directory.mkdir()
        began = time.perf_counter()
        runs = await kill_and_rescue(directory, moment)
        slowest = max(slowest, time.perf_counter() - began)
        assert runs.count("second") == 1
        assert runs.count("first") <= 2
    print(
        f"\n{moment}: 20 of 20 flows ended; the slowest {slowest:.1f} s after its start,"
        " both processes' starts included"
    )


def figures(command: list[object]) -> tuple[float, float]:
    """Run `enqueue_many` and return what it prints."""
    program = [sys.executable, "-m", "tests.managers.file.enqueue_many"]
    said = subprocess.check_output([*program, *map(str, command)], text=True, timeout=60)
    slowest, most = said.split()
    return float(slowest), float(most)


def test_crowds_are_accepted_whole(tmp_path: Path) -> None:
    """S3: 1,000 at once from one process, from eight, and 10,000 from one."""
    one = figures([tmp_path / "one", 1000])
    writers = [start("enqueue_many", tmp_path / "eight", 125, f"w{w}-") for w in range(8)]
    eight = [float(w.communicate(timeout=60)[0].split()[1]) for w in writers]
    many = figures([tmp_path / "many", 10_000])

    print(
        f"\n1,000 from one process: p99 {one[1]:.3f} s; from eight: p99 {max(eight):.3f} s;"
        f" 10,000 from one: {many[0]:.3f} s"
    )
    assert len(stored(tmp_path / "one")[0]) == 1000
    assert len(stored(tmp_path / "eight")[0]) == 1000
    assert len(stored(tmp_path / "many")[0]) == 10_000


def test_managers_that_are_killed_again_and_again_end_every_job(tmp_path: Path) -> None:
    """S2: 2,000 jobs, two managers, one of them killed every five seconds."""
    figures([tmp_path, 2000])
    log = (tmp_path / "runs.log").open("wb")

    def claimer() -> subprocess.Popen[bytes]:
        program = [sys.executable, "-m", "tests.managers.file.claimer", str(tmp_path), "10", "0.5"]
        return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=log)

    managers, kills, left = [claimer(), claimer()], 0, 2000
    next_kill = time.monotonic() + 5
    while left:
        time.sleep(0.2)
        if time.monotonic() > next_kill:
            managers[kills % 2].kill()
            managers[kills % 2].communicate(timeout=60)
            managers[kills % 2] = claimer()
            kills, next_kill = kills + 1, time.monotonic() + 5
        db = sqlite3.connect(tmp_path / FILE)
        (left,) = db.execute("SELECT count(*) FROM jobs WHERE state != 'completed'").fetchone()
        db.close()
    for manager in managers:
        manager.communicate(timeout=60)
    log.close()
    runs = (tmp_path / "runs.log").read_text("utf-8").split()

    print(f"\n2,000 jobs completed with {kills} kills, in {len(runs)} runs")
    assert len(set(runs)) == 2000
    assert len(runs) <= 2000 + kills * 10


def test_a_torn_log_is_read_up_to_where_it_is_whole(tmp_path: Path) -> None:
    """Faults 71: what a power failure leaves of the log is a clean beginning of it."""
    made = tmp_path / "made"
    writer = start("enqueuer", made, "j", 10**6)
    for _ in range(60):
        writer.stdout.readline()  # type: ignore[union-attr]  # it has a pipe
    writer.kill()
    writer.communicate(timeout=60)
    whole = (made / f"{FILE}-wal").read_bytes()
    chance, clean = random.Random(2), 0
    for n in range(400):
        torn = tmp_path / f"torn{n}"
        torn.mkdir()
        shutil.copy(made / FILE, torn / FILE)
        log = bytearray(whole[: chance.randrange(len(whole))] if n % 2 else whole)
        if n % 2 == 0:
            log[chance.randrange(32, len(log))] ^= 1 << chance.randrange(8)
        (torn / f"{FILE}-wal").write_bytes(bytes(log))
        Database(torn)._inbox.put(None)  # opens it, which checks it
        ids, verdict = stored(torn)
        clean += verdict == "ok" and ids == {f"j-{k}" for k in range(len(ids))}
        shutil.rmtree(torn, ignore_errors=True)

    print(f"\n{clean} of 400 torn logs were read up to where they are whole")
    assert clean == 400


async def test_a_backlog_does_not_slow_a_claim(tmp_path: Path) -> None:
    """Faults 79: 100,000 jobs wait."""
    contexts = ContextService(MemoryStateStore(), EventBus())
    async with Database(tmp_path) as database, FileWorkerManager(contexts, database) as manager:
        for _ in range(10):
            await asyncio.gather(*(manager.enqueue("q", "a", {"n": n}) for n in range(10_000)))
        times = []
        for _ in range(500):
            began = time.perf_counter()
            want = [job_table.Want("q", 1)]
            taken, _ = await database.write(lambda db, w=want: job_table.claim(db, w, "me", 0))  # type: ignore[misc]  # a default binds the loop's value
            times.append(time.perf_counter() - began)
            assert len(taken) == 1
        began = time.perf_counter()
        counts = await manager.get_job_counts("q")
        counted = time.perf_counter() - began
    times.sort()

    print(
        f"\na claim of 100,000: median {times[250] * 1000:.1f} ms, p99 {times[495] * 1000:.1f} ms;"
        f" counts {counted * 1000:.1f} ms; file {(tmp_path / FILE).stat().st_size / 1e6:.0f} MB"
    )
    assert counts["waiting"] == 99_500


async def test_a_file_of_a_gigabyte_opens_claims_and_counts(tmp_path: Path) -> None:
    """Faults 79: 100,000 jobs of 10 kB; claims through the manager's own transaction."""
    contexts = ContextService(MemoryStateStore(), EventBus())
    data = {"text": "x" * 10_000}
    try:
        fast = Database(tmp_path, durability="fast")
        async with fast, FileWorkerManager(contexts, fast) as manager:
            for _ in range(100):
                await asyncio.gather(*(manager.enqueue("q", "a", data) for _ in range(1_000)))
        size = (tmp_path / FILE).stat().st_size
        began = time.perf_counter()
        async with Database(tmp_path) as database, FileWorkerManager(contexts, database) as manager:
            opened = time.perf_counter() - began
            times = []
            for _ in range(500):
                began = time.perf_counter()
                want = [job_table.Want("q", 1)]
                taken, _ = await database.write(lambda db, w=want: job_table.claim(db, w, "me", 0))  # type: ignore[misc]  # a default binds the loop's value
                times.append(time.perf_counter() - began)
                assert taken[0].job.data == data
            began = time.perf_counter()
            counts = await manager.get_job_counts("q")
            counted = time.perf_counter() - began
    finally:
        (tmp_path / FILE).unlink(missing_ok=True)  # pytest keeps the folders of its last runs
    times.sort()

    print(
        f"\na file of {size / 1e6:.0f} MB: opened in {opened * 1000:.0f} ms; a claim: median"
        f" {times[250] * 1000:.1f} ms, p99 {times[495] * 1000:.1f} ms (target < 20 ms);"
        f" counts {counted * 1000:.1f} ms"
    )
    assert size > 1_000_000_000
    assert (counts["waiting"], counts["active"]) == (99_500, 500)


FULL = """
import asyncio, sys
from pathlib import Path
from nuxt_queue.errors import QueueStorageError
from nuxt_queue.managers import FileWorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.sqlite import Database
from nuxt_queue.services.state import MemoryStateStore
async def main():
    ballast = Path(sys.argv[1], "ballast")
    ballast.write_bytes(b"x" * 200_000)
    contexts = ContextService(MemoryStateStore(), EventBus())
    async with Database(Path(sys.argv[1], "d")) as database:
        async with FileWorkerManager(contexts, database) as manager:
            accepted = []
            try:
                while True:
                    accepted.append(await manager.enqueue("q", "a", "x" * 1000))
            except QueueStorageError as error:
                print(error)
            ballast.unlink()
            accepted.append(await manager.enqueue("q", "a", "later"))
            kept = {job.id for job in await manager.get_jobs("q")}
            print(len(accepted), len(set(accepted) - kept), len(kept - set(accepted)))
asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_is_really_full_loses_nothing(tmp_path: Path) -> None:
    """Faults 75: a tmpfs of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        said = subprocess.check_output([sys.executable, "-c", FULL, disk], text=True, timeout=60)
    finally:
        subprocess.run(["umount", disk], check=True)

    error, counts = said.strip().splitlines()
    accepted, lost, more = map(int, counts.split())
    print(f"\n{accepted} accepted, {lost} lost; {error}")
    assert (lost, more) == (0, 0)
    assert "disk is full" in error or "cannot be written" in error


def test_writers_and_checkpoints_beside_each_other_damage_nothing(tmp_path: Path) -> None:
    """Faults 73: three writers stay, a fourth comes and goes; for an hour where one is given."""
    seconds = float(os.environ.get("NQ_STRESS_S", "60"))
    ways = ["stays", "stays", "stays", "comes"]
    program = [sys.executable, "-m", "tests.soak.stress", str(tmp_path)]
    writers = [
        subprocess.Popen([*program, f"w{w}", str(seconds), way], stdout=subprocess.PIPE)
        for w, way in enumerate(ways)
    ]
    written = [int(w.communicate(timeout=seconds + 120)[0]) for w in writers]

    expected = {f"w{w}-{n}" for w, rows in enumerate(written) for n in range(rows)}
    db = sqlite3.connect(tmp_path / FILE)
    kept = {name for (name,) in db.execute("SELECT name FROM queues")}
    (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
    db.close()
    print(
        f"\n{len(expected):,} writes of four processes in {seconds:g} s"
        f" (by the one that comes and goes: {written[3]:,}), {len(expected - kept)} lost;"
        f" SQLite {sqlite3.sqlite_version}, integrity {verdict}"
    )
    assert (kept, verdict) == (expected, "ok")
