"""What a scan accepts is what a registration accepts, and what it refuses it refuses as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nuxt_queue.app import open_app
from nuxt_queue.config.jobs import JobOptions
from nuxt_queue.errors import QueueError, WorkerLoadError
from nuxt_queue.managers import FileWorkerManager, MemoryWorkerManager, WorkerManager, WorkerOptions
from nuxt_queue.managers.bullmq import BullMQWorkerManager
from nuxt_queue.registry import read_worker
from nuxt_queue.worker_runner import worker_options

PYDANTIC = (
    "Input should",
    "input should",
    "Extra inputs",
    "Value error",
    "Field required",
    "union",
)

NUMBERS = st.sampled_from(
    [-1, 0, 1, 5, 2**21, 2**21 + 1, 3_000_000, 2**31 - 1, 2**31, 2**63, 10**30]
)
VALUES = st.one_of(
    NUMBERS, st.none(), st.booleans(), st.sampled_from(["", "x", "fixed", "* * * * *", 1.5, [], {}])
)
KEYS = ["type", "delay", "jitter", "age", "count", "max", "duration", "groupKey"]
TIMES = ["cron", "pattern", "every", "tz", "limit"]
PARTS = st.dictionaries(st.sampled_from([*KEYS, *TIMES]), VALUES, max_size=3)
NAMES = [field.alias or name for name, field in JobOptions.model_fields.items()]
OPTIONS = st.dictionaries(
    st.sampled_from([*NAMES, "retries", "deduplication", "attemps"]), VALUES | PARTS, max_size=4
)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(options=OPTIONS, limiter=st.none() | PARTS)
def test_a_scan_accepts_what_a_registration_accepts(
    tmp_path: Path, options: dict[str, Any], limiter: dict[str, Any] | None
) -> None:
    path = tmp_path / "w.py"
    queue = {"name": "q", "defaultJobOptions": options, "limiter": limiter}
    path.write_text(f"\nconfig = {{'queue': {queue!r}}}\ndef handler(job, ctx): ...\n", "utf-8")
    stated = {"defaultJobOptions": options, "limiter": limiter}
    refused = refusal_of(lambda: WorkerOptions.read(stated, refused={}))
    if not refused:
        worker_options(read_worker(path))
        return
    with pytest.raises(WorkerLoadError) as caught:
        read_worker(path)
    assert caught.value.line == 2
    assert caught.value.reason.startswith("config.queue.")
    said = f"{refused} {caught.value.reason}".lower()
    assert not [words for words in PYDANTIC if words in said]


def refusal_of(read: Callable[[], object]) -> str:
    try:
        read()
    except QueueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("manager", [MemoryWorkerManager, FileWorkerManager, BullMQWorkerManager])
def test_no_engine_refuses_what_another_takes(manager: type[WorkerManager]) -> None:
    """Else a scan, which does not know the engine, would accept what one of them refuses."""
    assert dict(manager.refused_job_options) == {}
    assert dict(manager.refused_worker_options) == {}


def test_a_folder_that_a_scan_accepts_is_served_as_a_whole(tmp_path: Path) -> None:
    queue = {
        "name": "q",
        "defaultJobOptions": {"attempts": 0, "backoff": 5, "removeOnFail": {"age": 5}},
        "limiter": {"max": 1, "duration": 5},
    }
    source = f"config = {{'queue': {queue!r}}}\ndef handler(job, ctx): ...\n"
    (tmp_path / "w.py").write_text(source, "utf-8")

    async def served() -> list[str]:
        async with open_app(tmp_path) as app:
            assert app.manager.get_worker("q", "w") is not None
            return [str(problem) for problem in app.workers.problems]

    assert asyncio.run(served()) == []
