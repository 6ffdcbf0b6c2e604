"""Wherever a value enters, its labels are refused with the place; a log line says it instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from nbtools import LocalRunContext, run_local
from nuxt_queue.errors import ValuePathError
from nuxt_queue.managers import MemoryWorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.state import MemoryStateStore

COUNTS = pd.Series(["cat", "dog", "dog"], name="kind").value_counts()
SAID = r"is a Series with a name and an index, which JSON would lose; use `\.reset_index\(\)`"

ENTRIES: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "result": (lambda _job, _ctx: {"counts": COUNTS}, r"result\.counts"),
    "state": (lambda _job, ctx: ctx.state.set("k", [COUNTS]), r"state\['k'\]\[0\]"),
    "payload": (lambda _job, ctx: ctx.flow.emit("done", {"c": COUNTS}), r"payload\.c"),
    "another flow": (lambda _job, ctx: ctx.flow.start_flow("f", COUNTS), r"payload"),
}


@pytest.mark.parametrize(("handler", "place"), ENTRIES.values(), ids=ENTRIES)
async def test_a_handler_cannot_lose_labels(handler: Any, place: str) -> None:
    with pytest.raises(ValuePathError, match=f"^{place} {SAID}"):
        await run_local(handler)


async def test_job_data_and_earlier_state_cannot_lose_labels() -> None:
    with pytest.raises(ValuePathError, match=rf"^job\.data\.c {SAID}"):
        await run_local(lambda _job, _ctx: None, {"c": COUNTS})
    with pytest.raises(ValuePathError, match=rf"^state\['k'\] {SAID}"):
        LocalRunContext(state={"k": COUNTS})


async def test_enqueued_data_cannot_lose_labels() -> None:
    async with MemoryWorkerManager(ContextService(MemoryStateStore(), EventBus())) as manager:
        with pytest.raises(ValuePathError, match=rf"^data\.c {SAID}"):
            await manager.enqueue("q", "job", {"c": COUNTS})


class Noted(dict[str, Any]):
    """A dict with an attribute."""


async def test_a_log_line_says_what_its_metadata_would_lose() -> None:
    noted = Noted(a=1)
    noted.unit = "m"  # type: ignore[attr-defined]

    def handler(_job: Any, ctx: Any) -> None:
        for metadata in ({"c": COUNTS}, COUNTS, noted):
            ctx.logger.info("counted", metadata)
        ctx.logger.info("counted", COUNTS.reset_index())

    *refused, kept = (await run_local(handler)).logs
    assert [line.message for line in refused] == ["counted"] * 3
    said = [line.metadata["metadataError"] for line in refused]
    assert said[0].startswith("metadata.c is a Series with a name and an index")
    assert said[1].startswith("metadata is a Series with a name and an index")
    assert said[2].startswith("metadata is a dict with attributes (unit)")
    assert kept.metadata == {"value": [{"kind": "dog", "count": 2}, {"kind": "cat", "count": 1}]}
