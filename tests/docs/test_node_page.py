"""Every worker of docs/node.md does what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nuxt_queue.config import ProjectConfig
from nuxt_queue.one_job import run_job
from nuxt_queue.registry import read_worker

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "node.md").read_text("utf-8")
WORKERS = re.findall(
    r"^```(ts|js)\n(.*?)^```\n\nGiven `(.*?)` it (returns|fails with) `(.*?)`\.$",
    PAGE,
    re.MULTILINE | re.DOTALL,
)


def test_no_worker_of_the_page_goes_unchecked() -> None:
    assert len(WORKERS) == PAGE.count("```ts") + PAGE.count("```js")


@pytest.mark.parametrize(("suffix", "source", "data", "ending", "outcome"), WORKERS)
async def test_a_worker_of_the_page_does_what_the_page_says(
    suffix: str, source: str, data: str, ending: str, outcome: str, tmp_path: Path
) -> None:
    (tmp_path / "node_modules").symlink_to(ROOT / "tests" / "node" / "node_modules")
    worker = tmp_path / f"worker.{suffix}"
    worker.write_text(source, "utf-8")
    report = await run_job(read_worker(worker), json.loads(data))
    if ending == "returns":
        assert report.error is None
        assert report.result == json.loads(outcome)
    else:
        assert str(report.error) == outcome


def test_the_settings_of_the_page_are_settings(tmp_path: Path) -> None:
    (settings,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "pyproject.toml").write_text(settings)
    runtime = ProjectConfig.find(tmp_path).runtime("node-isolated")
    assert runtime.command == "/opt/node-22/bin/node"
    assert runtime.memory_mb == 512


@pytest.mark.parametrize("member", re.findall(r"`ctx\.(\w+)`", PAGE))
def test_what_the_page_names_of_the_context_is_there(member: str) -> None:
    """The tables name no call that there is not: the context's source has each of them."""
    source = (ROOT / "nuxt_queue" / "runner" / "node" / "context.mjs").read_text("utf-8")
    names = (ROOT / "nuxt_queue" / "runner" / "node" / "methods.mjs").read_text("utf-8")
    assert re.search(rf"\b{member}\b", source + names)
