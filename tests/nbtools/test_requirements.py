"""What the exporter promises, R1 to R25 and P1 to P5, and the tests that show each of it."""

from __future__ import annotations

import re

from tests.citations import TESTS, cited

ROOT = TESTS.parent

REQUIREMENTS = {
    "R1": "tag, first line and metadata say the same roles; other tools' tags are left in peace",
    "R2": "nq-tag marks cells and changes nothing else in the file",
    "R3": "the text of a cell is exported byte for byte",
    "R4": "exit status 0 means that the file compiles and imports",
    "R5": "magics: dropped or refused by what they mean, or as the project says",
    "R6": "top-level await and event loops are refused with cell and line",
    "R7": "future imports are hoisted; dataclasses under them are found by the registry",
    "R8": "every name is defined in an exported cell, in order; --with-deps takes what is missing",
    "R9": "what a worker would do at import is warned about; --strict refuses it",
    "R10": "the config is read without running, checked, and stated as a literal",
    "R11": "one handler, one config, and a signature that can be called",
    "R12": "one entry; runs as a script, imports as a module, is found by the registry",
    "R13": "one file; nothing that only works beside the notebook, unless --allow-local",
    "R14": "every line finds its way back",
    "R15": "an error names notebook, cell and line",
    "R16": "the same sources make the same bytes",
    "R17": "the header says what it was made from; what was edited by hand is kept",
    "R18": "--check, --diff, --stdout, --json, several notebooks, an unchanged file is not written",
    "R19": "nq-sync puts edits back into their cells",
    "R20": "every notebook is read, everything else is refused in one line",
    "R21": "other languages are refused or passed over",
    "R22": "outputs, attachments and text never reach the file; secrets are warned about",
    "R23": "the packages that it needs are stated",
    "R24": "nbconvert and JupyterLab's menu make the same bytes; --watch",
    "R25": "test cells become a test file; what the emulator shows is the same every time",
}
FIGURES = {f"P{number}" for number in range(1, 6)}  # benchmarks/exporter.py prints P1 to P4


def _named(docstring: str) -> list[str]:
    return re.findall(r"\b[RP]\d+\b", docstring)


def test_every_requirement_has_a_test_and_every_test_cites_one_that_exists() -> None:
    found = cited(["nbtools", "emulator"], _named)
    figures = set(re.findall(r"\bP[1-5]\b", (ROOT / "benchmarks" / "exporter.py").read_text()))
    assert sorted(REQUIREMENTS.keys() - found.keys()) == []
    assert sorted(FIGURES - found.keys() - figures) == []
    assert sorted(found.keys() - REQUIREMENTS.keys() - FIGURES) == []
