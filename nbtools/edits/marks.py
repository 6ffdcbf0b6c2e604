"""Give cells a role: a mark that is there is changed where it stands, else the cell gets a tag."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nbtools.edits.ipynb import IpynbText
from nbtools.edits.percent import PercentText
from nbtools.errors import Diagnostic, EditError
from nbtools.exporter.roles import EXPORTED, TAGS, Marked, assign_roles
from nbtools.notebook import Cell, Notebook

__all__ = ["pick_cells", "set_roles"]


def pick_cells(notebook: Notebook, words: str, role: str | None = None) -> list[Cell]:
    """Return the cells that are meant by `3`, `3-7`, `2,4` or cell ids, in their order.

    A range passes over the text between code cells when they are to get a role that only code
    can have.

    Raises:
        EditError: If there is no such cell, or an id is not unique.
    """
    found: list[Diagnostic] = []
    numbers: set[int] = set()
    for word in words.split(","):
        meant = _numbers(word.strip(), notebook, found)
        code = [number for number in meant if notebook.cells[number - 1].kind == "code"]
        numbers.update(code if code and role in EXPORTED else meant)
    if found:
        raise EditError(notebook.file, found)
    return [notebook.cells[number - 1] for number in sorted(numbers)]


def set_roles(
    document: IpynbText | PercentText, cells: Iterable[Cell], role: str | None
) -> list[int]:
    """Give cells a role, or none; return the numbers of those that changed.

    Raises:
        EditError: If a cell cannot have it; nothing of the document is changed then.
    """
    notebook = document.notebook
    marked, _ = assign_roles(notebook)
    chosen = [marked[cell.number - 1] for cell in cells]
    found = [problem for each in chosen if (problem := _problem(each, role, document))]
    if found:
        raise EditError(notebook.file, found)
    changed = []
    for each in chosen:
        if each.role == role and (each.marks or role is None):
            continue
        _mark(document, each, role)
        changed.append(each.cell.number)
    return changed


def _numbers(word: str, notebook: Notebook, found: list[Diagnostic]) -> Sequence[int]:
    cells = notebook.cells
    first, dash, last = word.partition("-")
    if first.isdecimal() and (not dash or last.isdecimal()):
        numbers = range(int(first), int(last if dash else first) + 1)
        if numbers and numbers[0] >= 1 and numbers[-1] <= len(cells):
            return numbers
    same = [cell.number for cell in cells if cell.id == word]
    if len(same) == 1:
        return same
    if same:
        listed = " and ".join(map(str, same))
        found.append(Diagnostic("NQ601", f"cells {listed} share the id '{word}'", "say a number"))
    else:
        count = f"it has {len(cells)} cell{'' if len(cells) == 1 else 's'}"
        fix = "nq-export --list shows them; say 3, 3-7, 2,4 or cell ids"
        found.append(Diagnostic("NQ601", f"has no cell '{word}'; {count}", fix))
    return ()


def _problem(
    each: Marked, role: str | None, document: IpynbText | PercentText
) -> Diagnostic | None:
    cell = each.cell
    if role in EXPORTED and cell.kind != "code":
        message = f"is a {cell.kind} cell and cannot be exported"
        return Diagnostic("NQ602", message, "choose a code cell", cell.number)
    if role in EXPORTED and cell.language and cell.language.lower() not in {"python", "ipython"}:
        message = f"is written in {cell.language} and cannot be exported"
        return Diagnostic("NQ602", message, "choose a Python cell", cell.number)
    if role not in EXPORTED and any(_is_nbdev(mark) for mark in each.marks):
        fix = "remove that line; other tools read it too"
        return Diagnostic("NQ603", "begins with nbdev's '#| export'", fix, cell.number)
    if not each.marks and role and not document.can_mark(cell.number):
        message = "stands before the first '# %%' and has no place for a tag"
        return Diagnostic("NQ604", message, "begin it with a line '# %%'", cell.number)
    return None


def _mark(document: IpynbText | PercentText, each: Marked, role: str | None) -> None:
    cell = each.cell
    tag = next((name for name, meant in TAGS.items() if meant == role), None)
    tag = "parameters" if role == "parameters" else tag  # papermill's own
    kinds = {_kind(mark) for mark in each.marks if not _is_nbdev(mark)}
    if "tag" in kinds or (tag and not kinds):
        tags = [tag if name in TAGS else name for name in cell.tags]
        kept = list(dict.fromkeys(name for name in tags if name))
        document.set_tags(cell.number, kept if "tag" in kinds or not tag else [*kept, tag])
    if "metadata" in kinds:
        document.set_stated_role(cell.number, role)
    if "directive" in kinds:
        document.set_source(cell.number, _with_directive(each, role))


def _with_directive(each: Marked, role: str | None) -> str:
    """Return the text of a cell with its first-line directives saying the role, or gone."""
    left = [mark for mark in each.marks if _kind(mark) == "directive" and not _is_nbdev(mark)]
    lines = []
    for line in each.cell.source.split("\n"):
        if line.strip() not in left:
            lines.append(line)
            continue
        left.remove(line.strip())
        if role:
            lines.append(line[: line.index(":") + 1] + f" {role}")
    return "\n".join(lines)


def _kind(mark: str) -> str:
    if mark.startswith("#"):
        return "directive"
    return "tag" if mark.startswith("tag ") else "metadata"


def _is_nbdev(mark: str) -> bool:
    return mark.startswith("#") and "nq" not in mark
