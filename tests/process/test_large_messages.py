"""What is long is handed on as text: the parent never unfolds it, and its loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.managers import MemoryWorkerManager, WorkerManager, WorkerOptions
from nuxt_queue.managers.file import FileWorkerManager
from nuxt_queue.rpc import codec, peer, pieces
from nuxt_queue.rpc.codec import decode
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.event_stream import MemoryEventStream
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.sqlite import Database, SqliteEventStream, SqliteStateStore
from nuxt_queue.services.state import MemoryStateStore
from tests.process.conftest import QUICK, WAIT_S, Host

LONG = [{"id": i, "name": "x" * 20, "value": i / 7} for i in range(20_000)]  # about 1.3 MB


@pytest.fixture
def unfolded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes of the long texts that this process reads as a whole."""
    sizes: list[int] = []

    def noting(line: bytes, *levels: int) -> Any:
        if len(line) > pieces.LARGE:
            sizes.append(len(line))
        return decode(line, *levels)

    for module in (codec, peer, pieces):
        monkeypatch.setattr(module, "decode", noting)
    return sizes


@pytest.fixture(params=["memory", "file"])
async def manager(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[WorkerManager]:
    if request.param == "memory":
        bus = EventBus(MemoryEventStream())
        made: WorkerManager = MemoryWorkerManager(ContextService(MemoryStateStore(), bus))
        yield made
        await made.close_all(grace_s=0)
        return
    database = Database(tmp_path / "nq.db")
    bus = EventBus(SqliteEventStream(database))
    made = FileWorkerManager(ContextService(SqliteStateStore(database), bus), database)
    yield made
    await made.close_all(grace_s=0)
    await database.close()


async def test_data_and_result_pass_a_manager_without_being_unfolded(
    manager: WorkerManager, tmp_path: Path, unfolded: list[int]
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(
        "def handler(job, ctx):\n"
        "    ctx.state.set('all', job['data'])\n"
        "    return ctx.state.get('all')\n"
    )
    over = asyncio.Event()
    manager.on("q", "completed", lambda _: over.set())
    manager.on("q", "failed", lambda _: over.set())
    await manager.register_worker("q", "j", opts=WorkerOptions(path=worker))
    job_id = await manager.enqueue("q", "j", LONG)
    await asyncio.wait_for(over.wait(), WAIT_S)
    assert unfolded == []
    job = await manager.get_job("q", job_id)
    assert job is not None
    assert job.failed_reason is None
    assert job.returnvalue == job.data == LONG
    assert len(unfolded) == 2


async def test_the_lines_behind_a_long_one_are_taken_in_their_order(host: Host) -> None:
    worker = host.folder / "worker.py"
    worker.write_text(
        "def handler(job, ctx):\n"
        "    for n in range(3):\n"
        "        ctx.logger.info(f'before {n}')\n"
        "        ctx.logger.info('x' * 400_000)\n"
        "        ctx.logger.info(f'behind {n}')\n"
        "    return 'y' * 400_000\n"
    )
    assert await host.run(worker, timeouts=QUICK) == "y" * 400_000
    seen = [message[:8] for message in await host.logs()]
    assert seen == [part for n in range(3) for part in (f"before {n}", "x" * 8, f"behind {n}")]
