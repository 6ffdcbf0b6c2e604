"""Workers are registered again when their files change, also where a folder cannot be watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import watchfiles

from nuxt_queue.cli import serve


@pytest.mark.parametrize(
    "refusal",
    [
        RuntimeError("Error creating recommended watcher: Too many open files (os error 24)"),
        OSError(28, "OS file watch limit reached."),
    ],
)
async def test_a_folder_that_cannot_be_watched_is_read_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    refusals, looks, said, watched = [refusal] * 3, [0], list[str](), asyncio.Event()

    async def awatch(*_args: Any, **_options: Any) -> AsyncIterator[set[Any]]:
        if refusals:
            raise refusals.pop()
        watched.set()
        yield set()
        await asyncio.Event().wait()

    async def update() -> list[Any]:
        looks[0] += 1
        return []

    monkeypatch.setattr(watchfiles, "awatch", awatch)
    monkeypatch.setattr(serve, "_READ_S", 0)
    app: Any = SimpleNamespace(registrations=SimpleNamespace(directory=tmp_path, update=update))
    display: Any = SimpleNamespace(note=lambda message, is_bad: said.append(f"{is_bad} {message}"))

    watching = asyncio.create_task(serve._watch(app, display))
    async with asyncio.timeout(5):
        await watched.wait()
    watching.cancel()
    await asyncio.wait({watching})

    reason = getattr(refusal, "strerror", None) or str(refusal)
    assert said == [f"True {tmp_path} cannot be watched ({reason}); it is read every 0 s"]
    assert looks[0] >= 3
