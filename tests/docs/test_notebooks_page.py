"""The examples of the page about notebooks do what the page says (exporter R24)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbtools.edits.worker import cut_worker
from nbtools.exporter.dependencies import without_made_block

PAGE = (Path(__file__).parents[2] / "docs" / "notebooks.md").read_text()
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def _examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def _hook() -> Callable[..., None]:
    config: Any = SimpleNamespace(FileContentsManager=SimpleNamespace())
    exec(next(each for each in _examples("python") if "post_save_hook" in each), {"c": config})
    hook: Callable[..., None] = config.FileContentsManager.post_save_hook
    return hook


def test_the_hook_writes_a_worker_at_each_save_and_never_stops_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notebook = tmp_path / "01_prepare_data.ipynb"
    notebook.write_bytes((NOTEBOOKS / "01_prepare_data.ipynb").read_bytes())
    manager = SimpleNamespace(log=logging.getLogger("contents"))
    hook = _hook()
    for model in ({"type": "file"}, {"type": "notebook"}):
        assert not list(tmp_path.glob("*.py"))
        hook(model=model, os_path=str(notebook), contents_manager=manager)
    worker = (tmp_path / "prepare_data.py").read_text()
    assert cut_worker(worker, "prepare_data.py").notebook == "01_prepare_data.ipynb"
    notebook.write_text("{")
    with caplog.at_level(logging.INFO):
        hook(model={"type": "notebook"}, os_path=str(notebook), contents_manager=manager)
    assert "NQ003 is not JSON" in caplog.text


def test_the_block_on_the_page_is_one_that_an_export_makes() -> None:
    (block,) = (each for each in _examples("python") if "/// script" in each)
    assert without_made_block(f"{block}\n") == ""
