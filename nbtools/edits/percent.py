"""A `.py` in the percent format as text: a change touches one marker line, or one cell's lines."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from nbtools.notebook import Notebook, parse_notebook
from nbtools.percent import cut

__all__ = ["PercentText"]


class PercentText:
    """The text of a percent file, by lines.

    Attributes:
        notebook: The notebook as it was read, before any change.

    Raises:
        NotebookFormatError: If the bytes are no percent file that can be read.
    """

    def __init__(self, raw: bytes, file: str) -> None:
        self.notebook: Notebook = parse_notebook(raw, file)
        text = raw.decode()
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._lines = text.replace("\r\n", "\n").split("\n")
        self._parts = cut("\n".join(self._lines).removeprefix("\ufeff"))

    def text(self) -> str:
        """Return the whole file, changes included."""
        return self._newline.join(self._lines)

    def can_mark(self, number: int) -> bool:
        """Tell whether the cell has a line for its marks; the text before the first has none."""
        return self._parts[number - 1].marker is not None

    def set_tags(self, number: int, tags: Sequence[str]) -> None:
        """Give a cell these tags, in its marker."""
        self._set(number, "tags", list(tags) or None)

    def set_stated_role(self, number: int, role: str | None) -> None:
        """Set or remove the role in a cell's marker, `nq={"role": ...}`."""
        self._set(number, "nq", None if role is None else {"role": role})

    def set_source(self, number: int, source: str) -> None:
        """Give a cell other lines; the empty ones after it stay."""
        _, start, end = self._parts[number - 1]
        while end > start and not self._lines[end - 1]:
            end -= 1
        self._lines[start:end] = source.split("\n")
        self._parts = cut("\n".join(self._lines).removeprefix("\ufeff"))

    def _set(self, number: int, key: str, value: Any) -> None:
        at = self._parts[number - 1].marker
        assert at is not None
        line = self._lines[at]
        brace = line.find("{")
        if brace >= 0 and "=" not in line[:brace]:  # `# %% {"tags": [...]}`
            metadata, end = json.JSONDecoder().raw_decode(line, brace)
            metadata.pop(key, None)
            if value is not None:
                metadata[key] = value
            written = json.dumps(metadata, ensure_ascii=False) if metadata else ""
            self._lines[at] = (line[:brace] + written + line[end:]).rstrip()
            return
        new = "" if value is None else f" {key}={json.dumps(value, ensure_ascii=False)}"
        if found := re.search(rf"\s{key}=", line):
            _, end = json.JSONDecoder().raw_decode(line, found.end())
            self._lines[at] = line[: found.start()] + new + line[end:]
        else:
            self._lines[at] = line + new
