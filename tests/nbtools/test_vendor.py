"""A worker that was exported with `--vendor` runs where nothing can be installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nbtools.cli import main
from tests.pythons import newer_pythons

SAMPLES = Path(__file__).parents[1] / "samples" / "notebooks"


PYTHONS = [sys.executable, *newer_pythons()]


def answer_of(worker: Path, python: str, *, data: Any) -> dict[str, Any]:
    """Run a worker as the specification's host does, on a Python without site-packages."""
    execute = {"job": {"id": "1", "data": data}, "context": {"jobId": "1"}}
    request = {"jsonrpc": "2.0", "method": "execute", "params": execute, "id": 1}
    done = subprocess.Popen(
        [python, "-IS", str(worker)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "NUXT_QUEUE_CHILD_PROCESS": "1",
        },
        cwd=worker.parent.parent,
    )
    with done:
        assert done.stdin
        assert done.stdout
        done.stdin.write(json.dumps(request).encode() + b"\n")
        done.stdin.flush()
        messages = []
        for line in done.stdout:
            messages.append(json.loads(line))
            if "method" not in messages[-1]:
                break
            reply = {"jsonrpc": "2.0", "result": None, "id": messages[-1].get("id")}
            done.stdin.write(json.dumps(reply).encode() + b"\n")
            done.stdin.flush()
    answer: dict[str, Any] = messages[-1]
    return answer


@pytest.mark.parametrize("python", PYTHONS)
def test_a_vendored_worker_runs_on_a_python_that_has_nothing(python: str, tmp_path: Path) -> None:
    folder = tmp_path / "queues"
    assert (
        main([str(SAMPLES / "ok-minimal.ipynb"), "-o", str(folder / "minimal.py"), "--vendor"]) == 0
    )
    answer = answer_of(folder / "minimal.py", python, data={"n": 2})
    assert answer["id"] == 1
    assert "error" not in answer
    assert "result" in answer


@pytest.mark.parametrize("python", PYTHONS)
def test_without_the_sdk_the_host_is_told_at_once_and_not_after_the_timeout(
    python: str, tmp_path: Path
) -> None:
    """Host-contract section 7, row 7: a file that cannot be imported answers its job."""
    folder = tmp_path / "queues"
    assert main([str(SAMPLES / "ok-minimal.ipynb"), "-o", str(folder / "minimal.py")]) == 0
    answer = answer_of(folder / "minimal.py", python, data={})
    assert answer["error"]["data"]["phase"] == "import"
    assert answer["error"]["message"].startswith("ModuleNotFoundError: nuxt_queue is not installed")
    assert "--vendor" in answer["error"]["message"]


def test_the_copy_is_passed_over_by_the_host_and_renewed_when_it_is_old(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [str(SAMPLES / "ok-minimal.ipynb"), "-o", str(tmp_path / "minimal.py"), "--vendor"]
    assert main(call) == 0
    assert "the SDK" in capsys.readouterr().out
    copies = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.py"))
    assert [path for path in copies if path.parts[0] != ".nq"] == [Path("minimal.py")]
    assert main(call) == 0
    assert "the SDK" not in capsys.readouterr().out
    (tmp_path / ".nq" / "nuxt_queue" / "errors.py").write_text("# older\n")
    (tmp_path / ".nq" / "nuxt_queue" / "gone.py").write_text("# of an older version\n")
    assert main(call) == 0
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.py")) == copies


def test_the_text_of_a_worker_does_not_depend_on_the_copy(tmp_path: Path) -> None:
    notebook = str(SAMPLES / "ok-minimal.ipynb")
    assert main([notebook, "-o", str(tmp_path / "a" / "minimal.py"), "--vendor"]) == 0
    assert main([notebook, "-o", str(tmp_path / "b" / "minimal.py")]) == 0
    assert (tmp_path / "a/minimal.py").read_text() == (tmp_path / "b/minimal.py").read_text()
