"""`nq-sync`: edits of a worker go back into the right cells, or nowhere (exporter R19)."""

from __future__ import annotations

import difflib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtools import cli, export_notebook, sync
from nbtools.edits import editable
from nbtools.edits.back import put_back
from nbtools.edits.worker import cut_worker
from nbtools.exporter import render_notebook
from nbtools.notebook import parse_notebook, read_notebook

SAMPLES = Path(__file__).parents[1] / "samples" / "notebooks"
ACCEPTED = [
    path for path in sorted(SAMPLES.glob("ok-*.ipynb")) if '"worksheets"' not in path.read_text()
]
Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]

CONFIG = ("nq-config", 'config = {"queue": "job"}')
HANDLER = ("nq-handler", "def handler(job, ctx):\n    return job")
HELPER = ("nq-export", "def twice(x):\n    return 2 * x")


@pytest.fixture(autouse=True)
def _in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _edit(old: str, new: str, name: str = "job.py") -> None:
    text = Path(name).read_text()
    assert old in text
    Path(name).write_text(text.replace(old, new))


def _sources(name: str = "job.ipynb") -> list[str]:
    return [cell.source for cell in read_notebook(name).cells]


def test_an_edit_goes_into_its_cell_and_the_worker_is_current_again(
    write_notebook: Write, capsys: Capture
) -> None:
    path = write_notebook(HELPER)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    cli.main(["job.ipynb"])
    before = path.read_text()
    _edit("return 2 * x", "y = x + x\n    return y")
    capsys.readouterr()
    assert sync.main(["--check", "job.py"]) == 1
    assert "job.py: NQ615 has edits of cell 2; run nq-sync" in capsys.readouterr().err
    assert sync.main(["job.py"]) == 0
    assert capsys.readouterr().out == "job.ipynb  cell 2 from job.py\n"
    assert _sources()[1] == "def twice(x):\n    y = x + x\n    return y"
    assert cli.main(["--check", "job.ipynb"]) == 0
    after = json.loads(path.read_text())
    after["cells"][1]["source"] = json.loads(before)["cells"][1]["source"]
    assert after == json.loads(before)
    codes = difflib.SequenceMatcher(None, before.split("\n"), path.read_text().split("\n"))
    assert sum(tag != "equal" for tag, *_ in codes.get_opcodes()) == 1


def test_a_worker_without_edits_leaves_both_files_alone(
    write_notebook: Write, capsys: Capture
) -> None:
    path = write_notebook(HELPER)
    cli.main(["job.ipynb"])
    for file in (path, Path("job.py")):
        os.utime(file, ns=(1, 1))
    capsys.readouterr()
    assert sync.main(["job.py"]) == 0
    assert capsys.readouterr().out == "job.py  nothing to put back into job.ipynb\n"
    assert path.stat().st_mtime_ns == Path("job.py").stat().st_mtime_ns == 1
    assert sync.main(["--check", "job.py"]) == 0


def test_a_cell_is_found_by_its_text_after_others_were_put_before_it(write_notebook: Write) -> None:
    write_notebook(HELPER)
    cli.main(["job.ipynb"])
    write_notebook(("", "print(1)"), ("nq-export", "A = 1"), HELPER)
    _edit("2 * x", "3 * x")
    _edit("return job", "return twice(job)")
    assert sync.main(["job.py"]) == 0
    assert _sources()[1:] == [
        "print(1)",
        "A = 1",
        "def twice(x):\n    return 3 * x",
        "async def handler(job, ctx):\n    return twice(job)",
    ]
    assert "A = 1" in Path("job.py").read_text()


def test_a_cell_that_changed_on_both_sides_is_refused_and_both_are_shown(
    write_notebook: Write, capsys: Capture
) -> None:
    write_notebook(HELPER)
    cli.main(["job.ipynb"])
    path = write_notebook((HELPER[0], HELPER[1].replace("2", "22")))
    notebook = path.read_bytes()
    _edit("2 * x", "3 * x")
    worker = Path("job.py").read_bytes()
    capsys.readouterr()
    assert sync.main(["job.py"]) == 1
    said = capsys.readouterr()
    line = worker.decode().split("\n").index("def twice(x):") + 1
    assert said.err == (
        f"job.py, line {line}: NQ612 cell 2 has changed in the notebook too; bring the two together"
        " by hand, or take the worker's with --force\n"
    )
    assert f"--- job.ipynb cell 2\n+++ job.py line {line}\n" in said.out
    assert "-    return 22 * x\n+    return 3 * x\n" in said.out
    assert (path.read_bytes(), Path("job.py").read_bytes()) == (notebook, worker)
    assert sync.main(["job.py", "--force"]) == 0
    assert "return 3 * x" in _sources()[1]


