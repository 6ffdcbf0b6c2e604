"""`nq-export` for programs: JSON, pipes, watching, hooks (exporter R18, R20, R24)."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbtools import cli, export_notebook
from nbtools.notebook import read_notebook
from nbtools.watch import changes

ROOT = Path(__file__).parents[2]
Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _objects(capture: Capture) -> list[dict[str, Any]]:
    said = capture.readouterr()
    assert said.err == ""
    return [json.loads(line) for line in said.out.splitlines()]


# --- JSON


def test_a_finding_is_an_object_with_its_place_and_code(
    write_notebook: Write, capsys: Capture
) -> None:
    write_notebook(("nq-exprot", ""), ("nq-export", "x = 1\n!ls"))
    assert cli.main(["--json", "job.ipynb"]) == 1
    near_miss, shell = _objects(capsys)
    assert near_miss == {
        "file": "job.ipynb",
        "cell": 2,
        "line": None,
        "code": "NQ102",
        "severity": "warning",
        "message": "the mark 'tag nq-exprot' is not known here and has no effect",
        "fix": "write tag nq-export",
    }
    assert (shell["code"], shell["cell"], shell["line"]) == ("NQ203", 3, 2)
    assert shell["severity"] == "error"


def test_what_was_written_is_an_object_too(write_notebook: Write, capsys: Capture) -> None:
    write_notebook()
    Path("bad.ipynb").write_text("{")
    assert cli.main(["--json", "bad.ipynb", "none.ipynb", "job.ipynb", "--vendor"]) == 2
    bad, none, done, sdk = _objects(capsys)
    assert (bad["code"], bad["file"], bad["cell"]) == ("NQ003", "bad.ipynb", None)
    assert none["code"] == "NQ001"
    worker = {"file": "job.ipynb", "worker": "job.py", "state": "written", "cells": [1, 2]}
    assert done == worker
    assert sdk == {"sdk": ".nq", "state": "written"}
    assert cli.main(["--json", "job.ipynb"]) == 0
    assert _objects(capsys) == [worker | {"state": "unchanged"}]
    assert cli.main(["--json", "--check", "job.ipynb"]) == 0
    assert _objects(capsys) == [worker | {"state": "current"}]
    write_notebook(("nq-export", "A = 1"))
    assert cli.main(["--json", "--check", "job.ipynb"]) == 1
    assert [each["code"] for each in _objects(capsys)] == ["NQ406"]


def test_roles_are_objects_with_ids(write_notebook: Write, capsys: Capture) -> None:
    write_notebook(("", "x"))
    assert cli.main(["--json", "--list", "job.ipynb"]) == 0
    rows = _objects(capsys)
    assert [(row["cell"], row["id"], row["role"]) for row in rows] == [
        (1, "cell-1", "config"),
        (2, "cell-2", None),
        (3, "cell-3", "handler"),
    ]


def test_wrong_settings_are_an_object(write_notebook: Write, capsys: Capture) -> None:
    Path("pyproject.toml").write_text("[tool.nuxt-queue]\nworkers = 5\n")
    write_notebook()
    assert cli.main(["--json", "job.ipynb"]) == 2
    (found,) = _objects(capsys)
    assert found["code"] == "NQ012"
    assert found["file"].endswith("pyproject.toml")


# --- pipes


def _pipe(data: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "nbtools.cli", *arguments],
        input=data,
        capture_output=True,
        timeout=30,
        check=False,
    )


def test_a_notebook_on_stdin_becomes_a_worker_on_stdout(write_notebook: Write) -> None:
    path = write_notebook()
    done = _pipe(path.read_bytes(), "-", "--stdin-filename", "job.ipynb")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == export_notebook("job.ipynb").text
    done = _pipe(path.read_bytes(), "-")
    assert b"# notebook: stdin.ipynb\n" in done.stdout
    assert sorted(each.name for each in Path().iterdir()) == ["job.ipynb"]
    done = _pipe(path.read_bytes(), "-", "-o", "named.py")
    assert done.stdout == b"named.py  from stdin.ipynb, 2 cells\n"
    assert '"queue": {"name": "named"}' in Path("named.py").read_text()
    done = _pipe(b"{", "-")
    assert done.returncode == 2
    assert done.stderr.startswith(b"stdin.ipynb: NQ003 ")


PERCENT = """\
# %% tags=["nq-config"]
config = {"queue": "job"}

# %%
print("not exported")

# %% tags=["nq-handler"]
def handler(job, ctx):
    return job
