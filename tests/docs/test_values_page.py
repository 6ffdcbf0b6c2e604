"""docs/values.md is what the table in the code says, with examples that were converted by it.

`NQ_UPDATE_GOLDENS=1 pytest tests/docs` writes it anew.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from collections import Counter
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
from nuxt_queue.rpc.forms import ADVISED, FORMS, REFUSED
from nuxt_queue.rpc.values import to_json

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
xr = pytest.importorskip("xarray")

PAGE = Path(__file__).parents[2] / "docs" / "values.md"

HEAD = """# Values

Results, state, event payloads, log metadata and job data are JSON.
A value that is not JSON takes one documented form, or is refused with its place:
`result.a[3].loss is NaN`.
No value becomes a string, loses a label or changes silently.
The tables of this page are made from the code.

`dict`, `list`, `str`, `int`, `float`, `bool` and `None` pass as they are.
Keys that are numbers, booleans or `None` become their JSON text.
Integers keep every digit between Python processes, up to 4300. JavaScript rounds them beyond 2^53:
under a host that is JavaScript they are refused.

A value has at most 512 levels, and the message that it travels in at most `worker.max_message`
bytes, 64 MiB unless it is set. What is larger is refused by the call that it is given to, in a
notebook as in a process: write a file and pass its path.

## What becomes what

| of | type | becomes | for example | is |
|---|---|---|---|---|
"""

LABELS = """
## Labels

The rows of a table are objects, and the items of a column are an array.
Neither has a place for an index, for a name, or for levels of columns.
A frame or Series that has one of these is refused, and the error says what to write behind it: the
first version keeps the labels as columns, the second leaves them out.
An unnamed index of 0, 1, 2 ... is no label.

| value | write behind it | it becomes | to leave the labels out |
|---|---|---|---|
"""

MISSING = """
Also refused: `attrs` of a frame, metadata of a pyarrow schema, an array of a class of its own (an
array with a unit), a dict, list, text or number of a class of its own that has attributes.
Data types are not labels: a column of categories is its values, an integer is a number whatever
its width.

## Missing values

In a table, a column or an array a missing value is `null`, whatever its library calls it: `None`,
NaN, NaT, NA, a masked element.

| value | is |
|---|---|
"""

INFINITY = """
Infinity is not a missing value. It is refused with its place, in a table too.
To send it as missing, write this behind the frame or Series:
`.replace([float("inf"), float("-inf")], None)`.
Outside of a table NaN, NaT and NA are refused: a loss that is NaN is a bug more often than a gap.
Write `None`.

## What is refused

| value | what to do |
|---|---|
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
    "tuple": ("(1, 2)", (1, 2)),
    "list": ("a subclass of list", type("Row", (list,), {})([1])),
    "dict": ('Counter("aab")', Counter("aab")),
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
    "void": ('np.zeros(1, "i4,f8")[0]', np.zeros(1, "i4,f8")[0]),
    "Index": ('pd.Index(["a", "b"])', pd.Index(["a", "b"])),
    "ExtensionArray": ('pd.Categorical(["a", "b"])', pd.Categorical(["a", "b"])),
    "Interval": ("pd.Interval(0, 1)", pd.Interval(0, 1)),
    "polars.DataFrame": ('pl.DataFrame({"a": [1, 2]})', pl.DataFrame({"a": [1, 2]})),
    "polars.Series": ("pl.Series([1, 2])", pl.Series([1, 2])),
    "Table": ('pa.table({"a": [1, 2]})', pa.table({"a": [1, 2]})),
    "Array": ("pa.array([1, 2])", pa.array([1, 2])),
    "Scalar": ("pa.scalar(1)", pa.scalar(1)),
    "DataArray": (
        'xr.DataArray([1], {"x": ["a"]}, name="n")',
        xr.DataArray([1], {"x": ["a"]}, name="n"),
    ),
}

DF = pd.DataFrame({"k": ["a", "b", "b"], "v": [1.0, 2.0, 4.0]})
LABELLED = (
    'df["v"]',
    'df["k"].value_counts()',
    'df.groupby("k").mean()',
    'df.groupby("k")["v"].agg(["min", "max"])',
    'df.groupby("k").agg({"v": ["min", "max"]})',
    'pd.crosstab(df["k"], df["v"] > 1)',
    'df[df["v"] > 1]',
)
GAPS = (
    "pd.Series([0.5, None])",
    'pd.Series(["a", None])',
    'pd.Series([1, None], dtype="Int64")',
    'pd.DataFrame({"t": [pd.Timestamp("2026-01-31"), None]})',
    "np.array([0.5, np.nan])",
    "np.ma.array([1, 2], mask=[False, True])",
)


def json_of(value: Any) -> str:
    return json.dumps(to_json(value, "value"))


def named(library: str, types: tuple[str, ...]) -> tuple[str, Any]:
    return EXAMPLES.get(f"{library}.{types[0]}") or EXAMPLES[types[0]]


def followed(text: str, advice: str) -> Any:
    return eval(text + advice, {"df": DF, "pd": pd, "np": np})


def advice_for(text: str) -> tuple[str, str]:
    with pytest.raises(ValuePathError) as refusal:
        to_json(followed(text, ""), "value")
    keeps, drops = re.findall(r"`(\..*?)`(?=[ ,;]|$)", str(refusal.value))
    return keeps, drops


def page() -> str:
    rows = []
    for library, types, form, _ in FORMS:
        text, value = named(library, types)
        names = ", ".join(f"`{name}`" for name in types)
        rows.append(f"| {library} | {names} | {form} | `{text}` | `{json_of(value)}` |")
    rows.append(
        f"| dataclasses | a dataclass | object | `Point(1, 2)` | `{json_of(Point(1, 2))}` |"
    )
    labels = []
    for text in LABELLED:
        keeps, drops = advice_for(text)
        shown = json_of(followed(text, keeps))
        labels.append(f"| `{text}` | `{keeps}` | `{shown}` | `{drops}` |")
    gaps = [f"| `{text}` | `{json_of(followed(text, ''))}` |" for text in GAPS]
    refused = [
        f"| {', '.join(f'`{library}.{name}`' for name in types)} | {advice} |"
        for library, types, advice in ADVISED
    ]
    refused += [f"| {what} | {why} |" for what, why in REFUSED]
    parts = zip((HEAD, LABELS, MISSING, INFINITY), (rows, labels, gaps, refused), strict=True)
    return "".join(head + "\n".join(lines) + "\n" for head, lines in parts)


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
