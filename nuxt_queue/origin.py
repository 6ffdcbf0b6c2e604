"""Where a line of an exported worker comes from: the reading side of its markers.

The exporter writes them, and whatever reports an error reads them: in a worker's process that is
loaded only when something has failed.

```
# source: 1f..., body: 2e..., markers: "# %% nq: "     line 2 states the prefix
# notebook: notebooks/train.ipynb                      line 3 states the notebook
# %% nq: cell 4, handler, 1f0c2a9b                     the next line is line 1 of cell 4
# %% nq: cell 2, deps, 77aa01bc, from line 9           a part of a cell: the next line is its line 9
# %% nq: config of cell 3, line 2                      what follows was made from that line
# %% nq: entry                                         what follows is the exporter's own
```
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["CELL", "CONFIG", "HEADER_LINES", "NOTEBOOK", "STATED", "Place", "place_of"]

STATED = re.compile(r'# source: [0-9a-f]+, body: [0-9a-f]+, markers: "([^"\n]+)"$')
NOTEBOOK = re.compile(r"# notebook: (.+)$")
CELL = re.compile(r"cell (\d+), (\w+), ([0-9a-f]+)(?:, from line (\d+))?$")
CONFIG = re.compile(r"config of cell (\d+), line (\d+)$")
HEADER_LINES = 3  # lines


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


def place_of(lines: Sequence[str], line: int) -> Place | None:
    """Return the place in the notebook that a line of an exported worker comes from.

    Args:
        lines: The worker's lines, with or without their newlines.
        line: Counted from 1.

    Returns:
        None for lines that the exporter made, and for files that it did not write.
    """
    if not HEADER_LINES <= line <= len(lines):
        return None
    stated, notebook = STATED.match(lines[1].rstrip("\n")), NOTEBOOK.match(lines[2].rstrip("\n"))
    above = _marker_above(lines, line, stated[1]) if stated else None
    if above is None or stated is None or notebook is None:
        return None
    marker = lines[above].rstrip("\n").removeprefix(stated[1])
    if cell := CELL.match(marker):
        return Place(notebook[1], int(cell[1]), line - 2 - above + int(cell[4] or 1), cell[3])
    if config := CONFIG.match(marker):
        return Place(notebook[1], int(config[1]), int(config[2]))
    return None


def _marker_above(lines: Sequence[str], line: int, prefix: str) -> int | None:
    """Return the index of the marker whose part the line belongs to."""
    at = line - 1
    is_marker = lines[at].startswith(prefix)
    # One empty line stands between a part and the next marker.
    is_separator = line == len(lines) or lines[line].startswith(prefix)
    if is_marker or is_separator:
        return None
    return next((i for i in range(at, -1, -1) if lines[i].startswith(prefix)), None)
