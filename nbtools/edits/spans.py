"""Change one value in the text of a JSON document and leave every other byte as it is.

A path leads from the text's own value: `("metadata", "tags")`.  What is added looks like what
stands around it: its indentation, its line ends, its way to write letters beyond ASCII.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

__all__ = ["Layout", "Member", "drop", "elements", "members", "put"]

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


class Member(NamedTuple):
    """A key and its value in the text: where the key begins, where the value does, its end."""

    key: int
    start: int
    end: int


class Layout(NamedTuple):
    """How a document is written, for what is added to it.

    Attributes:
        indent: One step of indentation; None when everything stands in one line.
        newline: The line end.
        escapes: Whether letters beyond ASCII are written as escapes.
    """

    indent: str | None
    newline: str
    escapes: bool

    @classmethod
    def of(cls, text: str) -> Layout:
        """Learn the layout from a whole document."""
        first = re.match(r"\s*[{\[](\r?\n)([ \t]*)", text)
        escapes = text.isascii() and re.search(r"\\u[0-9a-fA-F]{4}", text) is not None
        return cls(first[2] if first else None, first[1] if first else "\n", escapes)

    def line(self, depth: str) -> str:
        """Return what stands before something on a line of its own, or nothing."""
        return "" if self.indent is None else self.newline + depth

    def dump(self, value: Any, depth: str) -> str:
        """Return a value as text, for a place that is indented by `depth`."""
        if self.indent is None:
            return json.dumps(value, ensure_ascii=self.escapes)
        text = json.dumps(value, ensure_ascii=self.escapes, indent=self.indent)
        return text.replace("\n", self.newline + depth)


def members(text: str, start: int = 0) -> dict[str, Member]:
    """Return the members of the object that begins at `start`."""
    found: dict[str, Member] = {}
    at = _skip(text, start + 1)
    while text[at] != "}":
        key, end = _DECODER.raw_decode(text, at)
        value = _skip(text, _skip(text, end) + 1)
        _, end = _DECODER.raw_decode(text, value)
        found[key] = Member(at, value, end)
        at = _after_comma(text, end)
    return found


def elements(text: str, start: int = 0) -> Iterator[tuple[int, int]]:
    """Yield start and end of each element of the list that begins at `start`."""
    at = _skip(text, start + 1)
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        yield at, end
        at = _after_comma(text, end)


def put(text: str, path: Sequence[str], value: Any, layout: Layout) -> str:
    """Return the text with the value at the path, which is made where it is missing."""
    start, missing = _follow(text, path)
    if not missing:
        _, end = _DECODER.raw_decode(text, start)
        old = text[start:end]
        if isinstance(value, list) and old.startswith("["):
            new = _edited_list(old, value, layout, _indent_at(text, start))
        else:
            new = layout.dump(value, _indent_at(text, start))
        return text[:start] + new + text[end:]
    for key in reversed(missing[1:]):
        value = {key: value}
    return _with_member(text, start, missing[0], value, layout)


def drop(text: str, path: Sequence[str]) -> str:
    """Return the text without the member at the path, which must be there."""
    start, _ = _follow(text, path[:-1])
    found = members(text, start)
    keys = list(found)
    gone = found[path[-1]]
    place = keys.index(path[-1])
    if place + 1 < len(keys):
        return text[: gone.key] + text[found[keys[place + 1]].key :]
    if place:
        return text[: found[keys[place - 1]].end] + text[gone.end :]
    return text[: start + 1] + text[_skip(text, gone.end) :]


def _follow(text: str, path: Sequence[str]) -> tuple[int, list[str]]:
    """Return where the path leads, and the rest of it where an object has no such key."""
    start = _skip(text, 0)
    for number, key in enumerate(path):
        found = members(text, start)
        if key not in found:
            return start, list(path[number:])
        start = found[key].start
    return start, []


def _with_member(text: str, start: int, key: str, value: Any, layout: Layout) -> str:
    """Insert a member: in its place where the keys are sorted, as Jupyter does, else last."""
    found = members(text, start)
    depth = _indent_at(text, start) + (layout.indent or "")
    if not found:
        closing = _skip(text, start + 1)
        inside = f"{_quoted(key, layout)}: {layout.dump(value, depth)}"
        ends = layout.line(_indent_at(text, start))
        return text[: start + 1] + layout.line(depth) + inside + ends + text[closing:]
    keys = list(found)
    before = text[start + 1 : found[keys[0]].key]
    if "\n" in before:
        depth = before.rpartition("\n")[2]
        inside = f"{_quoted(key, layout)}: {layout.dump(value, depth)}"
    else:
        before = _between(text, [found[each] for each in keys])
        inside = f"{_quoted(key, layout)}: {json.dumps(value, ensure_ascii=layout.escapes)}"
    later = next((each for each in keys if each > key), None) if keys == sorted(keys) else None
    if later is None:
        end = found[keys[-1]].end
        return f"{text[:end]},{before}{inside}{text[end:]}"
    at = found[later].key
    return f"{text[:at]}{inside},{before}{text[at:]}"


def _between(text: str, found: Sequence[Member]) -> str:
    """Return what separates the members of an object on one line, after the comma."""
    gaps = [text[one.end : other.key] for one, other in pairwise(found)]
    return gaps[0].partition(",")[2] if gaps else " "


def _edited_list(old: str, values: list[Any], layout: Layout, depth: str) -> str:
    """Return the text of a list with other values; what stays keeps its text."""
    spans = list(elements(old))
    if not values:
        return "[]"
    if not spans:
        return layout.dump(values, depth)
    opening = old[1 : spans[0][0]]
    closing = old[spans[-1][1] : -1]
    gap = old[spans[0][1] : spans[1][0]] if len(spans) > 1 else f",{opening or ' '}"
    had = [json.loads(old[start:end]) for start, end in spans]
    matcher = difflib.SequenceMatcher(None, _hashable(had), _hashable(values), autojunk=False)
    texts: list[str] = []
    for tag, first, last, new_first, new_last in matcher.get_opcodes():
        if tag == "equal":
            texts += [old[start:end] for start, end in spans[first:last]]
        else:
            texts += [_quoted(value, layout) for value in values[new_first:new_last]]
    return f"[{opening}{gap.join(texts)}{closing}]"


def _hashable(values: list[Any]) -> list[str]:
    return [json.dumps(value) for value in values]


def _quoted(value: Any, layout: Layout) -> str:
    return json.dumps(value, ensure_ascii=layout.escapes)


def _indent_at(text: str, at: int) -> str:
    """Return the indentation of the line that a place is in."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found
    return found.end()


def _after_comma(text: str, end: int) -> int:
    at = _skip(text, end)
    return _skip(text, at + 1) if text[at] == "," else at
