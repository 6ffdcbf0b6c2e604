"""An `.ipynb` as text: a change touches the bytes of one cell's value and no others."""

from __future__ import annotations

import json
from collections.abc import Sequence

from nbtools.edits.spans import Layout, drop, elements, members, put
from nbtools.errors import NotebookFormatError
from nbtools.notebook import Notebook, parse_notebook

__all__ = ["IpynbText"]


class IpynbText:
    """The text of an `.ipynb`, cut at its cells.

    Attributes:
        notebook: The notebook as it was read, before any change.

    Raises:
        NotebookFormatError: If the bytes are no notebook that can be read.
    """

    def __init__(self, raw: bytes, file: str) -> None:
        self.notebook: Notebook = parse_notebook(raw, file)
        text = raw.decode()
        if "worksheets" in members(text, text.index("{")):
            fix = "save it as nbformat 4 with Jupyter first"
            raise NotebookFormatError(file, "NQ005", "has nbformat 3, which is only read", fix)
        self._layout = Layout.of(text.removeprefix("\ufeff"))
        self._texts: list[str] = []  # between the cells and, at odd places, the cells
        done = 0
        for start, end in _cells(text):
            self._texts += [text[done:start], text[start:end]]
            done = end
        self._texts.append(text[done:])
        # A cell is cut out of its line: without this its own indentation would not be seen.
        self._depths = [_tail(each) for each in self._texts[:-1:2]]

    def text(self) -> str:
        """Return the whole document, changes included."""
        return "".join(self._texts)

    def can_mark(self, number: int) -> bool:
        """Tell whether the cell has a place for its marks: every cell has."""
        return 0 < number <= len(self._depths)

    def set_tags(self, number: int, tags: Sequence[str]) -> None:
        """Give a cell these tags; a cell without tags has no list of them."""
        self._set(number, ("metadata", "tags"), list(tags) or None)

    def set_stated_role(self, number: int, role: str | None) -> None:
        """Set or remove the role in a cell's metadata, `{"nq": {"role": ...}}`."""
        if role is None:
            self._set(number, ("metadata", "nq"), None)
        else:
            self._set(number, ("metadata", "nq", "role"), role)

    def set_source(self, number: int, source: str) -> None:
        """Give a cell another text; its unchanged lines stay as they are written."""
        cell = json.loads(self._texts[2 * number - 1])
        old = cell["source"]
        joined = old if isinstance(old, str) else "".join(old)
        if "\r\n" in joined:
            source = source.replace("\n", "\r\n")
        # As Jupyter cuts a text, so that its next save changes nothing.
        value = source if isinstance(old, str) else source.splitlines(keepends=True)
        self._set(number, ("source",), value)

    def _set(self, number: int, path: tuple[str, ...], value: object) -> None:
        depth = self._depths[number - 1]
        text = depth + self._texts[2 * number - 1]
        if value is not None:
            text = put(text, path, value, self._layout)
        elif _has(json.loads(text), path):
            text = drop(text, path)
        self._texts[2 * number - 1] = text.removeprefix(depth)


def _cells(text: str) -> list[tuple[int, int]]:
    start = text.index("{")
    return list(elements(text, members(text, start)["cells"].start))


def _has(value: object, path: Sequence[str]) -> bool:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True


def _tail(text: str) -> str:
    line = text.rpartition("\n")[2]
    return line if not line.strip() else ""
