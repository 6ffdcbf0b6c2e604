"""A change of a notebook leaves every byte alone that it is not about (exporter R2)."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtools.edits import IpynbText, PercentText
from nbtools.edits.spans import Layout, drop, put

SAMPLES = Path(__file__).parents[1] / "samples" / "notebooks"
NOTEBOOKS = [
    path for path in sorted(SAMPLES.glob("*.ipynb")) if '"worksheets"' not in path.read_text()
]

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c", "é", "\u2028"]), _VALUES)
_INDENTS = st.sampled_from([None, " ", "  ", "\t"])


def _set(value: Any, path: list[str], new: Any) -> Any:
    *parents, last = path
    for key in parents:
        value = value.setdefault(key, {})
    value[last] = new


@settings(max_examples=200, deadline=None)
@given(
    _OBJECTS, _INDENTS, st.sampled_from(["", "escapes"]), st.sampled_from(["\n", "\r\n"]), _VALUES
)
def test_a_value_that_is_put_is_there_and_nothing_else_has_changed(
    document: dict[str, Any], indent: str | None, escapes: str, newline: str, new: Any
) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=bool(escapes)).replace("\n", newline)
    for path in (["b"], ["zz", "deep"]):
        expected = json.loads(text)
        _set(expected, path, new)
        changed = put(text, path, new, Layout.of(text))
        assert json.loads(changed) == expected
        assert changed.count("\r") == (changed.count("\n") if "\r" in changed else 0)
        if path[0] not in document:
            assert drop(changed, path[:1]) in {
                text,
                json.dumps(document, ensure_ascii=bool(escapes)),
            }


@given(_OBJECTS, _INDENTS)
def test_dropping_each_member_leaves_the_others(
    document: dict[str, Any], indent: str | None
) -> None:
    text = json.dumps(document, indent=indent)
    for key in document:
        expected = {name: value for name, value in document.items() if name != key}
        assert json.loads(drop(text, [key])) == expected


def _hunks(old: str, new: str) -> int:
    codes = difflib.SequenceMatcher(None, old.split("\n"), new.split("\n"), autojunk=False)
    return sum(tag != "equal" for tag, *_ in codes.get_opcodes())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tag_in_every_cell_is_one_hunk_each_and_taking_it_away_gives_the_same_bytes(
    path: Path,
) -> None:
    raw = path.read_bytes()
    document = IpynbText(raw, path.name)
    assert document.text().encode() == raw
    cells = document.notebook.cells
    for cell in cells:
        document.set_tags(cell.number, [*cell.tags, "nq-skip"])
    assert _hunks(raw.decode(), document.text()) == len(cells)
    tagged = IpynbText(document.text().encode(), path.name)
    assert [cell.tags for cell in tagged.notebook.cells] == [
        (*cell.tags, "nq-skip") for cell in cells
    ]
    for cell in cells:
        tagged.set_tags(cell.number, cell.tags)
    had_empty_list = '"tags": []' in raw.decode()
    assert tagged.text().encode() == raw or had_empty_list


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_changed_line_of_a_source_is_a_changed_line_of_the_file(path: Path) -> None:
    raw = path.read_bytes()
    document = IpynbText(raw, path.name)
    for cell in document.notebook.cells:
        document.set_source(cell.number, cell.source)
    assert document.text().encode() == raw
    cells = [cell for cell in document.notebook.cells if cell.source]
    for cell in cells:
        document.set_source(cell.number, f"# é new\n{cell.source}")
    again = IpynbText(document.text().encode(), path.name)
    assert [cell.source for cell in again.notebook.cells if cell.source] == [
        f"# é new\n{cell.source}" for cell in cells
    ]
    assert _hunks(raw.decode(), document.text()) == len(cells)


def test_a_source_that_is_one_string_stays_one() -> None:
    raw = b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "a\\r\\nb"}]}'
    document = IpynbText(raw, "a.ipynb")
    document.set_source(1, "a\nc")
    assert document.text().encode() == raw.replace(b"\\nb", b"\\nc")


def test_a_byte_order_mark_stays() -> None:
    raw = b'\xef\xbb\xbf{"nbformat": 4, "cells": [{"cell_type": "code", "source": []}]}\n'
    document = IpynbText(raw, "a.ipynb")
    document.set_stated_role(1, "export")
    assert document.text().encode() == raw.replace(
        b'"source"', b'"metadata": {"nq": {"role": "export"}}, "source"'
    )
    document.set_stated_role(1, None)
    document.set_source(1, "x")
    assert json.loads(document.text().removeprefix("\ufeff"))["cells"][0]["source"] == ["x"]


PERCENT = """\
import os

# %% Load it tags=["keep", "nq-export"] x="}"
a = 1

# %% {"tags": ["nq-export"]}
b = 2
# %%
c = 3


# %% [markdown]
# text
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_percent_file_changes_in_one_marker_or_in_the_lines_of_one_cell(newline: str) -> None:
    raw = PERCENT.replace("\n", newline).encode()
    document = PercentText(raw, "job.py")
    assert document.text().encode() == raw
    document.set_tags(2, ["keep", "nq-skip"])
    document.set_tags(3, [])
    document.set_stated_role(4, "handler")
    document.set_source(2, "a = 1\n\na = 2")
    document.set_source(4, "c = 4")
    expected = (
        PERCENT.replace('"keep", "nq-export"]', '"keep", "nq-skip"]')
        .replace(' {"tags": ["nq-export"]}', "")
        .replace("# %%\nc = 3", '# %% nq={"role": "handler"}\nc = 4')
        .replace("a = 1\n", "a = 1\n\na = 2\n")
    )
    assert document.text() == expected.replace("\n", newline)
    assert not document.can_mark(1)
    assert document.can_mark(2)
