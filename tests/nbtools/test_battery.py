"""No sample is exported with status 0 into a file that is broken (exporter R4, R12)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nbtools import cli
from nbtools.exporter import worker_stem
from nuxt_queue.registry import read_worker
from tests.nbtools.test_goldens import ACCEPTED, NOTEBOOKS, SAMPLES

# Each file as a module of its own, in an isolated Python that has the SDK and what samples import.
_IMPORT_ALL = """
import importlib.util, json, sys, traceback
sys.path[:0] = sys.argv[1].split("\\n")
found = {}
for path in sys.argv[2:]:
    spec = importlib.util.spec_from_file_location("worker", path)
    module = sys.modules["worker"] = importlib.util.module_from_spec(spec)
    try:
        sys.stdout = sys.stderr
        compile(open(path, encoding="utf-8").read(), path, "exec", dont_inherit=True)
        spec.loader.exec_module(module)
    except BaseException as error:
        found[path] = f"{type(error).__name__}: {error}"
sys.__stdout__.write(json.dumps(found))
"""


def test_what_is_exported_with_status_0_compiles_imports_and_is_discovered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R4: over every sample, 0 cases of "exit 0 but broken"; R13: one file each, nothing else."""
    assert len(NOTEBOOKS) >= 80
    workers = tmp_path / "workers"
    statuses = {path: cli.main([str(path), "-o", str(workers)]) for path in NOTEBOOKS}
    capsys.readouterr()
    assert {path for path, status in statuses.items() if status == 0} == set(ACCEPTED)
    files = sorted(workers.iterdir())
    assert [file.name for file in files] == sorted(f"{worker_stem(p.name)}.py" for p in ACCEPTED)

    done = subprocess.run(
        [sys.executable, "-I", "-c", _IMPORT_ALL, str(SAMPLES.parents[2]), *map(str, files)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=50,
        check=True,
    )
    assert json.loads(done.stdout) == {}

    # One by one: together they would all be the entry of one flow.
    assert {read_worker(file).name for file in files} == {file.stem for file in files}
