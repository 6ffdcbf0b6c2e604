"""Tag, first-line directive or cell metadata: three spellings of the role of a cell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from nbtools.errors import Diagnostic
from nbtools.notebook import Cell, Notebook

__all__ = ["EXPORTED", "ROLES", "TAGS", "Marked", "assign_roles", "closest_role"]

# The roles whose cells become part of the worker.
EXPORTED = frozenset({"parameters", "imports", "config", "export", "handler"})
ROLES = (*sorted(EXPORTED), "test", "skip")
TAGS = {f"nq-{role}": role for role in ROLES} | {"parameters": "parameters"}
_NBDEV = frozenset({"export", "exporti", "exports"})
_DIRECTIVE = re.compile(r"#[ \t]*\|(.*)$")
_OURS = re.compile(r"nq[ \t]*:[ \t]*(.*)$")
# What people write when they mean a directive: `# nq: handler`, `#| nq handler`, `# nq-handler`.
_ALMOST = re.compile(r"#[ \t]*(?:\|[ \t]*)?nq[ \t:_-]+([A-Za-z]+)[ \t]*$")
# A bare word that looks like one of our tags and is no other tool's.
_BARE = frozenset({"handler", "config", "parameter", "params"})


class Marked(NamedTuple):
    """A cell with its role (None when it has none) and the marks that say so."""

    cell: Cell
    role: str | None
    marks: tuple[str, ...]


def assign_roles(notebook: Notebook) -> tuple[list[Marked], list[Diagnostic]]:
    """Find the role of every cell, and what is wrong with the marks."""
    found: list[Diagnostic] = []
    marked = [_mark(cell, found) for cell in notebook.cells]
    return marked, found


def _mark(cell: Cell, found: list[Diagnostic]) -> Marked:
    marks: dict[str, str] = {}
    for mark, role, meant in _spellings(cell):
        if role:
            marks[mark] = role
        elif meant:
            message = f"the mark {_shown(mark)} is not known here and has no effect"
            fix = f"write {meant}" if meant != "?" else f"use one of {', '.join(TAGS)}"
            found.append(Diagnostic("NQ102", message, fix, cell.number, is_warning=True))
    roles = set(marks.values())
    if "injected-parameters" in cell.tags:
        message = "holds parameters that papermill injected"
        fix = "export the notebook that papermill was given, not its output"
        found.append(Diagnostic("NQ104", message, fix, cell.number))
    if len(roles) > 1 and roles <= EXPORTED:
        roles -= {"export"}  # the others are exported too: it says nothing different
    if len(roles) > 1:
        says = " and ".join(f"{_shown(mark)} ({role})" for mark, role in marks.items())
        found.append(Diagnostic("NQ101", f"has two roles: {says}", "keep one mark", cell.number))
    role = min(roles, default=None)
    if role in EXPORTED and (problem := _misplaced(cell)):
        found.append(problem)
        role = None
    return Marked(cell, role, tuple(marks))


def _misplaced(cell: Cell) -> Diagnostic | None:
    if cell.kind != "code":
        message = f"is marked, but it is a {cell.kind} cell and is not exported"
        return Diagnostic("NQ103", message, "mark a code cell", cell.number, is_warning=True)
    if cell.language and cell.language.lower() not in {"python", "ipython"}:
        message = f"is marked for export and written in {_shown(cell.language)}"
        return Diagnostic("NQ105", message, "only Python cells can be exported", cell.number)
    return None


def _spellings(cell: Cell) -> Iterator[tuple[str, str | None, str]]:
    """Yield each mark, its role or None, and for a near miss what was meant (`?`: unknown)."""
    for tag in cell.tags:
        role = TAGS.get(tag)
        yield f"tag {tag}", role, "" if role else _meant_tag(tag)
    if cell.kind == "code":
        yield from _directives(cell.source)
    stated = cell.metadata.get("nq")
    if stated is not None and not (isinstance(stated, dict) and "role" not in stated):
        wanted = stated.get("role") if isinstance(stated, dict) else stated
        role = wanted if isinstance(stated, dict) and wanted in ROLES else None
        meant = closest_role(str(wanted))
        meant = meant and f'{{"nq": {{"role": "{meant}"}}}}'
        yield f"metadata nq {wanted!s}", role, "" if role else meant or "?"


def _directives(source: str) -> Iterator[tuple[str, str | None, str]]:
    lines = source.split("\n")
    if source.startswith("%%"):  # IPython wants a cell magic first
        lines = lines[1:]
    for number, line in enumerate(lines):
        text = line.strip()
        if not text:
            continue
        directive = _DIRECTIVE.match(text)
        said = directive[1].strip(" \t") if directive else ""
        ours = _OURS.match(said)
        if ours:
            role = ours[1] if ours[1] in ROLES else None
            meant = closest_role(ours[1])
            yield text, role, "" if role else (meant and f"#| nq: {meant}") or "?"
        elif said in _NBDEV:
            yield text, "export", ""
        elif (almost := _ALMOST.match(text)) and (number == 0 or directive):
            meant = closest_role(almost[1])
            yield text, None, meant and f"#| nq: {meant}"
        if not directive:
            return


def _meant_tag(tag: str) -> str:
    plain = re.sub(r"[\s_.:]+", "-", tag.strip().lower())
    if plain.startswith("nq"):
        meant = closest_role(plain.removeprefix("nq").lstrip("-"))
        if meant and "," not in tag:
            return f"tag nq-{meant}"
        return "?" if plain.startswith("nq-") else ""
    if plain in _BARE or plain == "parameters":
        return "tag parameters" if plain.startswith("param") else f"tag nq-{plain}"
    return ""


def closest_role(word: str) -> str:
    """Return the role that a word most likely means, or an empty string."""
    import difflib

    return next(iter(difflib.get_close_matches(word.lower(), ROLES, 1, 0.7)), "")


def _shown(text: str) -> str:
    # Marks are other people's text: nothing in them may break a line or steer a terminal.
    return f"'{text}'" if text.isprintable() else ascii(text)
