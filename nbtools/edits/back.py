"""Put the edits of a worker file back into the cells that they belong to."""

from __future__ import annotations

import difflib
from typing import NamedTuple

from nbtools.edits.ipynb import IpynbText
from nbtools.edits.percent import PercentText
from nbtools.edits.worker import Part, Worker, cut_worker
from nbtools.errors import Diagnostic, EditError
from nbtools.exporter import Exported, render_notebook
from nbtools.notebook import Notebook, parse_notebook
from nuxt_queue import origin

__all__ = ["Back", "put_back"]

_BLOCK = "# /// script"


class Back(NamedTuple):
    """What became of putting a worker's edits back; nothing has been written yet.

    Attributes:
        cells: The numbers of the cells that changed.
        text: The notebook with the edits.
        exported: The worker that the notebook now makes.
    """

    cells: list[int]
    text: str
    exported: Exported


class _Pair(NamedTuple):
    """A part of the worker and what its cell makes now; `is_same` when the cell is as it was."""

    part: Part
    now: Part
    is_same: bool


def put_back(
    document: IpynbText | PercentText, worker: Worker, file: str, *, stem: str, force: bool = False
) -> Back:
    """Apply the edits of a worker to the notebook it came from.

    Args:
        document: The notebook's text, which is changed.
        worker: The worker, edited.
        file: The worker's name, for messages.
        stem: The worker's name as a queue.
        force: Let the worker win where the notebook has changed too.

    Raises:
        EditError: If an edit belongs to no cell, or a cell changed on both sides; shows both.
        ExportError: If the notebook cannot be exported, before or after the edits.
    """
    notebook = document.notebook
    options = {"allow_local": True, "with_deps": any(part.role == "deps" for part in worker.parts)}
    exported = render_notebook(notebook, stem=stem, **options)
    fresh = cut_worker(exported.text, file)
    if _BLOCK in fresh.head and _BLOCK not in worker.head:
        options["deps"] = False  # it was exported with --no-deps
    found = _edits_of_no_cell(worker, fresh)
    pairs, lost = _pair(worker.parts, fresh.parts)
    found += [_gone(part) for part in lost if not part.is_verbatim]
    clashes = [] if force else [pair for pair in pairs if _clashes(pair)]
    found += [_both_changed(pair) for pair in clashes]
    found += _taken_out(pairs, worker, fresh)
    edited = [pair for pair in pairs if _is_edited(pair, force=force)]
    if not (found or edited) and worker.head != fresh.head:
        found.append(_head_alone())
    if found:
        shown = "".join(_both(pair, notebook.file, file) for pair in clashes)
        raise EditError(file, sorted(found, key=lambda each: each.line), shown)
    for pair in sorted(edited, key=lambda pair: -pair.now.first):
        _apply(document, pair)
    text = document.text()
    again = parse_notebook(text.encode(), notebook.file)
    cells = sorted({pair.now.cell for pair in edited})
    return Back(cells, text, render_notebook(again, stem=stem, **options))


def _clashes(pair: _Pair) -> bool:
    is_alike = pair.part.lines == pair.now.lines
    return not (pair.is_same or pair.part.is_verbatim or is_alike)


def _is_edited(pair: _Pair, *, force: bool) -> bool:
    if pair.part.lines == pair.now.lines:
        return False
    return pair.is_same or (force and not pair.part.is_verbatim)


def _pair(parts: list[Part], fresh: list[Part]) -> tuple[list[_Pair], list[Part]]:
    """Find for each part of the worker what its cell makes now: by its text, else by its place."""
    pairs: list[_Pair] = []
    left = list(fresh)
    unknown: list[Part] = []
    for part in parts:
        same = [each for each in left if (each.digest, each.first) == (part.digest, part.first)]
        if same:
            now = min(same, key=lambda each: abs(each.cell - part.cell))
            left.remove(now)
            pairs.append(_Pair(part, now, is_same=True))
        else:
            unknown.append(part)
    lost: list[Part] = []
    for part in unknown:
        there = [each for each in left if each.role == part.role]
        near = min(there, key=lambda each: abs(each.cell - part.cell), default=None)
        if near is None or (abs(near.cell - part.cell) > 0 and not _alike(near, part)):
            lost.append(part)
        else:
            left.remove(near)
            pairs.append(_Pair(part, near, is_same=False))
    return pairs, lost


