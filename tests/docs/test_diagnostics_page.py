"""Each code is documented, each documented code exists, and its example shows it (exporter R18)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "diagnostics.md").read_text()
SECTIONS = dict(re.findall(r"^### (NQ\d{3})\n(.+)$", PAGE, re.MULTILINE))
SAMPLES = ROOT / "tests" / "samples" / "notebooks"
_CODE = re.compile(r"\bNQ\d{3}\b")


def _shown() -> dict[str, set[str]]:
    """Return the samples whose lines show each code."""
    shown: dict[str, set[str]] = {}
    for said in SAMPLES.glob("*.txt"):
        for code in _CODE.findall(said.read_text()):
            shown.setdefault(code, set()).add(said.stem)
    return shown


def test_the_page_has_each_code_of_the_source_and_no_other() -> None:
    used = {
        code
        for path in (ROOT / "nbtools").rglob("*.py")
        for code in _CODE.findall(path.read_text())
    }
    assert set(SECTIONS) == used
    assert list(SECTIONS) == sorted(SECTIONS)
    assert len(re.findall(r"^### ", PAGE, re.MULTILINE)) == len(SECTIONS)


@pytest.mark.parametrize("code", sorted(SECTIONS))
def test_an_example_shows_its_code_and_a_code_with_a_sample_names_one(code: str) -> None:
    named = re.findall(r"Example: `([\w-]+)`\.$", SECTIONS[code])
    shown = _shown().get(code, set())
    assert bool(named) == bool(shown)
    assert set(named) <= shown


def test_a_warning_is_called_one() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "nbtools").rglob("*.py"))
    warnings = {
        found[1]
        for found in re.finditer(r'Diagnostic\("(NQ\d{3})"(?:[^()]|\([^()]*\))*\)', source)
        if "is_warning=True" in found[0] or found[0].endswith(", True)")
    }
    assert {code for code, text in SECTIONS.items() if text.startswith("*Warning.*")} == warnings
