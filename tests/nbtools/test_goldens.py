"""Every sample notebook beside what becomes of it: the worker, or the lines of the refusal.

`NQ_UPDATE_GOLDENS=1 pytest tests/nbtools/test_goldens.py` writes them anew; read the diff.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path

import nbformat
import pytest

from nbtools import __version__
from nbtools.errors import Diagnostic, ExportError
from nbtools.exporter import export_notebook, where_in

SAMPLES = Path(__file__).parents[1] / "samples" / "notebooks"
NOTEBOOKS = sorted(SAMPLES.glob("*.ipynb"))
ACCEPTED = [path for path in NOTEBOOKS if path.name.startswith("ok-")]


def _name(path: Path) -> str:
    return path.stem


def _compare(golden: Path, text: str | None) -> None:
    if os.environ.get("NQ_UPDATE_GOLDENS") == "1":
        golden.unlink(missing_ok=True)
        if text is not None:
            golden.write_bytes(text.encode())
        return
    if text is None:
        assert not golden.exists(), f"{golden.name} is no longer produced"
    else:
        assert golden.exists(), f"{golden.name} is missing: set NQ_UPDATE_GOLDENS=1 once"
        assert text == golden.read_bytes().decode()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=_name)
def test_a_sample_becomes_what_its_golden_file_says(path: Path) -> None:
    worker: str | None = None
    findings: tuple[Diagnostic, ...]
    try:
        # The packages' versions are this environment's: `test_dependencies` is about them.
        exported = export_notebook(path, deps=False)
    except ExportError as error:
        findings, verdict = error.diagnostics, "refused-"
    else:
        findings, verdict = exported.warnings, "ok-warned-" if exported.warnings else "ok-"
        worker = exported.text.replace(f"nq-export {__version__}.", "nq-export VERSION.")
    assert path.name.startswith(verdict)
    assert path.name.startswith("ok-warned-") == (verdict == "ok-warned-")
    assert (worker is None) == any(not finding.is_warning for finding in findings)
    said = [finding.sentence(path.name) for finding in findings]
    _compare(path.with_suffix(".txt"), "".join(f"{line}\n" for line in said) or None)
    _compare(path.with_suffix(".py"), worker)


def test_no_golden_file_outlives_its_notebook() -> None:
    strays = {
        each.name
        for each in SAMPLES.iterdir()
        if each.suffix in {".py", ".txt"} and not each.with_suffix(".ipynb").exists()
    }
    assert strays == {"local_sibling.py"}


def test_there_are_enough_samples() -> None:
    assert len(ACCEPTED) >= 35
    assert len(NOTEBOOKS) - len(ACCEPTED) >= 45


def _source(path: Path, cell: int) -> str:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has none
    source: str = notebook.cells[cell - 1].source
    return source.replace("\r\n", "\n")


@pytest.mark.parametrize("path", ACCEPTED, ids=_name)
def test_every_line_of_a_sample_finds_its_way_back(path: Path) -> None:
    """Exporter R14: the map from the file's text alone, for every line, both directions."""
    exported = export_notebook(path)
    lines = exported.text.split("\n")
    for number, text in enumerate(lines, 1):
        place = where_in(exported.text, number)
        if number in exported.places:
            assert place is not None
            assert (place.cell, place.line) == exported.places[number]
            written = _source(path, place.cell).split("\n")[place.line - 1]
            is_edited = text.startswith(("# ", "    pass  # (dropped)")) or not text
            assert text == written or is_edited
        elif place is not None:
            assert text in lines[lines.index("config = {") : lines.index("}") + 1]


@pytest.mark.parametrize("path", ACCEPTED, ids=_name)
def test_the_syntax_of_an_export_is_the_template_and_the_cells(path: Path) -> None:
    """Faults 105: nothing around the cells becomes code."""
    exported = export_notebook(path)
    tree = ast.parse(exported.text)
    compile(exported.text, "<worker>", "exec", dont_inherit=True)  # exporter R4
    allowed = {(place[0], place[1]) for place in exported.places.values()}
    template = [
        statement for statement in tree.body if exported.places.get(statement.lineno) not in allowed
    ]
    kinds = [type(statement).__name__ for statement in template]
    kinds = kinds[1:] if kinds[0] == "ImportFrom" else kinds  # a hoisted future import
    assert kinds == ["Assign", "FunctionDef", "FunctionDef", "Expr", "Try", "If"]


@pytest.mark.parametrize("path", ACCEPTED, ids=_name)
def test_an_export_is_the_same_from_any_folder_and_after_any_save(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exporter R16: new ids, outputs, counts, indentation and folder change no byte."""
    exported = export_notebook(path)
    if '"worksheets"' in path.read_text():
        return  # an older format is read, and saved as another one
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has none
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"new-{number}"
        if cell.cell_type == "code":
            cell.execution_count = 40 + number
            cell.outputs = [nbformat.v4.new_output("stream", text="x = 1\n")]  # type: ignore[no-untyped-call]  # nbformat has none
    (tmp_path / "deep").mkdir()
    copy = tmp_path / "deep" / path.name
    copy.write_text(nbformat.v4.writes(notebook, indent=4))  # type: ignore[no-untyped-call]  # nbformat has none
    # The name in the header counts from the project's root.
    (tmp_path / "deep" / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    again = export_notebook(Path("deep") / path.name)
    assert again.text.split("\n")[3:] == exported.text.split("\n")[3:]
    assert again.text.split("\n")[1] == exported.text.split("\n")[1]
    assert again.text.split("\n")[2] == f"# notebook: {path.name}"
