"""`jupyter nbconvert --to nq-worker` makes what `nq-export` makes (exporter R24)."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import exporters
from nbconvert.utils.exceptions import ConversionException

from nbtools import cli, export_notebook
from nbtools.nbconvert import MenuExporter, WorkerExporter

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "tests" / "samples" / "notebooks").glob("ok-*.ipynb"))
Write = Callable[..., Path]
# nbconvert's own code states no types.
get_exporter: Any = exporters.get_exporter
worker_exporter: Any = WorkerExporter
menu_exporter: Any = MenuExporter


def _nbconvert(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jupyter", "nbconvert", "--to", "nq-worker", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_DATA_DIR": str(folder)},
        timeout=50,
        check=False,
    )


def test_nbconvert_and_the_menus_of_jupyter_know_the_exporter() -> None:
    """A server lists what has a label, and answers only for names without a hyphen."""
    assert get_exporter("nq-worker") is WorkerExporter
    assert get_exporter("nq_worker") is MenuExporter
    assert worker_exporter().export_from_notebook is None
    assert menu_exporter().export_from_notebook == "Queue worker"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_each_sample_becomes_the_same_bytes_by_every_way(path: Path) -> None:
    expected = export_notebook(path).text
    text, resources = worker_exporter().from_filename(str(path))
    assert text == expected
    assert resources["output_extension"] == ".py"
    name = {"metadata": {"name": path.stem, "path": str(path.parent)}}
    with path.open(encoding="utf-8") as stream:
        assert worker_exporter().from_file(stream, resources=dict(name))[0] == expected
    if '"worksheets"' not in path.read_text():  # a server has converted an older format
        node = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has none
        assert menu_exporter().from_notebook_node(node, resources=dict(name))[0] == expected


def test_a_refused_notebook_raises_with_every_reason(write_notebook: Write) -> None:
    path = write_notebook(("nq-export", "!ls\nawait x()"))
    with pytest.raises(ConversionException, match=r"cell 2, line 1: NQ203 .*ls"):
        worker_exporter().from_filename(str(path))


def test_the_command_writes_the_file_that_nq_export_calls_current(
    write_notebook: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_notebook(name="01_my job.ipynb")
    done = _nbconvert(tmp_path, "01_my job.ipynb")
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    assert cli.main(["--check", "01_my job.ipynb"]) == 0
    edited = (tmp_path / "my_job.py").read_text() + "# mine\n"
    (tmp_path / "my_job.py").write_text(edited)
    write_notebook(("nq-export", "x ="), name="refused.ipynb")
    done = _nbconvert(tmp_path, "01_my job.ipynb")
    assert done.returncode == 1
    assert "NQ402 my_job.py was changed by hand" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "my_job.py").read_text() == edited
    done = _nbconvert(tmp_path, "refused.ipynb", "--output", "named.py")
    assert done.returncode == 1
    assert "refused.ipynb, cell 2, line 1: NQ201" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "named.py").exists()


def test_a_name_that_is_asked_for_is_the_queues_name(write_notebook: Write, tmp_path: Path) -> None:
    write_notebook()
    done = _nbconvert(tmp_path, "job.ipynb", "--output", "named")
    assert done.returncode == 0, done.stderr
    assert '"queue": {"name": "named"}' in (tmp_path / "named.py").read_text()


def test_starting_nbconvert_does_not_load_the_exporter() -> None:
    code = (
        "import sys, nbconvert.nbconvertapp; assert 'nbtools.nbconvert' in sys.modules;"
        "print([m for m in sys.modules if m.startswith(('nbtools.exporter', 'pydantic.'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "[]\n"


def test_the_wheel_carries_the_side_bar_the_entry_points_and_what_nbval_is_given(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, timeout=50, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
        points = wheel.read(next(name for name in names if name.endswith("entry_points.txt")))
    share = "data/share/jupyter/labextensions/nuxt-queue/"
    assert sorted(name.partition(share)[2] for name in names if share in name) == [
        "install.json",
        "package.json",
        "schemas/nuxt-queue/roles.json",
        "static/remoteEntry.js",
    ]
    assert "nbtools/nbval-sanitize.cfg" in names
    assert b"nq-tag = nbtools.tag:main" in points
    assert b"nq_worker = nbtools.nbconvert:MenuExporter" in points
    assert not any(name.startswith("nbtools/labextension") for name in names)
