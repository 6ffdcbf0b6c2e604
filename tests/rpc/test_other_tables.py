"""Tables of polars and pyarrow, and arrays of xarray: the same rules as those of pandas."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nuxt_queue.errors import ValuePathError
from nuxt_queue.rpc.codec import decode, encode
from nuxt_queue.rpc.values import to_json

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
xr = pytest.importorskip("xarray")


def converted(value: Any) -> Any:
    return decode(encode(to_json(value, "result")))


def follow_advice(value: Any) -> list[Any]:
    with pytest.raises(ValuePathError) as refusal:
        to_json(value, "result")
    found = re.findall(r"`(\..*?)`", str(refusal.value))
    return [converted(eval(f"value{advice}", {"value": value})) for advice in found]


COLUMNS: dict[str, list[Any]] = {
    "n": [1, None, 3],
    "x": [0.5, float("nan"), None],
    "s": ["a", None, "c"],
    "t": [
        dt.datetime.fromisoformat("2026-01-02"),
        None,
        dt.datetime.fromisoformat("2026-01-02T00:00:00.000005"),
    ],
    "d": [dt.timedelta(seconds=1), None, dt.timedelta(0)],
    "v": [[1, 2], None, []],
    "o": [{"p": 1}, None, {"p": 2}],
    "m": [Decimal("1.10"), None, Decimal("2.00")],
    "b": [b"a", None, b""],
}
ROWS: list[dict[str, Any]] = [
    {
        "n": 1,
        "x": 0.5,
        "s": "a",
        "t": "2026-01-02T00:00:00",
        "d": 1.0,
        "v": [1, 2],
        "o": {"p": 1},
        "m": "1.10",
        "b": "YQ==",
    },
    dict.fromkeys(COLUMNS),
    {
        "n": 3,
        "x": None,
        "s": "c",
        "t": "2026-01-02T00:00:00.000005",
        "d": 0.0,
        "v": [],
        "o": {"p": 2},
        "m": "2.00",
        "b": "",
    },
]


@pytest.mark.parametrize(
    "make",
    [pl.DataFrame, pa.table, lambda columns: pa.table(columns).to_batches()[0]],
    ids=["polars", "pyarrow", "pyarrow batch"],
)
def test_a_table_is_an_array_of_one_object_a_row(make: Any) -> None:
    assert converted({"a": make(COLUMNS)}) == {"a": ROWS}


def test_a_table_without_columns_is_empty() -> None:
    assert converted(pl.DataFrame()) == converted(pa.table({})) == []


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_an_array(name: str) -> None:
    form: Any = [row[name] for row in ROWS]
    assert converted(pl.Series(COLUMNS[name], strict=False)) == form
    assert converted(pa.array(COLUMNS[name])) == form
    assert converted(pa.chunked_array([COLUMNS[name]])) == form
    assert converted(pa.array(COLUMNS[name])[0]) == form[0]


@pytest.mark.parametrize("make", [pl.DataFrame, pa.table])
def test_infinity_in_a_table_is_refused_with_its_place(make: Any) -> None:
    with pytest.raises(ValuePathError, match=r"^result\.a\[1\]\.x is inf"):
        to_json({"a": make({"x": [1.0, float("inf")]})}, "result")


def test_the_name_of_a_series_is_refused_and_the_advice_can_be_followed() -> None:
    assert follow_advice(pl.Series("loss", [1, 2])) == [[{"loss": 1}, {"loss": 2}], [1, 2]]


def test_a_frame_that_is_not_computed_yet_is_refused_and_the_advice_can_be_followed() -> None:
    assert follow_advice(pl.LazyFrame({"a": [1]})) == [[{"a": 1}]]


def test_categories_are_their_values() -> None:
    assert converted(pl.Series(["a", "b", "a"], dtype=pl.Categorical)) == ["a", "b", "a"]
    assert converted(pa.array(["a", None]).dictionary_encode()) == ["a", None]
    assert converted(pl.Series(["b"], dtype=pl.Enum(["a", "b"]))) == ["b"]


def test_nanoseconds_are_refused_or_kept() -> None:
    assert follow_advice(pl.Series([1_001], dtype=pl.Datetime("ns"))) == [
        ["1970-01-01T00:00:00.000001"]
    ]
    assert converted(pl.Series([2_000], dtype=pl.Duration("ns"))) == [2e-06]
    assert converted(pa.array([1], type=pa.timestamp("ns"))) == ["1970-01-01T00:00:00.000000001"]


def test_equal_columns_are_refused() -> None:
    table = pa.table([[1], [2]], names=["a", "a"])
    with pytest.raises(ValuePathError, match="two columns of one name"):
        to_json(table, "result")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1]}, index=pd.RangeIndex(5, 6)),
        pd.DataFrame({"a": [1]}, index=pd.RangeIndex(1, name="k")),
        pd.DataFrame({"a": [1]}).rename_axis(columns="x"),
    ],
    ids=["a range", "a name", "a name of columns"],
)
def test_labels_that_pandas_notes_in_a_schema_are_refused(frame: pd.DataFrame) -> None:
    assert follow_advice(pa.Table.from_pandas(frame)) == [[{"a": 1}]]


def test_what_pandas_notes_of_a_frame_without_labels_is_no_label() -> None:
    assert converted(pa.Table.from_pandas(pd.DataFrame({"a": [1]}))) == [{"a": 1}]
    labelled = pa.Table.from_pandas(pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="k")))
    assert converted(labelled) == [{"a": 1, "k": "x"}]


def test_metadata_of_a_table_is_refused() -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata({"unit": "m"})
    assert follow_advice(table) == [[{"a": 1}]]


def test_a_data_array_keeps_its_dimensions_coordinates_and_attributes() -> None:
    array = xr.DataArray(
        [[1.0, np.nan]],
        dims=("day", "place"),
        coords={"day": np.array(["2026-01-02"], dtype="M8[ns]"), "place": ["a", "b"]},
        attrs={"unit": "m"},
        name="height",
    )
    form = converted(array)
    assert form["data"] == [[1.0, None]]
    assert form["dims"] == ["day", "place"]
    assert form["coords"]["day"]["data"] == ["2026-01-02T00:00:00"]
    assert form["coords"]["place"]["data"] == ["a", "b"]
    assert (form["attrs"], form["name"]) == ({"unit": "m"}, "height")
    whole = converted(array.to_dataset())
    assert whole["data_vars"]["height"]["data"] == [[1.0, None]]
    assert xr.DataArray.from_dict(converted(array.isel(day=0, drop=True))).dims == ("place",)


def test_a_sparse_matrix_is_refused_and_the_advice_can_be_followed() -> None:
    from scipy import sparse

    assert follow_advice(sparse.csr_matrix([[1, 0]])) == [[[1, 0]]]
    assert follow_advice(sparse.coo_array([[1, 0]])) == [[[1, 0]]]
