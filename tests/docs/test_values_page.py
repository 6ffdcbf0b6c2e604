"""docs/values.md is what the table in the code says, with examples that were converted by it.

`NQ_UPDATE_GOLDENS=1 pytest tests/docs` writes it anew.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from nuxt_queue.errors import ValuePathError
from nuxt_queue.rpc.forms import FORMS, REFUSED
from nuxt_queue.rpc.values import to_json

PAGE = Path(__file__).parents[2] / "docs" / "values.md"

HEAD = """# Values

Results, state, event payloads and log metadata are JSON.
A value that is not takes one documented form, or is refused with its place:
`result.a[3].loss is NaN`.
Nothing becomes a string behind your back. This page is made from the table in the code.

`dict`, `list`, `str`, `int`, `float`, `bool` and `None` pass as they are.
Keys that are numbers, booleans or `None` become their JSON text.
Integers keep every digit between Python processes, up to 4300. JavaScript rounds them beyond 2^53:
under a host that is JavaScript they are refused.

## What becomes what

| of | type | becomes | for example | is |
|---|---|---|---|---|
"""


class Colour(Enum):
    RED = "red"


class Money(BaseModel):
    total: Decimal


@dataclass
class Point:
    x: int
    y: int


EXAMPLES: dict[str, tuple[str, Any]] = {
    "Enum": ("Colour.RED", Colour.RED),
    "str": ("a subclass of str", type("Name", (str,), {})("Ada")),
    "int": ("a subclass of int", type("Count", (int,), {})(3)),
    "float": ("a subclass of float", type("Share", (float,), {})(0.5)),
    "list": ("(1, 2)", (1, 2)),
    "set": ('{"b", "a"}', {"b", "a"}),
    "bytes": ('b"abc"', b"abc"),
    "Timestamp": ('pd.Timestamp("2026-01-31")', pd.Timestamp("2026-01-31")),
    "datetime": ("date(2026, 1, 31)", dt.date(2026, 1, 31)),
    "timedelta": ("timedelta(minutes=1)", dt.timedelta(minutes=1)),
    "Decimal": ('Decimal("9.90")', Decimal("9.90")),
    "Fraction": ("Fraction(1, 3)", Fraction(1, 3)),
    "UUID": ("UUID(int=1)", UUID(int=1)),
    "PurePath": ('PurePosixPath("a/b")', PurePosixPath("a/b")),
    "BaseModel": ('Money(total="9.90")', Money(total=Decimal("9.90"))),
    "datetime64": ('np.datetime64("2026-01-31")', np.datetime64("2026-01-31")),
    "generic": ("np.float32(0.5)", np.float32(0.5)),
    "ndarray": ("np.eye(2)", np.eye(2)),
    "DataFrame": ('pd.DataFrame({"a": [1, 2]})', pd.DataFrame({"a": [1, 2]})),
    "Series": ("pd.Series([1, 2])", pd.Series([1, 2])),
}


def page() -> str:
    rows = []
    for library, types, form, _ in FORMS:
        text, value = EXAMPLES[types[0]]
        shown = json.dumps(to_json(value, "value"))
        names = ", ".join(f"`{name}`" for name in types)
        rows.append(f"| {library} | {names} | {form} | `{text}` | `{shown}` |")
    shown = json.dumps(to_json(Point(1, 2), "value"))
    rows.append(f"| dataclasses | a dataclass | object | `Point(1, 2)` | `{shown}` |")
    refused = [f"| {what} | {why} |" for what, why in REFUSED]
    tail = ["", "## What is refused", "", "| value | what to do |", "|---|---|", *refused, ""]
    return HEAD + "\n".join(rows + tail)


def test_the_page_is_what_the_code_does() -> None:
    if os.environ.get("NQ_UPDATE_GOLDENS"):
        PAGE.write_text(page(), "utf-8")
    assert PAGE.read_text("utf-8") == page()


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), pd.NaT, pd.NA, 1j, (n for n in [1]), {1: "a", "1": "b"}, object()],
)
def test_what_the_page_says_is_refused_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(ValuePathError) as refusal:
        to_json({"a": [0, {"loss": value}]}, "result")
    assert refusal.value.path == "result.a[1].loss"
