"""`nq` as a person has it: the real command, in processes of its own."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

WAIT_S = 20.0
ROOT = Path(__file__).parent.parent.parent

WORKER = """
import asyncio, pathlib
from nuxt_queue import run_worker

config = {config}

async def handler(job, ctx):
    data = job["data"]
    ctx.logger.info("{words}", {{"n": data.get("n")}})
    if data.get("fails"):
        raise RuntimeError(data["fails"])
    while data.get("until") and not pathlib.Path(data["until"]).exists():
        await asyncio.sleep(0.01)
    return "{words} " + str(data.get("n"))

if __name__ == "__main__":
    run_worker(handler)
"""


class Project:
    """A project with a folder of workers and a queue in a file.

    Attributes:
        root: Its folder.
        workers: The folder of its workers.
        env: What commands find in their environment.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.workers = root, root / "workers"
        self.workers.mkdir()
        (root / "pyproject.toml").write_text('[tool.nuxt-queue]\nworkers = "workers"\n')
        unset = ("REDIS_URL", "PYTHONUNBUFFERED")
        self.env = {name: value for name, value in os.environ.items() if name not in unset}

    def write(self, name: str, words: str = "hello", **config: Any) -> Path:
        """Write a worker; `words` is what it logs and begins its result with."""
        stated = {"queue": {"name": name}, "runtime": "python", "timeout": 20000, **config}
        path = self.workers / f"{name}.py"
        path.write_text(WORKER.format(config=stated, words=words), "utf-8")
        return path

    def nq(self, *argv: object, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "nuxt_queue.cli", *map(str, argv)],
            cwd=self.root,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )

    def out(self, *argv: object) -> str:
        """Run a command that has to succeed and return what it printed."""
        done = self.nq(*argv)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout.strip()

    @contextmanager
    def serving(self, *argv: object, **env: str) -> Iterator[Server]:
        """Serve the workers until the block ends."""
        process = subprocess.Popen(
            [sys.executable, "-m", "nuxt_queue.cli", "serve", *map(str, argv)],
            cwd=self.root,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        server = Server(process, process.stdout)
        try:
            yield server
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(WAIT_S)
            server.reader.join(WAIT_S)
            process.stdout.close()


class Server:
    """A running `nq serve`.

    Attributes:
        process: It.
        lines: What it has said so far.
    """

    def __init__(self, process: subprocess.Popen[str], stdout: IO[str]) -> None:
        self.process, self.lines = process, list[str]()
        self._said: queue.SimpleQueue[str | None] = queue.SimpleQueue()

        def read() -> None:
            for line in stdout:
                self._said.put(line.rstrip("\n"))
            self._said.put(None)

        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()

    def line(self, part: str) -> str:
        """Wait for a line that holds a text, and return it."""
        deadline = time.monotonic() + WAIT_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._said.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            self.lines.append(line)
            if part in line:
                return line
        raise AssertionError(f"no line with {part!r} in:\n" + "\n".join(self.lines))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def status(self) -> int:
        """Wait for its end."""
        return self.process.wait(WAIT_S)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project without workers."""
    return Project(tmp_path)


def json_lines(lines: list[str]) -> list[dict[str, Any]]:
    """Return lines of JSON as objects."""
    return [json.loads(line) for line in lines]
