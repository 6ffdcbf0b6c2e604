"""`nq-tag`: which cells, which role, and what the file looks like afterwards (exporter R2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nbtools import tag
from nbtools.exporter.roles import ROLES, assign_roles
from nbtools.notebook import read_notebook

Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _roles(name: str = "job.ipynb") -> list[str | None]:
    return [each.role for each in assign_roles(read_notebook(name))[0]]


def _six(write_notebook: Write) -> Path:
    return write_notebook(*(("", f"x{n} = 1") for n in range(1, 7)), bare=True)


@pytest.mark.parametrize(
    ("words", "chosen"),
    [("3", [3]), ("3-5", [3, 4, 5]), ("2,4", [2, 4]), ("5-6,1", [1, 5, 6]), ("cell-2,4", [2, 4])],
)
def test_cells_are_named_by_number_range_list_or_id(
    words: str, chosen: list[int], write_notebook: Write, capsys: Capture
) -> None:
    _six(write_notebook)
    assert tag.main(["job.ipynb", words, "export"]) == 0
    assert [n for n, role in enumerate(_roles(), 1) if role == "export"] == chosen
    numbers = ", ".join(map(str, chosen))
    plural = "s" if len(chosen) > 1 else ""
    assert capsys.readouterr().out == f"job.ipynb  cell{plural} {numbers} now export\n"


@pytest.mark.parametrize("words", ["0", "7", "2-9", "5-3", "nope", "", "1,,2", "-1"])
def test_a_cell_that_is_not_there_is_one_line_and_changes_nothing(
    words: str, write_notebook: Write, capsys: Capture
) -> None:
    before = _six(write_notebook).read_bytes()
    assert tag.main(["job.ipynb", "--", words, "export"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("job.ipynb: NQ601 has no cell '")
    assert said.count("\n") == 1
    assert Path("job.ipynb").read_bytes() == before


def test_an_id_that_two_cells_share_is_refused(write_notebook: Write, capsys: Capture) -> None:
    path = _six(write_notebook)
    path.write_text(path.read_text().replace('"cell-2"', '"cell-5"'))
    assert tag.main(["job.ipynb", "cell-5", "export"]) == 1
    assert "NQ601 cells 2 and 5 share the id 'cell-5'; say a number" in capsys.readouterr().err


@pytest.mark.parametrize("role", ROLES)
def test_every_role_can_be_given_changed_and_removed(role: str, write_notebook: Write) -> None:
    before = _six(write_notebook).read_bytes()
    assert tag.main(["job.ipynb", "2", role]) == 0
    assert _roles()[1] == role
    assert tag.main(["job.ipynb", "2", "nq-export"]) == 0
    assert _roles()[1] == "export"
    assert tag.main(["job.ipynb", "2", "remove"]) == 0
    assert _roles() == [None] * 6
    written = json.loads(Path("job.ipynb").read_bytes())["cells"]
    assert "tags" not in written[1].pop("metadata")
    assert all(
        cell.get("source") == old["source"]
        for cell, old in zip(written, json.loads(before)["cells"], strict=True)
    )


@pytest.mark.parametrize(
    ("tags", "metadata", "source"),
    [
        (["x", "nq-export", "y"], {}, "a"),
        (["parameters", "raises-exception"], {}, "a"),
        ([], {"nq": {"role": "export"}}, "a"),
        ([], {}, "#| nq: export\na"),
        ([], {}, "\n# |nq:test\n#| echo: false\na"),
        (["nq-export"], {"nq": {"role": "export"}}, "#| nq: export\na"),
        (["nq-export"], {}, "#| export\na"),
    ],
)
def test_a_mark_that_is_there_is_changed_where_it_stands(
    tags: list[str], metadata: dict[str, object], source: str, write_notebook: Write
) -> None:
    """Exporter R1: a tag, a directive and metadata are equal spellings; none is added."""
    path = _six(write_notebook)
    document = json.loads(path.read_text())
    document["cells"][2] |= {"metadata": {"tags": tags, **metadata}, "source": source}
    path.write_text(json.dumps(document))
    assert tag.main(["job.ipynb", "3", "handler"]) == 0
    assert _roles()[2] == "handler"
    cell = json.loads(path.read_text())["cells"][2]
    foreign = [name for name in tags if name not in {"nq-export", "parameters"}]
    kept = [name for name in cell["metadata"].get("tags", []) if name != "nq-handler"]
    assert kept == foreign
    assert ("nq-handler" in cell["metadata"].get("tags", [])) == (foreign != tags)
    assert ("nq" in cell["metadata"]) == ("nq" in metadata)
    assert ("nq:" in cell["source"]) == ("nq:" in source)
    before = path.read_bytes()
    assert tag.main(["job.ipynb", "3", "handler"]) == 0
    assert path.read_bytes() == before


def test_nbdevs_own_directive_is_left_to_its_owner(write_notebook: Write, capsys: Capture) -> None:
    write_notebook(("", "#| export\nx = 1"), bare=True)
    assert tag.main(["job.ipynb", "1", "remove"]) == 1
    assert "cell 1: NQ603 begins with nbdev's '#| export'" in capsys.readouterr().err
    assert tag.main(["job.ipynb", "1", "imports"]) == 0
    assert _roles() == ["imports"]


def test_text_is_not_exported_and_a_range_passes_over_it(
    write_notebook: Write, capsys: Capture
) -> None:
    path = _six(write_notebook)
    document = json.loads(path.read_text())
    document["cells"][1] = {"cell_type": "markdown", "metadata": {}, "source": "# Title"}
    document["cells"][4]["metadata"] = {"vscode": {"languageId": "sql"}}
    path.write_text(json.dumps(document))
    assert tag.main(["job.ipynb", "2", "export"]) == 1
    assert "cell 2: NQ602 is a markdown cell" in capsys.readouterr().err
    assert tag.main(["job.ipynb", "1-6", "export"]) == 1
    assert "cell 5: NQ602 is written in sql" in capsys.readouterr().err
    assert tag.main(["job.ipynb", "1-4", "export"]) == 0
    assert tag.main(["job.ipynb", "2", "skip"]) == 0
    assert _roles() == ["export", "skip", "export", "export", None, None]


def test_a_wrong_role_is_answered_with_the_right_one(capsys: Capture) -> None:
    assert tag.main(["job.ipynb", "1", "handlr"]) == 2
    assert capsys.readouterr().err == "nq-tag: there is no role 'handlr'; say handler\n"
    assert tag.main(["job.ipynb", "1", "zebra"]) == 2
    assert "say one of config, export, handler" in capsys.readouterr().err


def test_diff_shows_one_hunk_and_writes_nothing(
    write_notebook: Write, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = write_notebook(("", "x = 1"), bare=True)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    before = path.read_bytes()
    assert tag.main(["job.ipynb", "1", "handler", "--diff"]) == 0
    shown = capsysbinary.readouterr().out.decode()
    assert shown.count("@@ ") == 1
    assert '+     "nq-handler"' in shown
    assert path.read_bytes() == before


def test_a_percent_file_gets_its_tag_in_the_marker(capsys: Capture) -> None:
    """Exporter R20."""
    Path("job.py").write_text("import os\n# %% [markdown]\n# Hi\n# %% Work\nx = 1\n")
    assert tag.main(["job.py", "3", "handler"]) == 0
    assert Path("job.py").read_text() == (
        'import os\n# %% [markdown]\n# Hi\n# %% Work tags=["nq-handler"]\nx = 1\n'
    )
    assert tag.main(["job.py", "1", "imports"]) == 1
    assert "cell 1: NQ604 stands before the first '# %%'" in capsys.readouterr().err


def test_a_file_that_is_no_notebook_or_cannot_be_written_is_one_line(
    write_notebook: Write, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("bad.ipynb").write_text("{")
    assert tag.main(["bad.ipynb", "1", "export"]) == 2
    assert tag.main(["none.ipynb", "1", "export"]) == 2
    before = _six(write_notebook).read_bytes()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(self), None, str(target))

    monkeypatch.setattr(Path, "replace", full)
    assert tag.main(["job.ipynb", "1", "export"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in said] == ["NQ003", "NQ001", "NQ605"]
    assert Path("job.ipynb").read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == ["bad.ipynb", "job.ipynb"]
