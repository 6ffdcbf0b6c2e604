"""Says of an error in which cell of which notebook it was raised."""

from __future__ import annotations

import linecache
import os
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from nbtools.errors import NbtoolsError
from nuxt_queue.origin import Place, place_of

__all__ = ["note_place", "places_of"]


def note_place(error: BaseException) -> None:
    """Add a note to an error: the innermost line of a notebook that it came through."""
    place = next(places_of(error.__traceback__), None)
    note = f"raised in {place}"
    if place and note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def places_of(trace: TracebackType | None) -> Iterator[Place]:
    """Yield the lines of notebooks in a traceback, the innermost first."""
    frames = list(traceback.walk_tb(trace))
    for frame, line in reversed(frames):
        lines = linecache.getlines(frame.f_code.co_filename, frame.f_globals)
        if place := place_of(lines, line) or _in_cell("".join(lines), line, frame.f_globals):
            yield place


def _in_cell(source: str, line: int, variables: Mapping[str, Any]) -> Place | None:
    """Find the cell with this text in the notebook that this kernel belongs to."""
    # VS Code tells the first, Jupyter's server the second; others do not say which notebook it is.
    told = variables.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    if not source or not isinstance(told, str):
        return None
    from nbtools.notebook import read_notebook

    for file in (Path(told), Path(Path(told).name)):
        if not file.is_file():
            continue
        try:
            cells = read_notebook(file).cells
        except NbtoolsError:
            return None
        for cell in cells:
            if cell.kind == "code" and cell.source.rstrip("\n") == source.rstrip("\n"):
                return Place(file.name, cell.number, line)
    return None
