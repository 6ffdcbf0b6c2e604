"""An error in an exported worker is told in the words of its notebook (exporter R15)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbtools import export_notebook, write_worker
from nuxt_queue.errors import HandlerError
from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

CELLS = (
    "# a story",
    "#| nq: config\nconfig = {'queue': 'ratio'}",
    "#| nq: export\ndef ratio(a, b):\n    return a / b",
    "#| nq: handler\ndef handler(job, ctx):\n    b = job['data']['b']\n    return ratio(1, b)",
)


async def failure_of(tmp_path: Path, cells: tuple[str, ...], data: object) -> HandlerError:
    notebook = tmp_path / "ratio.ipynb"
    kinds = ("markdown", "code", "code", "code")
    made: list[dict[str, object]] = [
        {"cell_type": kind, "metadata": {}, "source": source}
        | ({"outputs": [], "execution_count": None} if kind == "code" else {})
        for kind, source in zip(kinds, cells, strict=True)
    ]
    notebook.write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": made}), "utf-8"
    )
    worker = tmp_path / "ratio.py"
    write_worker(export_notebook(notebook), worker)
    service = ContextService(MemoryStateStore(), EventBus())
    context = service.for_job(Scope(job_id="1", queue="ratio", step_name="ratio"))
    job = {"id": "1", "name": "ratio", "data": data, "attemptsMade": 0, "opts": {}}
    with pytest.raises(HandlerError) as failure:
        await ChildProcessRunner(worker, timeout_ms=30_000).execute(job, context)
    return failure.value


async def test_the_location_of_a_failure_is_the_notebooks_cell_and_line(tmp_path: Path) -> None:
    error = await failure_of(tmp_path, CELLS, {"b": 0})
    location = error.data["location"]
    assert (location["notebook"], location["cell"], location["cellLine"]) == ("ratio.ipynb", 3, 3)
    assert location["function"] == "ratio"


async def test_every_frame_of_the_traceback_names_its_cell(tmp_path: Path) -> None:
    error = await failure_of(tmp_path, CELLS, {"b": 0})
    frames = [line for line in error.traceback.splitlines() if line.startswith("  File")]
    assert [frame.rpartition("  ")[2] for frame in frames] == [
        "[ratio.ipynb, cell 4, line 4]",
        "[ratio.ipynb, cell 3, line 3]",
    ]


async def test_a_failing_import_names_its_cell(tmp_path: Path) -> None:
    cells = (
        *CELLS[:2],
        "#| nq: imports\nimport not_installed_here",
        CELLS[3].replace("ratio", "max"),
    )
    error = await failure_of(tmp_path, cells, {"b": 0})
    assert error.phase == "import"
    assert str(error) == "ModuleNotFoundError: No module named 'not_installed_here'"
    assert (error.data["location"]["cell"], error.data["location"]["cellLine"]) == (3, 2)
