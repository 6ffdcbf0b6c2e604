"""A project says itself what becomes of magics (exporter R5)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbtools import cli
from nbtools.errors import ExportError, NotebookFormatError
from nbtools.exporter import export_notebook
from nbtools.exporter.policy import plain_magics
from nbtools.notebook import read_notebook
from nbtools.trials import find_trials
from nuxt_queue.config import ProjectConfig

Write = Callable[..., Path]

MAGICS = (
    'magics = { drop = ["%my_magic", "%%sql"], refuse = ["%matplotlib", "%pip"], '
    'keep_body = ["%%my_timer"] }'
)


@pytest.fixture
def state(tmp_path: Path) -> Callable[[str], None]:
    def write(settings: str) -> None:
        text = f"[tool.nuxt-queue.export]\n{settings}\n"
        (tmp_path / "pyproject.toml").write_text(text)

    return write


def test_a_magic_that_the_project_drops_is_a_comment(
    write_notebook: Write, state: Callable[[str], None]
) -> None:
    """Also as a block's only statement, and below a cell magic whose cell stays."""
    state(MAGICS)
    cells = (
        ("nq-export", "A = 1\n%my_magic now\nif A:\n    %my_magic later\nB = 2"),
        ("nq-export", "%%my_timer --fast\nC = 3"),
        ("nq-export", "%%sql\nselect *\n  from\n\n!ls"),
    )
    text = export_notebook(write_notebook(*cells)).text
    assert (
        "A = 1\n# (dropped) %my_magic now\n"
        "if A:\n    pass  # (dropped) %my_magic later\nB = 2\n" in text
    )
    assert "\n# (dropped) %%my_timer --fast\nC = 3\n" in text
    assert (
        "\n# (dropped) %%sql\n# (dropped) select *\n# (dropped)   from\n\n# (dropped) !ls" in text
    )


def test_a_magic_that_the_project_refuses_is_refused_and_the_others_stay_as_they_were(
    write_notebook: Write, state: Callable[[str], None]
) -> None:
    notebook = write_notebook(
        ("nq-export", "%matplotlib inline"),
        ("nq-export", "A = 1\n%pip install x"),
        ("nq-export", "x = %my_magic"),
        ("nq-export", "%load_ext autoreload"),
    )
    state(MAGICS)
    by_the_project = "the project's pyproject.toml refuses it; leave it in an untagged cell"
    with pytest.raises(ExportError) as raised:
        export_notebook(notebook)
    assert [line.partition(": ")[2] for line in str(raised.value).splitlines()] == [
        f"NQ202 magic '%matplotlib'; {by_the_project}",
        f"NQ202 magic '%pip'; {by_the_project}",
        "NQ202 magic '%my_magic'; write it in Python, or leave it in an untagged cell",
    ]


def test_cells_that_are_taken_and_cells_that_are_tests_follow_it_too(
    write_notebook: Write, state: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    state(MAGICS)
    monkeypatch.chdir(
        write_notebook(
            ("", "def double(n):\n    %my_magic\n    return n * 2"),
            ("nq-export", "A = double(1)"),
            ("nq-test", "%my_magic\nassert A == 2"),
        ).parent
    )
    assert cli.main(["--with-deps", "--tests", "tests", "-o", "w", "job.ipynb"]) == 0
    assert "    pass  # (dropped) %my_magic\n" in Path("w/job.py").read_text()
    assert "# (dropped) %my_magic\n" in Path("tests/test_job.py").read_text()


def test_a_cell_that_stays_defines_its_names_also_where_it_is_unmarked(
    write_notebook: Write, state: Callable[[str], None]
) -> None:
    """Such a cell is named as the one to mark, and `--with-deps` takes from it."""
    state(MAGICS)
    notebook = write_notebook(("", "%%my_timer\nC = 3"), ("nq-export", "D = C + 1"))
    with pytest.raises(ExportError, match="NQ205 'C' is defined in cell 2"):
        export_notebook(notebook)
    assert "\nC = 3\n" in export_notebook(notebook, with_deps=True).text
    tried = ("nq-test", "%%my_timer\nawait run_local(handler, {'n': 1})")
    trials, _ = find_trials(read_notebook(write_notebook(tried)), "handler")
    assert [trial.data for trial in trials] == [{"n": 1}]


PLAINLY_WRONG: list[object] = [
    {"magics": {"dorp": []}},
    {"magics": {"drop": ["x"]}},
    {"magics": {"drop": ["%é"]}},
    {"magics": {"drop": [3]}},
    {"magics": {"keep_body": ["%x"]}},
    {"magics": {"drop": ["%x"], "refuse": ["%x"]}},
    {"magic": {}},
    3,
]
WRONG = {
    'magics = { dorp = ["%x"] }': "export.magics.dorp is no known key; did you mean drop?",
    "magic = {}": "export.magic is no known key; did you mean magics?",
    'magics = { drop = "%x" }': 'export.magics.drop is "%x"; expected a list of magics such as',
    'magics = { drop = ["x"] }': 'export.magics.drop[0] is "x"; expected a list of magics',
    'magics = { keep_body = ["%x"] }': "expected a list of cell magics such as",
    'magics = { drop = ["%x"], refuse = ["%x"] }': 'magics names "%x" in two lists; keep one',
    "magics = 3": "export.magics is 3; expected a table",
    "magics = {": "is not valid TOML",
}


@pytest.mark.parametrize("settings", WRONG)
@pytest.mark.parametrize("options", [[], ["-o", "w"]])
def test_a_wrong_setting_is_refused_in_one_line(
    settings: str,
    options: list[str],
    write_notebook: Write,
    state: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With `-o` nothing but a magic has the settings read."""
    state(settings)
    notebook = write_notebook(("nq-export", "%my_magic"))
    assert cli.main([*options, str(notebook)]) == 2
    told = capsys.readouterr().err
    assert "pyproject.toml: NQ012 " in told
    assert WRONG[settings] in told
    assert told.count("\n") == 1
    with pytest.raises(NotebookFormatError):
        export_notebook(notebook)


def test_what_is_plainly_right_is_what_the_settings_say(tmp_path: Path) -> None:
    """The short way without pydantic accepts nothing that the settings refuse."""
    for settings in ("", "magics = {}", MAGICS, 'magics = { drop = ["%x", "%x"] }'):
        (tmp_path / "pyproject.toml").write_text(f"[tool.nuxt-queue.export]\n{settings}\n")
        export = ProjectConfig.find(tmp_path).export
        assert plain_magics(export.model_dump()) == export.magics.decisions()
    assert [plain_magics(wrong) for wrong in PLAINLY_WRONG] == [None] * len(PLAINLY_WRONG)


def test_where_no_cell_holds_a_magic_the_project_is_not_read(
    write_notebook: Write, tmp_path: Path
) -> None:
    notebook = write_notebook(("nq-export", "A = 7 % 2"))
    (tmp_path / "pyproject.toml").write_text("no TOML")
    assert export_notebook(notebook).config["queue"] == {"name": "job"}
