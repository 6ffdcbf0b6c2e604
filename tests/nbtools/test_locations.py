"""An error in an exported worker is told in the words of its notebook (exporter R15)."""

from __future__ import annotations

import json
import linecache
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nbtools import cli, export_notebook, run_local, write_worker
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
    async with ChildProcessRunner(worker, timeout_ms=30_000) as runner:
        with pytest.raises(HandlerError) as failure:
            await runner.execute(job, context)
    return failure.value


async def test_the_location_of_a_failure_is_the_notebooks_cell_and_line(tmp_path: Path) -> None:
    error = await failure_of(tmp_path, CELLS, {"b": 0})
    location = error.data["location"]
    assert (location["notebook"], location["cell"], location["cellLine"]) == ("ratio.ipynb", 3, 3)
    assert location["function"] == "ratio"


async def test_every_frame_of_the_traceback_names_its_cell(tmp_path: Path) -> None:
    error = await failure_of(tmp_path, CELLS, {"b": 0})
    frames = [line for line in error.traceback.splitlines() if "  File" in line]
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


def _write_notebook(tmp_path: Path, *cells: str) -> Path:
    path = tmp_path / "ratio.ipynb"
    made: list[dict[str, object]] = [
        {"cell_type": "code", "metadata": {}, "source": source, "outputs": []} for source in cells
    ]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": made}))
    return path


def _as_a_kernel(cells: tuple[str, ...]) -> dict[str, Any]:
    """Run cells as IPython does: each has a file name of its own, which linecache knows."""
    module = ModuleType("__kernel__")
    for number, source in enumerate(cells):
        name = f"/tmp/ipykernel_1/{number}.py"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec", dont_inherit=True), vars(module))
    return vars(module)


@pytest.mark.parametrize("told", ["jupyter", "vscode", "nobody"])
async def test_an_error_in_the_emulator_names_the_cell_of_the_notebook(
    told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R15: where Jupyter or VS Code say which notebook it is; else the kernel's own `In[n]`."""
    path = _write_notebook(tmp_path, *CELLS[1:])
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    names = _as_a_kernel(CELLS[1:])
    if told == "jupyter":
        monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    elif told == "vscode":
        names["__vsc_ipynb_file__"] = str(path)
    with pytest.raises(ZeroDivisionError) as caught:
        await run_local(names["handler"], {"b": 0})
    notes = getattr(caught.value, "__notes__", [])
    assert notes == ([] if told == "nobody" else ["raised in ratio.ipynb, cell 2, line 3"])


async def test_an_error_of_an_exported_worker_names_its_cell_in_the_emulator_too(
    tmp_path: Path,
) -> None:
    """R15: a worker that a test imports."""
    worker = tmp_path / "ratio.py"
    write_worker(export_notebook(_write_notebook(tmp_path, *CELLS[1:])), worker)
    module = ModuleType("ratio")
    exec(compile(worker.read_text(), str(worker), "exec", dont_inherit=True), vars(module))
    with pytest.raises(ZeroDivisionError) as caught:
        await run_local(module.handler, {"b": 0})
    assert caught.value.__notes__ == ["raised in ratio.ipynb, cell 2, line 3"]


def test_pytest_names_the_cells_of_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R15: in the test cell, and in the cell of the worker that raised."""
    monkeypatch.chdir(tmp_path)
    test = "#| nq: test\nfrom nbtools import run_local\n\nawait run_local(handler, {'b': 0})"
    _write_notebook(tmp_path, *CELLS[1:], test)
    assert cli.main(["ratio.ipynb", "-o", "workers", "--tests", "tests"]) == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "nbtools.pytest_plugin", "tests"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    told = done.stdout.partition("notebook of test_cell_4")[2].splitlines()
    assert [line.partition("  (")[0] for line in told[1:4]] == [
        "ratio.ipynb, cell 4, line 4",
        "ratio.ipynb, cell 3, line 4",
        "ratio.ipynb, cell 2, line 3",
    ]


def test_nq_run_names_the_cell_of_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R15: in the last line, and in each frame of the traceback."""
    from nuxt_queue import cli as nq

    worker = tmp_path / "ratio.py"
    write_worker(export_notebook(_write_notebook(tmp_path, *CELLS[1:])), worker)
    assert nq.main(["run", str(worker), "--data", '{"b": 0}']) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == "failed: ZeroDivisionError: division by zero (ratio.ipynb, cell 2, line 3)"
    frames = [line for line in told if "  File" in line]
    assert [frame.rpartition("  ")[2] for frame in frames] == [
        "[ratio.ipynb, cell 3, line 4]",
        "[ratio.ipynb, cell 2, line 3]",
    ]
