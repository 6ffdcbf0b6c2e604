"""pytest names the notebook, the cell and the line of a failure in an exported file."""

from __future__ import annotations

import linecache
from collections.abc import Generator
from pathlib import Path

import pytest

from nuxt_queue.origin import place_of

__all__ = ["pytest_runtest_makereport"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add a section to the report of a test that failed in a worker or in a worker's tests."""
    report = yield
    if call.excinfo is None or report.skipped:
        return report
    places = []
    for entry in call.excinfo.traceback:
        file, line = str(entry.path), entry.lineno + 1
        if place := place_of(linecache.getlines(file), line):
            places.append(f"{place}  ({Path(file).name}:{line})")
    if places:
        report.sections.append((f"notebook of {item.name}", "\n".join(places)))
    return report