def test_a_cell_that_changed_in_the_notebook_alone_stays_as_it_is_there(
    write_notebook: Write,
) -> None:
    write_notebook(HELPER)
    cli.main(["job.ipynb"])
    write_notebook((HELPER[0], HELPER[1].replace("2", "22")))
    _edit("return job", "return twice(job)")
    assert sync.main(["job.py"]) == 0
    assert "return 22 * x" in _sources()[1]
    assert "return twice(job)" in _sources()[2]
    text = Path("job.py").read_text()
    assert "return 22 * x" in text
    assert "return twice(job)" in text


def test_what_the_exporter_changed_itself_stays_as_the_cell_has_it(write_notebook: Write) -> None:
    """Exporter R5, R7: a dropped magic and a hoisted import are no edits."""
    source = "%matplotlib inline\nfrom __future__ import annotations\nA = 1\n%who\nB = 2"
    write_notebook(("nq-export", source))
    cli.main(["job.ipynb"])
    _edit("B = 2", "B = 3\nC = 4")
    assert sync.main(["job.py"]) == 0
    assert _sources()[1] == source.replace("B = 2", "B = 3\nC = 4")


def test_an_edit_of_what_comes_from_no_cell_is_refused_with_its_line(
    write_notebook: Write, capsys: Capture
) -> None:
    write_notebook(HELPER)
    cli.main(["job.ipynb"])
    exported = Path("job.py").read_text()
    capsys.readouterr()
    for old, new, words in (
        ('"concurrency": 1,', '"concurrency": 2,', "the config is not what the notebook states"),
        ("    import os, sys\n\n    channel", "    import os\n\n    channel", "comes from no cell"),
        ("    run_worker(handler)\n", "    run_worker(handler)\n    print()\n", "from no cell"),
    ):
        Path("job.py").write_text(exported)
        _edit(old, new)
        assert sync.main(["job.py"]) == 1
        said = capsys.readouterr().err
        changed = Path("job.py").read_text().split("\n")
        first = next(
            number
            for number, (one, other) in enumerate(
                zip(exported.split("\n"), changed, strict=False), 1
            )
            if one != other
        )
        assert said.startswith(f"job.py, line {first}: NQ613 ")
        assert words in said
    assert _sources()[1] == HELPER[1]


def test_dependencies_are_edited_in_the_notebook(write_notebook: Write, capsys: Capture) -> None:
    write_notebook(("nq-imports", "import numpy"))
    cli.main(["job.ipynb"])
    _edit("numpy==", "numpy>=")
    capsys.readouterr()
    assert sync.main(["job.py"]) == 1
    assert "job.py, line 4: NQ613 what was edited stands above the first cell" in (
        capsys.readouterr().err
    )


def test_a_worker_that_was_exported_without_dependencies_stays_so(write_notebook: Write) -> None:
    write_notebook(("nq-imports", "import numpy\nA = 1"))
    for options, has_block in (["--no-deps"], False), ([], True):
        cli.main([*options, "job.ipynb"])
        _edit("A = ", "A = 1 + ")
        assert sync.main(["job.py"]) == 0
        assert ("# /// script" in Path("job.py").read_text()) == has_block


def test_the_same_edit_on_both_sides_is_no_clash(write_notebook: Write, capsys: Capture) -> None:
    write_notebook(HELPER)
    cli.main(["job.ipynb"])
    write_notebook((HELPER[0], HELPER[1].replace("2 * x", "3 * x")))
    _edit("2 * x", "3 * x")
    capsys.readouterr()
    assert sync.main(["job.py"]) == 0
    assert capsys.readouterr().out == "job.ipynb  nothing from job.py\n"
    assert cli.main(["--check", "job.ipynb"]) == 0


