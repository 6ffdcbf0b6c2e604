"""Flows with joins and waits, served by `nq serve` processes that are killed again and again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from nuxt_queue.app import open_app
from nuxt_queue.errors import QueueStorageError
from nuxt_queue.services.flow_status import FlowStatus
from tests.redis_server import PrivateRedis

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

SERVERS, FLOWS, SETTLE_S = 3, 200, 120
WORKER = """
import os, time
from nuxt_queue import run_worker
config = {{
    "queue": {{"name": "q{name}", "defaultJobOptions": {{"attempts": 50}}}},
    "concurrency": 2,
    "flow": {{"name": ["braid"], "step": "{name}", **{flow}}},
}}
def handler(job, ctx):
    log = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, f"{{ctx.flow_id}} {name}\\n".encode())
    time.sleep(0.05)
    if "{name}" == "entry":
        ctx.flow.emit("go", {{"n": 1}})
    return "{name}"
if __name__ == "__main__":
    run_worker(handler)
"""
STEPS = {
    "entry": {"role": "entry", "emits": ["go"]},
    "a": {"role": "step", "subscribes": ["go"]},
    "b": {
        "role": "step",
        "subscribes": ["go"],
        "awaitBefore": {"type": "time", "delay": 300},
    },
    "both": {
        "role": "step",
        "subscribes": ["step:a", "step:b"],
        "awaitAfter": {"type": "time", "delay": 200},
    },
    "last": {"role": "step", "subscribes": ["step:both"]},
}


@pytest.fixture
def workers(tmp_path: Path) -> Path:
    """A folder of the workers of one flow, which write down each run of theirs."""
    folder = tmp_path / "workers"
    folder.mkdir()
    for name, flow in STEPS.items():
        text = WORKER.format(name=name, flow=flow, log=str(tmp_path / "runs.log"))
        (folder / f"{name}.py").write_text(text, "utf-8")
    (tmp_path / "pyproject.toml").write_text("[tool.nuxt-queue]\n", "utf-8")
    return folder


class Servers:
    """Some `nq serve` on one engine, of which now and then one is killed and started anew."""

    def __init__(self, workers: Path, backend: str) -> None:
        command = [sys.executable, "-m", "nuxt_queue.cli", "serve", str(workers), "--plain"]
        self._command = [*command, "--backend", backend, "--no-reload"]
        self._log = (workers.parent / "serve.log").open("ab")
        self._running = [self._start() for _ in range(SERVERS)]
        self.kills = 0

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdout=self._log, stderr=self._log)

    def kill_one(self) -> None:
        """End one as the kernel does when memory is short, and start another."""
        victim = random.randrange(SERVERS)
        self._running[victim].kill()
        self._running[victim].wait()
        self._running[victim] = self._start()
        self.kills += 1

    def stop(self) -> None:
        """End all."""
        for server in self._running:
            server.send_signal(signal.SIGTERM)
        for server in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(40)
            server.kill()
        self._log.close()


@pytest.fixture
def redis() -> Iterator[PrivateRedis]:
    """A server that keeps what it has acknowledged."""
    server = PrivateRedis(appendonly=True).start()
    yield server
    server.stop()


@pytest.mark.parametrize("backend", ["file", "redis"])
async def test_flows_end_though_their_servers_and_redis_are_killed(
    workers: Path, backend: str, redis: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults 62 and 74: every run that was started is completed, each step at least once."""
    if backend == "redis":
        monkeypatch.setenv("REDIS_URL", redis.url)
    else:
        monkeypatch.delenv("REDIS_URL", raising=False)
    servers = Servers(workers, backend)
    ids: list[str] = []
    redis_kills = 0
    try:
        async with open_app(workers, backend=backend, serve=False) as app:  # type: ignore[arg-type]  # both are names of backends

            async def start_flows() -> None:
                while len(ids) < FLOWS:
                    with contextlib.suppress(QueueStorageError):  # Redis is away: again
                        ids.append((await app.flows.start_flow("braid", {"n": len(ids)}))["flowId"])
                    await asyncio.sleep(0.15)

            starting = asyncio.create_task(start_flows())
            while not starting.done():
                await asyncio.sleep(3)
                await asyncio.to_thread(servers.kill_one)
                if backend == "redis" and servers.kills % 3 == 0:
                    await asyncio.to_thread(redis.kill)
                    await asyncio.sleep(1.5)
                    await asyncio.to_thread(redis.start)
                    redis_kills += 1
            await starting
            ended: Counter[FlowStatus] = Counter()
            for run_id in ids:
                ended[(await app.flows.wait(run_id, SETTLE_S)).status] += 1
            total = (await app.flows.get_flow_stats("braid"))["stats"]
    finally:
        await asyncio.to_thread(servers.stop)
    runs = Counter((workers.parent / "runs.log").read_text().splitlines())
    print(
        f"\n{backend}: {len(ids)} flows of {len(STEPS)} steps, {servers.kills} servers and"
        f" {redis_kills} times Redis killed: {dict(ended)}; {len(runs)} steps,"
        f" {runs.total()} runs"
    )
    assert ended == {"completed": FLOWS}
    assert set(runs) >= {f"{run_id} {step}" for run_id in ids for step in STEPS}
    assert total["running"] == total["failure"] == 0
