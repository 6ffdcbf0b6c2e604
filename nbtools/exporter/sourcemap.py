"""`worker.py:57` to notebook, cell and line, from the worker file alone.

`nuxt_queue.origin` says how a worker's markers read; here they are written.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from nuxt_queue.origin import Place, place_of

__all__ = ["ENTRY", "Place", "cell_marker", "config_marker", "marker_prefix", "where", "where_in"]

ENTRY = "entry"
_PREFIX = "# %% nq: "


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
    return place_of(text.split("\n"), line)


def marker_prefix(texts: list[str]) -> str:
    """Return a marker prefix that no line of the texts begins with."""
    prefix, number = _PREFIX, 0
    while any(f"\n{prefix}" in f"\n{text}" for text in texts):
        number += 1
        prefix = f"# %% nq{number}: "
    return prefix


def cell_marker(number: int, role: str, source: str, line: int = 1) -> str:
    """Return what the marker of a cell, or of a part that begins at a line, says after the prefix.

    The text's hash stands for the cell, not its id: ids are missing from most notebooks and are
    made anew when one is saved.
    """
    digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"cell {number}, {role}, {digest}" + (f", from line {line}" if line > 1 else "")


def config_marker(number: int, line: int) -> str:
    """Return what the marker above the config says after the prefix."""
    return f"config of cell {number}, line {line}"
