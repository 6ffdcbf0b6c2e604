"""A worker's stated packages are what `uv run --script` gives it (exporter R23)."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from nbtools import export_notebook, write_worker
from nbtools.exporter.vendor import vendor_sdk

UV = Path(sys.executable).parent / "uv"
CELLS = (
    ("nq-imports", "import tiny_numbers"),
    ("nq-handler", "def handler(job, ctx):\n    return tiny_numbers.SEVEN * job['data']['by']"),
)


@pytest.fixture
def worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_notebook: Callable[..., Path]
) -> Path:
    """Return a worker that needs a package which is installed where it was exported, only."""
    info = "tiny_numbers-1.2.dist-info"
    wheel = tmp_path / "wheels" / "tiny_numbers-1.2-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tiny_numbers.py", "SEVEN = 7\n")
        file.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-numbers\nVersion: 1.2\n"
        )
        file.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        file.writestr(f"{info}/RECORD", "tiny_numbers.py,,\n")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    with monkeypatch.context() as where_it_is_exported:
        where_it_is_exported.syspath_prepend(str(tmp_path / "site"))
        config = ("nq-config", 'config = {"queue": "seven"}')
        exported = export_notebook(write_notebook(config, *CELLS, name="seven.ipynb", bare=True))
    assert '#     "tiny-numbers==1.2",\n' in exported.text
    target = tmp_path / "workers" / "seven.py"
    write_worker(exported, target)
    return target


def _uv(tmp_path: Path) -> list[str]:
    """Return a uv that asks no index and keeps everything in the test's folder."""
    wheels, cache = str(tmp_path / "wheels"), str(tmp_path / "cache")
    options = ["--offline", "--no-index", "--find-links", wheels, "--cache-dir", cache]
    return [str(UV), "run", "--quiet", *options, "--script"]


def test_the_runner_gives_a_worker_the_environment_that_it_states(
    worker: Path, tmp_path: Path
) -> None:
    command = json.dumps(shlex.join(_uv(tmp_path)))
    (tmp_path / "pyproject.toml").write_text(
        f"[tool.nuxt-queue.runtimes.python]\ncommand = {command}\n"
    )
    run = [sys.executable, "-m", "nuxt_queue.cli", "run", str(worker), "--data", '{"by": 6}']
    done = subprocess.run(
        run, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")


def test_by_hand_it_needs_the_sdk_beside_it(worker: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [*_uv(tmp_path), str(worker)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=50, check=False
    )
    assert "No module named 'nuxt_queue'" in done.stderr
    vendor_sdk(worker.parent)
    job = {"id": "1", "name": "seven", "data": {"by": 6}}
    request = {"jsonrpc": "2.0", "id": 1, "method": "execute", "params": {"job": job, "ctx": {}}}
    with subprocess.Popen(
        command,
        env=environment | {"NUXT_QUEUE_CHILD_PROCESS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["result"] == 42
        process.stdin.close()
        assert process.wait(20) == 0
