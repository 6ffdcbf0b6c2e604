"""The list of mutants fits the code, and a trial finds those that no test notices.

The mutants themselves are tried by `make mutants`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.mutants.listing import ROOT, Mutant, chosen, missing_tests, read
from tests.mutants.scratch import Scratch
from tests.mutants.trial import Trials

MUTANTS = read()
LEAST = 60


def test_every_mutant_changes_one_place_and_names_tests_that_exist() -> None:
    problems = []
    for mutant in MUTANTS:
        try:
            changed = mutant.applied(ROOT)
        except LookupError as error:
            problems.append(str(error))
            continue
        if changed == (ROOT / mutant.file).read_text("utf-8"):
            problems.append(f"{mutant.label}: changes nothing")
        problems += [f"{mutant.label}: no test {test}" for test in missing_tests(mutant, ROOT)]

    assert not problems, "\n".join(problems)


def test_no_change_is_listed_twice() -> None:
    changes = [(each.file, each.find, each.put) for each in MUTANTS]

    assert len(set(changes)) == len(changes) >= LEAST


def test_every_promise_and_every_limit_of_the_readme_has_a_mutant() -> None:
    section = (ROOT / "README.md").read_text("utf-8").partition("## What you can rely on")[2]
    first_cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    promised = [cell for cell in first_cells if cell not in ("promise", "limit")]
    rows = {each.row for each in MUTANTS if each.row}

    assert [cell for cell in promised if not any(cell.startswith(row) for row in rows)] == []
    assert [row for row in rows if not any(cell.startswith(row) for cell in promised)] == []


def test_mutants_are_chosen_by_a_word_of_their_room_promise_file_or_tests() -> None:
    one = Mutant("room", "A promise.", "a/file.py", "find", "put", ("tests/test_it.py::test_x",))

    for word in ("ROOM", "promise", "a/file", "test_x"):
        assert chosen([one], ["other", word]) == [one]
    assert chosen([one], ["other"]) == []
    assert chosen([one], []) == [one]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one module and its tests, which need none of pytest's plugins."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    root = tmp_path / "project"
    (root / "tests").mkdir(parents=True)
    (root / "limits.py").write_text("MOST = 3\n\n\ndef fits(n):\n    return n <= MOST\n")
    (root / "tests" / "test_limits.py").write_text(
        "import subprocess, sys\n"
        "\n"
        "import limits\n"
        "\n"
        "\n"
        "def test_four_do_not_fit():\n"
        "    assert not limits.fits(4)\n"
        "\n"
        "\n"
        "def test_a_process_in_another_folder_imports_the_copy():\n"
        "    code = 'import limits; print(limits.MOST)'\n"
        "    command = [sys.executable, '-P', '-c', code]\n"
        "    assert subprocess.check_output(command, cwd='/', env={}) == b'3\\n'\n"
        "\n"
        "\n"
        "def test_that_always_fails():\n"
        "    assert False\n"
    )
    return root


def limit(put: str, *tests: str, find: str = "MOST = 3") -> Mutant:
    ids = tuple(f"tests/test_limits.py::{test}" for test in tests)
    return Mutant("limits", "At most 3 fit.", "limits.py", find, put, ids)


def test_a_trial_says_which_mutants_were_noticed(project: Path, tmp_path: Path) -> None:
    noticed = limit("MOST = 2", "test_a_process_in_another_folder_imports_the_copy")
    unnoticed = limit("MOST = 2", "test_four_do_not_fit")
    unprovable = limit("MOST = 2", "test_that_always_fails")
    misplaced = limit("", "test_four_do_not_fit", find="MOST = 9")
    unreadable = limit("MOST =", "test_four_do_not_fit")
    heard: list[str] = []

    verdicts = Trials(project, tmp_path / "copies", at_once=1).run(
        [noticed, unnoticed, unprovable, misplaced, unreadable],
        lambda verdict: heard.append(verdict.outcome),
    )

    outcomes = [each.outcome for each in verdicts]
    assert outcomes == ["killed", "SURVIVED", "no verdict", "no verdict", "no verdict"]
    assert heard == outcomes
    assert "by tests/test_limits.py::test_a_process_in_another_folder" in verdicts[0].detail
    assert "fails without the change: assert False" in verdicts[2].detail
    assert "occurs 0 times" in verdicts[3].detail
    assert (project / "limits.py").read_text().startswith("MOST = 3\n")


def test_tests_that_do_not_end_are_ended(project: Path, tmp_path: Path) -> None:
    scratch = Scratch(project, tmp_path / "copy")

    assert scratch.run("-c", "input('waits')", timeout_s=20) != (None, "")
    assert scratch.run("-c", "import time; time.sleep(60)", timeout_s=0.2) == (None, "")