def _alike(one: Part, other: Part) -> bool:
    return difflib.SequenceMatcher(None, one.lines, other.lines, autojunk=False).ratio() > 0.5  # noqa: PLR2004 half


def _apply(document: IpynbText | PercentText, pair: _Pair) -> None:
    """Change the lines of a cell as the lines of its part were changed."""
    source = _source(document, pair.now.cell)
    start = pair.now.first - 1
    matcher = difflib.SequenceMatcher(None, pair.now.lines, pair.part.lines, autojunk=False)
    for tag, first, last, new_first, new_last in reversed(matcher.get_opcodes()):
        if tag != "equal":  # what the exporter itself changes stays as the cell has it
            source[start + first : start + last] = pair.part.lines[new_first:new_last]
    document.set_source(pair.now.cell, "\n".join(source))


def _source(document: IpynbText | PercentText, number: int) -> list[str]:
    notebook: Notebook = document.notebook
    current = parse_notebook(document.text().encode(), notebook.file)
    return current.cells[number - 1].source.split("\n")


# --- what cannot be put back ---------------------------------------------------------------------


def _edits_of_no_cell(worker: Worker, fresh: Worker) -> list[Diagnostic]:
    found = []
    at = _first_difference(worker.config, fresh.config)
    if at:
        message = "the config is not what the notebook states"
        found.append(Diagnostic("NQ613", message, "change it in the notebook's config cell", 0, at))
    if worker.version != fresh.version:
        return found  # another exporter may have written other lines of its own
    for mine, theirs in zip(worker.template, fresh.template, strict=False):
        if at := _first_difference(mine, theirs):
            message = "a line that comes from no cell was changed"
            fix = "move the change into a cell's part; nq-export writes the rest"
            found.append(Diagnostic("NQ613", message, fix, 0, at))
    return found


def _first_difference(mine: tuple[int, list[str]], theirs: tuple[int, list[str]]) -> int:
    """Return the line of the worker at which two texts part, or 0."""
    at, lines = mine
    if lines == theirs[1]:
        return 0
    pairs = enumerate(zip(lines, theirs[1], strict=False))
    return at + next((n for n, (one, other) in pairs if one != other), min(len(lines), len(theirs)))


def _head_alone() -> Diagnostic:
    # Nothing below the first marker differs, so what was edited stands above it.
    message = "what was edited stands above the first cell"
    fix = "state dependencies in a cell that begins with # /// script, or say nq-export --force"
    return Diagnostic("NQ613", message, fix, 0, origin.HEADER_LINES + 1)


def _gone(part: Part) -> Diagnostic:
    message = f"cell {part.cell}, from which this part came, is no longer exported"
    return Diagnostic("NQ612", message, "put this edit into the notebook by hand", 0, part.at)


def _taken_out(pairs: list[_Pair], worker: Worker, fresh: Worker) -> list[Diagnostic]:
    """Report parts that were taken out of the worker: certain while the notebook is unchanged."""
    kept = {id(pair.now) for pair in pairs}
    gone = [part for part in fresh.parts if id(part) not in kept]
    if worker.source != fresh.source:
        return []  # a cell may be marked since then
    fix = "remove the cell in the notebook, or its mark"
    return [
        Diagnostic("NQ614", f"the part of cell {part.cell} was taken out", fix) for part in gone
    ]


def _both_changed(pair: _Pair) -> Diagnostic:
    message = f"cell {pair.now.cell} has changed in the notebook too"
    fix = "bring the two together by hand, or take the worker's with --force"
    return Diagnostic("NQ612", message, fix, 0, pair.part.at)


def _both(pair: _Pair, notebook: str, worker: str) -> str:
    """Return both versions of a cell as a diff, the notebook's first."""
    names = (f"{notebook} cell {pair.now.cell}", f"{worker} line {pair.part.at}")
    lines = difflib.unified_diff(pair.now.lines, pair.part.lines, *names, lineterm="")
    return "".join(f"{line}\n" for line in lines)