"""


def test_a_percent_file_on_stdin_is_told_by_its_first_letter() -> None:
    """Exporter R20."""
    done = _pipe(PERCENT.encode(), "-", "-o", "-")
    assert done.returncode == 0, done.stderr
    assert b"# notebook: stdin.py\n" in done.stdout
    assert b"not exported" not in done.stdout
    Path("work.py").write_text(PERCENT)
    assert cli.main(["work.py", "-o", "out"]) == 0
    assert "# notebook: work.py\n" in Path("out/work.py").read_text()


def test_a_percent_file_is_not_overwritten_by_its_own_worker(capsys: Capture) -> None:
    Path("work.py").write_text(PERCENT)
    assert cli.main(["work.py"]) == 1
    assert "NQ403 work.py exists and was not written by nq-export" in capsys.readouterr().err
    assert Path("work.py").read_text() == PERCENT


@pytest.mark.parametrize(
    "arguments",
    [
        ["-", "a.ipynb"],
        ["-", "--watch"],
        ["--watch", "--check", "a.ipynb"],
        ["--watch", "-o", "-", "a.ipynb"],
        ["--json", "--diff", "a.ipynb"],
        ["--json", "-"],
        ["--stdout", "--list", "a.ipynb"],
    ],
)
def test_a_call_that_makes_no_sense_reads_and_writes_nothing(
    arguments: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


# --- editors


def test_the_language_that_vs_code_notes_for_a_cell_is_heeded(write_notebook: Write) -> None:
    """Exporter R21: VS Code keeps tags where Jupyter does, and a language for each cell."""
    path = write_notebook(("nq-export", "A = 1"), ("", "SELECT 1"))
    document = json.loads(path.read_text())
    document["cells"][1]["metadata"]["vscode"] = {"languageId": "python"}
    document["cells"][2]["metadata"]["vscode"] = {"languageId": "sql"}
    document["metadata"] = {"language_info": {"name": "python"}, "orig_nbformat": 4}
    path.write_text(json.dumps(document))
    assert [cell.language for cell in read_notebook(path).cells] == [None, "python", "sql", None]
    assert export_notebook(path).cells == (1, 2, 4)


# --- watching


def test_a_file_is_told_each_time_it_changes() -> None:
    paths = [Path("a"), Path("b")]
    for path in paths:
        path.write_text("1")
    deeds: Iterator[Callable[[], object]] = iter(
        [
            lambda: None,
            lambda: paths[0].write_text("22"),
            lambda: paths[1].write_text("333") and paths[0].rename("c"),
            lambda: None,
            lambda: paths[0].write_text("1"),
        ]
    )

    def pause() -> bool:
        deed = next(deeds, None)
        return deed is not None and (deed(), True)[1]

    assert list(changes(["a", "b", "never\0there"], pause)) == ["a", "a", "b", "a"]


def test_watching_exports_at_each_save_and_ends_quietly(write_notebook: Write) -> None:
    write_notebook()
    code = (  # a shell starts what it puts in the background with this signal ignored
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from nbtools.cli import main; sys.exit(main(['--watch', '--json', 'job.ipynb']))"
    )
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stderr
        first = json.loads(process.stdout.readline())
        assert first["state"] == "written"
        write_notebook(("nq-export", "x ="))
        assert json.loads(process.stdout.readline())["code"] == "NQ201"
        write_notebook(("nq-export", "A = 1"))
        assert json.loads(process.stdout.readline())["cells"] == [1, 2, 3]
        assert "A = 1" in Path("job.py").read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


# --- hooks


def _hooks() -> dict[str, list[str]]:
    manifest = (ROOT / ".pre-commit-hooks.yaml").read_text()
    entries = re.findall(r"^- id: (.+)\n(?:  .+\n)*?  entry: (.+)$", manifest, re.MULTILINE)
    return {name: entry.split() for name, entry in entries}


def test_the_pre_commit_hooks_check_and_write_workers_and_pass_over_other_notebooks(
    write_notebook: Write, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    hooks = _hooks()
    assert {entry[0] for entry in hooks.values()} == {"nq-export"}
    write_notebook(("", "1"), name="notes.ipynb", bare=True)
    write_notebook()
    files = ["notes.ipynb", "job.ipynb"]
    assert cli.main([*hooks["nq-export-check"][1:], *files]) == 1
    assert b"NQ406 job.py has not been exported" in capsysbinary.readouterr().err
    assert cli.main([*hooks["nq-export"][1:], *files]) == 0
    assert cli.main([*hooks["nq-export-check"][1:], *files]) == 0
    write_notebook(("nq-export", "A = 1"))
    assert cli.main([*hooks["nq-export-check"][1:], *files]) == 1
    assert b"\n+A = 1\n" in capsysbinary.readouterr().out
    assert not Path("notes.py").exists()
    assert os.environ.get("PRE_COMMIT") is None


def test_a_notebook_with_a_near_miss_is_not_passed_over(write_notebook: Write) -> None:
    write_notebook(("nq_handler", "1"), name="notes.ipynb", bare=True)
    assert cli.main(["--skip-unmarked", "notes.ipynb"]) == 1
