"""A server of the file that is killed again and again, and what people then do to its files."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

from nuxt_queue.errors import QueueStorageError
from nuxt_queue.managers import FileWorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.sqlite import Database
from nuxt_queue.services.state import MemoryStateStore

__all__ = ["KINDS", "Rounds"]

FILE, WAL, SHM = "queue.sqlite3", "queue.sqlite3-wal", "queue.sqlite3-shm"
KINDS = ("nothing", "move", "remove", "copy back", "damage")
WAIT_S = 60

# Accepts jobs and runs them; says each id when it is accepted.
SERVER = """
import asyncio, sys
from nuxt_queue.managers import FileWorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.sqlite import Database
from nuxt_queue.services.state import MemoryStateStore

async def run(job, context):
    return job["data"]

async def main(directory, begin):
    database = Database(directory)
    await database.write(lambda db: db.execute("PRAGMA wal_autocheckpoint = 20") and None)
    manager = FileWorkerManager(ContextService(MemoryStateStore(), EventBus()), database)
    await manager.register_worker("q", "a", run, {"concurrency": 4})
    n = 0
    while True:
        ids = [f"{begin}-{n + k}" for k in range(3)]
        n += 3
        await asyncio.gather(*(manager.enqueue("q", "a", i, {"jobId": i}) for i in ids))
        print(*ids, flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


class Rounds:
    """Rounds of a kill, a deed and a restart, each of which has to account for every job.

    Attributes:
        done: How often each deed was done.
        refused: How often what was left was refused by name.
        accepted: Jobs that were accepted in all.
        given_up: Those whose file somebody moved, removed, damaged or put an older copy over.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        self._home, self._chance = directory, random.Random(seed)
        self._data, self._copy = directory / "data", directory / "copy"
        self._kept: set[str] = set()  # what has to be in the file
        self._copied: set[str] = set()  # what has to be in the copy
        self.done: Counter[str] = Counter()
        self.refused = self.accepted = self.given_up = 0

    async def round(self, number: int, kind: str | None = None) -> None:
        """Serve, kill, do one thing and start again."""
        self._serve_and_kill(f"r{number}")
        kind = kind or self._chance.choice(KINDS)
        self.done[kind] += 1
        await self._do(kind)
        await self._account()
        if self._chance.random() < 0.5:
            await self._make_copy()

    def _serve_and_kill(self, begin: str) -> None:
        command = [sys.executable, "-c", SERVER, str(self._data), begin]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            said = [server.stdout.readline() for _ in range(self._chance.randrange(2, 25))]
            server.send_signal(signal.SIGKILL)
            said.append(server.stdout.read())
        ids = {word for line in said if line.endswith("\n") for word in line.split()}
        assert ids, "the server did not accept a job"
        self._kept |= ids
        self.accepted += len(ids)

    async def _do(self, kind: str) -> None:
        if kind == "move":
            names = self._some((FILE, WAL, SHM))
            aside = self._home / "moved"
            aside.mkdir()
            for name in names:
                (self._data / name).rename(aside / name)
            if FILE in names and self._is_left() and self._chance.random() < 0.5:
                await self._expect_refusal()  # and back again, when the message has been read
                for name in names:
                    (aside / name).rename(self._data / name)
                names = ()
            shutil.rmtree(aside)
            await self._begin_anew(names)
        elif kind == "remove":
            names = self._some((FILE, WAL, SHM))
            for name in names:
                (self._data / name).unlink()
            await self._begin_anew(names)
        elif kind == "copy back":
            await self._copy_back()
        elif kind == "damage":
            await self._damage()

    def _some(self, names: tuple[str, ...]) -> tuple[str, ...]:
        there = [name for name in names if (self._data / name).exists()]
        if self._chance.random() < 0.5:
            return (FILE,)
        return tuple(self._chance.sample(there, self._chance.randrange(1, len(there) + 1)))

    async def _begin_anew(self, names: tuple[str, ...]) -> None:
        """Account for files that are gone: what was in them is, and nothing else is touched."""
        if WAL in names or FILE in names:
            self._give_up(self._kept)
        if FILE in names and self._is_left():
            self._follow(await self._expect_refusal())
        elif WAL in names:  # the file may have been left in the middle of what the log had
            refusal = await self._refusal()
            if refusal is not None:
                self.refused += 1
                self._follow(refusal)

    def _is_left(self) -> bool:
        return any((self._data / name).exists() for name in (WAL, SHM))

    async def _copy_back(self) -> None:
        if not self._copy.exists():
            return
        names = [FILE] if self._chance.random() < 0.7 else [WAL]
        for name in names:
            if (self._copy / name).exists():
                shutil.copy(self._copy / name, self._data / name)
        refusal = await self._refusal()
        if refusal is None:
            await self._use_what_is_there()
            return
        self.refused += 1
        self._follow(refusal)
        for path in self._copy.glob(f"{FILE}*"):
            shutil.copy(path, self._data)
        self._give_up(self._kept - self._copied)
        self._kept = set(self._copied)

    async def _use_what_is_there(self) -> None:
        """The pair was taken: it is a whole state, that of the copy or that of before."""
        found = await self._stored()
        assert found >= self._kept or found >= self._copied, "a mixture was used"
        if not found >= self._kept:
            self._give_up(self._kept - found)
            self._kept &= found

    async def _damage(self) -> None:
        name = self._chance.choice((FILE, WAL))
        path = self._data / name
        raw = bytearray(path.read_bytes())
        if len(raw) < 8192:
            return
        at = self._chance.randrange(len(raw) - 512)
        raw[at : at + 512] = os.urandom(512)
        path.write_bytes(bytes(raw))
        refusal = await self._refusal()
        if refusal is not None:
            self.refused += 1
            self._follow(refusal)
            self._give_up(self._kept)
            return
        found = await self._stored()  # the log is read up to where it is whole
        self._give_up(self._kept - found)
        self._kept &= found

    async def _account(self) -> None:
        """Open what is there: it is whole, and every job is in it that has to be."""
        database = Database(self._data)
        contexts = ContextService(MemoryStateStore(), EventBus())
        async with database, FileWorkerManager(contexts, database) as manager:
            counts = await manager.get_job_counts("q")
            jobs = await manager.get_jobs("q")
        assert sum(counts.values()) == len(jobs)
        missing = self._kept - {job.id for job in jobs}
        assert not missing, f"{len(missing)} accepted jobs are missing"
        with closing(sqlite3.connect(self._data / FILE)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    async def _stored(self) -> set[str]:
        async with Database(self._data) as database:
            rows = await database.read(lambda db: db.execute("SELECT id FROM jobs").fetchall())
        return {job_id for (job_id,) in rows}

    async def _make_copy(self) -> None:
        """Copy the folder: at rest, or with what the last kill has left."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._data, self._copy)
        self._copied = set(self._kept)

    async def _refusal(self) -> str | None:
        try:
            async with Database(self._data) as database:
                await database.read(lambda db: db.execute("SELECT count(*) FROM jobs").fetchone())
                return None
        except QueueStorageError as error:
            return str(error)

    async def _expect_refusal(self) -> str:
        refusal = await self._refusal()
        assert refusal is not None, "a new file was made beside what was left"
        self.refused += 1
        return refusal

    def _follow(self, message: str) -> None:
        """Do what a message says."""
        found = re.search(r"mkdir .* && mv .*?/(?=;|$| \()", message)
        assert found is not None, message
        subprocess.run(["bash", "-c", found[0]], check=True, timeout=WAIT_S)
        for aside in self._data.glob("aside*"):
            shutil.rmtree(aside)

    def _give_up(self, jobs: set[str]) -> None:
        self.given_up += len(jobs)
        if jobs is self._kept:
            self._kept = set()


async def run(directory: Path, rounds: int, seed: int) -> Rounds:
    """Return what became of some rounds."""
    all_of_them = Rounds(directory, seed)
    for number in range(rounds):
        await all_of_them.round(number)
    return all_of_them


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
