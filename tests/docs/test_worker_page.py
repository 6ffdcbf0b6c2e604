"""Every worker of docs/worker.md does what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nuxt_queue.errors import HandlerError
from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

PAGE = (Path(__file__).parents[2] / "docs" / "worker.md").read_text("utf-8")
WORKERS = re.findall(
    r"^```python\n(.*?)^```\n\nGiven `(.*?)` it (returns|fails with) `(.*?)`\.$",
    PAGE,
    re.MULTILINE | re.DOTALL,
)


def test_no_worker_of_the_page_goes_unchecked() -> None:
    assert len(WORKERS) == PAGE.count("```python")


@pytest.mark.parametrize(("source", "data", "ending", "outcome"), WORKERS)
async def test_a_worker_of_the_page_does_what_the_page_says(
    source: str, data: str, ending: str, outcome: str, tmp_path: Path
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(source, "utf-8")
    service = ContextService(MemoryStateStore(), EventBus())
    context = service.for_job(Scope(job_id="1", queue="q", flow_id="run", step_name="step"))
    job = {"id": "1", "name": "step", "data": json.loads(data), "attemptsMade": 0, "opts": {}}
    async with ChildProcessRunner(worker, timeout_ms=30_000) as runner:
        if ending == "returns":
            assert await runner.execute(job, context) == json.loads(outcome)
            return
        with pytest.raises(HandlerError) as failure:
            await runner.execute(job, context)
        assert str(failure.value) == outcome
