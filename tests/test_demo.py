"""The demonstration runs, and shows what really happened."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nbtools.demo import main

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def test_three_notebooks_become_a_flow_in_three_processes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(str(NOTEBOOKS)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    steps = re.findall(r"^  (\w+) +completed +(\d+) +[\d.]+ s +(\d+)  (\S+)$", out, re.MULTILINE)
    assert [(name, logs, emitted) for name, _, logs, emitted in steps] == [
        ("prepare_data", "2", "data.prepared"),
        ("train_model", "6", "model.trained"),
        ("evaluate_model", "2", "-"),
    ]
    assert len({pid for _, pid, _, _ in steps}) == 3
    accuracy = re.search(r"^  accuracy ([\d.]+)% on 143 rows never seen before$", out, re.MULTILINE)
    assert accuracy
    assert float(accuracy[1]) > 90


def test_a_folder_without_notebooks_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(str(tmp_path)) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