def test_a_dropped_magic_is_no_edit_of_a_cell_that_has_changed(write_notebook: Write) -> None:
    write_notebook(("nq-export", "%matplotlib inline\nA = 1"))
    cli.main(["job.ipynb"])
    write_notebook(("nq-export", "%matplotlib inline\nA = 2"))
    _edit("return job", "return 1")
    assert sync.main(["job.py"]) == 0
    assert _sources()[1:] == [
        "%matplotlib inline\nA = 2",
        "async def handler(job, ctx):\n    return 1",
    ]


def test_a_part_that_was_taken_out_is_refused(write_notebook: Write, capsys: Capture) -> None:
    write_notebook(HELPER)
    cli.main(["job.ipynb"])
    lines = Path("job.py").read_text().split("\n")
    start = lines.index("def twice(x):") - 1
    Path("job.py").write_text("\n".join(lines[:start] + lines[start + 4 :]))
    capsys.readouterr()
    assert sync.main(["job.py"]) == 1
    assert "NQ614 the part of cell 2 was taken out" in capsys.readouterr().err


def test_an_edit_of_a_cell_that_is_gone_is_refused(write_notebook: Write, capsys: Capture) -> None:
    write_notebook(HELPER)
    cli.main(["job.ipynb"])
    write_notebook()
    _edit("2 * x", "3 * x")
    capsys.readouterr()
    assert sync.main(["job.py"]) == 1
    assert "NQ612 cell 2, from which this part came, is no longer exported" in (
        capsys.readouterr().err
    )


def test_an_edit_with_which_the_notebook_makes_no_worker_is_refused(
    write_notebook: Write, capsys: Capture
) -> None:
    path = write_notebook(HELPER)
    cli.main(["job.ipynb"])
    before = path.read_bytes()
    _edit("2 * x", "missing * x")
    capsys.readouterr()
    assert sync.main(["job.py"]) == 1
    assert "job.ipynb, cell 2, line 2: NQ206 'missing' is not defined" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_the_notebook_is_found_from_the_projects_folder_or_named(
    write_notebook: Write, capsys: Capture
) -> None:
    Path("pyproject.toml").write_text('[tool.nuxt-queue]\nworkers = "workers"\n')
    write_notebook(HELPER, name="notebooks/job.ipynb")
    cli.main(["notebooks/job.ipynb"])
    _edit("2 * x", "3 * x", "workers/job.py")
    capsys.readouterr()
    assert sync.main(["workers/job.py", "--diff"]) == 0
    assert "+" in capsys.readouterr().out
    assert sync.main(["workers/job.py"]) == 0
    assert capsys.readouterr().out == "notebooks/job.ipynb  cell 2 from workers/job.py\n"
    Path("notebooks/job.ipynb").rename("moved.ipynb")
    _edit("3 * x", "4 * x", "workers/job.py")
    assert sync.main(["workers/job.py"]) == 1
    assert "NQ611 its notebook, notebooks/job.ipynb, is not there; name it with --notebook" in (
        capsys.readouterr().err
    )
    assert sync.main(["workers/job.py", "--notebook", "moved.ipynb"]) == 0
    assert "4 * x" in _sources("moved.ipynb")[1]


def test_a_percent_file_is_a_notebook_here_too() -> None:
    """Exporter R20."""
    Path("work.py").write_text(
        '# %% tags=["nq-config"]\nconfig = {"queue": "job"}\n\n'
        '# %% tags=["nq-handler"]\ndef handler(job, ctx):\n    return job\n\n\n# %%\nprint(1)\n'
    )
    assert cli.main(["work.py", "-o", "out/job.py"]) == 0
    _edit("return job", "return 1", "out/job.py")
    assert sync.main(["out/job.py", "--notebook", "work.py"]) == 0
    assert Path("work.py").read_text().endswith("    return 1\n\n\n# %%\nprint(1)\n")


def test_lines_taken_by_with_deps_go_back_to_their_own_lines(write_notebook: Write) -> None:
    story = "import os\nBASE = 1\nprint('x')\nLIMIT = BASE + 1\nplot = 3"
    write_notebook(("", story), ("nq-export", "TOP = LIMIT"))
    assert cli.main(["--with-deps", "job.ipynb"]) == 0
    _edit("LIMIT = BASE + 1", "LIMIT = BASE + 2\nLIMIT += 1")
    assert sync.main(["job.py"]) == 0
    assert _sources()[1] == story.replace("+ 1", "+ 2\nLIMIT += 1")


