"""Reading: what is accepted, and one line for everything else (exporter R20, R21; faults 108)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbtools import cli
from nbtools.errors import NotebookFormatError
from nbtools.notebook import parse_notebook, read_notebook

CODE = {"cell_type": "code", "metadata": {}, "source": "x = 1", "outputs": []}


def _document(**changes: Any) -> dict[str, Any]:
    return {"cells": [CODE], "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | changes


def _with_cell(**changes: Any) -> dict[str, Any]:
    return _document(cells=[CODE | changes])


BAD: dict[str, tuple[bytes | Any, str, str]] = {
    "empty": (b"", "NQ002", "is empty"),
    "blank": (b" \n\n", "NQ002", "is empty"),
    "list": ([], "NQ004", "a list"),
    "null": (None, "NQ004", "null"),
    "number": (5, "NQ004", "a number"),
    "text": (b"hello", "NQ003", "line 1, column 1"),
    "cut": (json.dumps(_document())[:60].encode(), "NQ003", "line 1"),
    "html": (b"<!DOCTYPE html>", "NQ003", "is not JSON"),
    "merge": (b'{\n "cells": [\n<<<<<<< HEAD\n=======\n>>>>>>> other\n', "NQ006", "line 3"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "NQ007", "LFS"),
    "utf16": ("{}".encode("utf-16"), "NQ008", "UTF-16"),
    "latin1": (b'{"cells": "\xe9"}', "NQ008", "line 1"),
    "deep": (b"[" * 100_000, "NQ003", "nested too deeply"),
    "huge-number": (b'{"a": ' + b"1" * 5000 + b"}", "NQ003", "is not JSON"),
    "no-nbformat": ({"cells": []}, "NQ004", "has no nbformat"),
    "nbformat-text": (_document(nbformat="4"), "NQ004", "'4'"),
    "nbformat-true": (_document(nbformat=True), "NQ004", "True"),
    "nbformat-5": (_document(nbformat=5), "NQ005", "newer"),
    "nbformat-2": (_document(nbformat=2), "NQ005", "too old"),
    "nbformat-1": (_document(nbformat=1), "NQ005", "too old"),
    "nbformat-3-without-sheets": (_document(nbformat=3), "NQ004", "worksheets"),
    "no-cells": ({"nbformat": 4}, "NQ004", "has no cells"),
    "cells-object": (_document(cells={}), "NQ004", "an object for its cells"),
    "cell-text": (_document(cells=["x"]), "NQ004", "cell 1 is a string"),
    "no-cell-type": (_document(cells=[{"source": ""}]), "NQ004", "cell 1 has no cell_type"),
    "no-source": (_document(cells=[{"cell_type": "code"}]), "NQ004", "cell 1 has no source"),
    "source-number": (_with_cell(source=5), "NQ004", "cell 1 has a number for its source"),
    "source-mixed": (_with_cell(source=["a", None]), "NQ004", "cell 1 has a list"),
    "tags-text": (_with_cell(metadata={"tags": "nq-config"}), "NQ004", "tags"),
    "tags-numbers": (_with_cell(metadata={"tags": [1]}), "NQ004", "tags"),
    "cell-metadata-list": (_with_cell(metadata=[1]), "NQ004", "a list for its metadata"),
    "metadata-list": (_document(metadata=[]), "NQ004", "a list for its metadata"),
    "source-twice": (
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "a", "source": "b"}]}',
        "NQ004",
        '"source" twice',
    ),
    "julia": (
        _document(metadata={"kernelspec": {"name": "julia-1.9", "language": "julia"}}),
        "NQ009",
        "julia",
    ),
    "r-by-kernel-name": (_document(metadata={"kernelspec": {"name": "ir"}}), "NQ009", "ir"),
    "language-info": (_document(metadata={"language_info": {"name": "R"}}), "NQ009", "'?R"),
    "databricks": ({"version": "NotebookV1", "commands": []}, "NQ011", "Databricks"),
    "zeppelin": ({"paragraphs": []}, "NQ011", "Zeppelin"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, code, words = BAD[name]
    path = tmp_path / f"{name}.ipynb"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    assert cli.main([str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"{path}: {code} ")
    assert words.removeprefix("'?") in said.err
    assert "; " in said.err
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1\n", "NQ011"),
        ("# Databricks notebook source\n# COMMAND ----------\n", "NQ011"),
        ("import marimo\napp = marimo.App()\n", "NQ011"),
        ("# %%\n<<<<<<< HEAD\n=======\n>>>>>>> x\n", "NQ006"),
    ],
)
def test_a_python_file_that_is_no_percent_notebook_is_named_as_what_it_is(
    text: str, code: str
) -> None:
    with pytest.raises(NotebookFormatError) as caught:
        parse_notebook(text.encode(), "some.py")
    assert caught.value.code == code


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe.ipynb"
    os.mkfifo(fifo)
    for path in (tmp_path / "none.ipynb", tmp_path, fifo, tmp_path / "nul\0.ipynb"):
        with pytest.raises(NotebookFormatError, match="NQ001"):
            read_notebook(path)


def test_a_file_of_outputs_is_refused_by_its_size_before_it_is_read(tmp_path: Path) -> None:
    """Faults 109."""
    path = tmp_path / "huge.ipynb"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    with pytest.raises(NotebookFormatError, match="NQ010 is 200 MiB"):
        read_notebook(path)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf" + json.dumps(_document()).encode(),
        json.dumps(_document()).replace("{", "{\r\n").encode(),
        json.dumps({k: v for k, v in _document().items() if k != "metadata"}).encode(),
        json.dumps(_document(nbformat_minor=0)).encode(),
        json.dumps(_document(nbformat_minor=9)).encode(),
        json.dumps(_with_cell(metadata={"a": float("nan")}, id=7)).encode(),
        json.dumps(_with_cell(metadata=None)).encode(),
        json.dumps(_document(metadata={"kernelspec": {"name": "conda-env-irene-py"}})).encode(),
    ],
    ids=["bom", "crlf", "no-metadata", "4.0", "4.9", "nan", "null-metadata", "odd-kernel"],
)
def test_what_jupyter_would_open_is_read(raw: bytes) -> None:
    assert [cell.source for cell in parse_notebook(raw, "a.ipynb").cells] == ["x = 1"]


def test_duplicate_ids_do_not_matter(write_notebook: Callable[..., Path]) -> None:
    path = write_notebook(("", "a = 1"), bare=True)
    document = json.loads(path.read_text())
    document["cells"] *= 2
    path.write_text(json.dumps(document))
    cells = read_notebook(path).cells
    assert [(cell.number, cell.id) for cell in cells] == [(1, "cell-1"), (2, "cell-1")]


def test_a_percent_file_is_a_notebook() -> None:
    text = '''# ---
# jupyter:
#   kernelspec: {name: python3}
# ---

import os

# %% [markdown] tags=["nq-config"]
# Title

# %% Some title [later] tags=["nq-config", "x"] nq={"role": "config"}
config = {}
TEXT = """
# %% not a cell
"""

#%% {"tags": ["nq-handler"]}
def handler(job, ctx): ...
# %% language="bash"
# ls
'''
    cells = parse_notebook(text.encode(), "job.py").cells
    assert [cell.kind for cell in cells] == ["code", "markdown", "code", "code", "code"]
    assert cells[0].source.strip() == "import os"
    assert cells[2].tags == ("nq-config", "x")
    assert cells[2].metadata["nq"] == {"role": "config"}
    assert cells[2].source == 'config = {}\nTEXT = """\n# %% not a cell\n"""'
    assert cells[3].tags == ("nq-handler",)
    assert cells[4].language == "bash"
