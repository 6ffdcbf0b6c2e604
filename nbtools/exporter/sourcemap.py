"""`worker.py:57` to notebook, cell and line, from the worker file alone.

A worker's parts begin with marker lines: a prefix that the third line of the file states and that
no exported cell holds, then what follows.

```
# %% nq: cell 4, handler, 1f0c2a9b      the next line is line 1 of cell 4
# %% nq: config of cell 3, line 2       what follows was made from that line
# %% nq: entry                          what follows is the exporter's own
```
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["ENTRY", "Place", "cell_marker", "config_marker", "marker_prefix", "where"]

ENTRY = "entry"
_PREFIX = "# %% nq: "
_STATED = re.compile(r'# source: [0-9a-f]+, body: [0-9a-f]+, markers: "([^"\n]+)"$')
_NOTEBOOK = re.compile(r"# notebook: (.+)$")
_CELL = re.compile(r"cell (\d+), (\w+), ([0-9a-f]+)$")
_CONFIG = re.compile(r"config of cell (\d+), line (\d+)$")


class Place(NamedTuple):
    """A line of a notebook.

    Attributes:
        notebook: The notebook's name as the worker file states it.
        cell: The cell's number, counted from 1 over cells of every kind.
        line: The line in the cell, counted from 1.
        digest: The first characters of the hash of the cell's text; empty for the config.
    """

    notebook: str
    cell: int
    line: int
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.notebook}, cell {self.cell}, line {self.line}"


def where(worker: str | os.PathLike[str], line: int) -> Place | None:
    """Return the place in the notebook that a line of an exported worker comes from.

    Returns:
        None for lines that the exporter made, and for files that it did not write.

    Raises:
        OSError: If the file cannot be read.
    """
    text = Path(worker).read_text(encoding="utf-8", errors="replace")
    return where_in(text, line)


def where_in(text: str, line: int) -> Place | None:
    """Return the place that a line of an exported worker's text comes from."""
    lines = text.split("\n")
    header = dict(enumerate(lines[:3]))
    stated, notebook = _STATED.match(header.get(1, "")), _NOTEBOOK.match(header.get(2, ""))
    if not stated or not notebook or not 1 <= line <= len(lines):
        return None
    prefix = stated[1]
    above = line - 1  # the index of the line itself; a marker stands above it
    if lines[above].startswith(prefix):
        return None
    while not lines[above].startswith(prefix):
        if above == 0:
            return None
        above -= 1
    marker = lines[above].removeprefix(prefix)
    # One empty line stands between a part and the next marker.
    is_separator = line == len(lines) or lines[line].startswith(prefix)
    if (cell := _CELL.match(marker)) and not is_separator:
        return Place(notebook[1], int(cell[1]), line - 1 - above, cell[3])
    if (config := _CONFIG.match(marker)) and not is_separator:
        return Place(notebook[1], int(config[1]), int(config[2]))
    return None


def marker_prefix(texts: list[str]) -> str:
    """Return a marker prefix that no line of the texts begins with."""
    prefix, number = _PREFIX, 0
    while any(f"\n{prefix}" in f"\n{text}" for text in texts):
        number += 1
        prefix = f"# %% nq{number}: "
    return prefix


def cell_marker(number: int, role: str, source: str) -> str:
    """Return what the marker of a cell says after the prefix.

    The text's hash stands for the cell, not its id: ids are missing from most notebooks and are
    made anew when one is saved.
    """
    digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"cell {number}, {role}, {digest}"


def config_marker(number: int, line: int) -> str:
    """Return what the marker above the config says after the prefix."""
    return f"config of cell {number}, line {line}"