def test_windows_line_ends_of_the_worker_are_no_edits(write_notebook: Write) -> None:
    write_notebook(HELPER)
    cli.main(["job.ipynb"])
    text = Path("job.py").read_text().replace("2 * x", "3 * x")
    Path("job.py").write_bytes(text.replace("\n", "\r\n").encode())
    assert sync.main(["job.py"]) == 0
    assert _sources()[1] == "def twice(x):\n    return 3 * x"


@pytest.mark.parametrize(
    "text", ["", "x = 1\n", "# Generated by nq-export 0.1.0. Edit the notebook, not this file.\n"]
)
def test_a_file_that_is_no_worker_is_refused(text: str, capsys: Capture) -> None:
    Path("job.py").write_text(text)
    assert sync.main(["job.py"]) == 1
    assert capsys.readouterr().err.startswith("job.py: NQ611 is no worker that nq-export wrote")


def test_a_wrong_call_and_a_missing_file_are_one_line(capsys: Capture) -> None:
    assert sync.main(["a.py", "b.py", "--notebook", "n.ipynb"]) == 2
    assert sync.main(["none.py"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_a_line_that_is_added_to_each_part_of_a_sample_comes_back(
    path: Path, tmp_path: Path
) -> None:
    """R19 for the battery: what was edited, and only that, is in the cells afterwards."""
    notebook = tmp_path / path.name
    shutil.copyfile(path, notebook)
    exported = export_notebook(notebook, allow_local=True)
    worker = cut_worker(exported.text, "job.py")
    lines = exported.text.split("\n")
    for part in reversed(worker.parts):
        lines.insert(part.at - 1 + len(part.lines), "# added")
    edited = cut_worker("\n".join(lines), "job.py")
    document = editable(notebook.read_bytes(), str(notebook))
    back = put_back(document, edited, "job.py", stem=exported.stem)
    assert set(back.cells) == {part.cell for part in worker.parts}
    assert [part.lines for part in cut_worker(back.exported.text, "job.py").parts] == [
        part.lines for part in edited.parts
    ]
    notebook.write_text(back.text, encoding="utf-8", newline="")
    before, after = read_notebook(path).cells, read_notebook(notebook).cells
    for old, new in zip(before, after, strict=True):
        added = "\n# added" if new.number in back.cells else ""
        assert new.source == old.source + added
        assert (new.tags, new.metadata, new.id) == (old.tags, old.metadata, old.id)


_LINES = st.lists(
    st.sampled_from(["x = 1", "# a", "", "    ", "# (dropped) %who", "y = '\u2028'", "z = 2"]),
    max_size=9,
)


@settings(max_examples=100, deadline=None)
@given(_LINES, _LINES)
def test_whatever_the_lines_of_a_part_become_the_cell_makes_them(
    first: list[str], second: list[str]
) -> None:
    """Magics that are still there stay magics; all else is text."""
    sources = ["%who\nx = 1\n# a\n%who\n\nz = 2", "# a\n%who\ny = '\u2028'"]
    cells = [
        {"cell_type": "code", "metadata": {"tags": [tag]}, "source": source}
        for tag, source in (CONFIG, *(("nq-export", source) for source in sources), HANDLER)
    ]
    raw = json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}, indent=1).encode()
    exported = render_notebook(parse_notebook(raw, "job.ipynb"))
    worker = cut_worker(exported.text, "job.py")
    parts = [part for part in worker.parts if part.role == "export"]
    lines = exported.text.split("\n")
    for part, new in reversed(list(zip(parts, (first, second), strict=True))):
        lines[part.at - 1 : part.at - 1 + len(part.lines)] = new
    edited = cut_worker("\n".join(lines), "job.py")
    back = put_back(editable(raw, "job.ipynb"), edited, "job.py", stem="job")
    made = [part.lines for part in cut_worker(back.exported.text, "job.py").parts]
    assert made == [part.lines or [""] for part in edited.parts]
    assert cut_worker(back.exported.text, "job.py").config[1] == worker.config[1]
