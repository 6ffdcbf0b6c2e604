"""Tabular data: labels are kept or refused, missing values are null, and the advice works."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from typing import Any

import numpy  # noqa: ICN001 see below
import pandas  # noqa: ICN001 see below
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nuxt_queue.errors import ValuePathError
from nuxt_queue.rpc.codec import decode, encode
from nuxt_queue.rpc.values import to_json

# What is tested is often what their type information refuses.
np: Any = numpy
pd: Any = pandas


def converted(value: Any) -> Any:
    return decode(encode(to_json(value, "result")))


def advice_of(value: Any) -> list[str]:
    """Return the method calls that a refusal says are to be written behind the value."""
    with pytest.raises(ValuePathError) as refusal:
        to_json(value, "result")
    assert refusal.value.path.startswith("result")
    return re.findall(r"`(\..*?)`(?=[ ,;]|$)", str(refusal.value))


def followed(advice: str, value: Any) -> Any:
    return eval(f"value{advice}", {"value": value, "pd": pd, "np": np})


ANIMALS = pd.DataFrame(
    {"kind": ["cat", "dog", "dog"], "size": ["s", "s", "l"], "weight": [4.0, 9.0, 30.0]}
)
TWO_LEVELS = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])

LABELLED: dict[str, Any] = {
    "counts of values": ANIMALS["kind"].value_counts(),
    "means of groups": ANIMALS.groupby("kind")[["weight"]].mean(),
    "counts in a group of the same name": ANIMALS.groupby("kind")["kind"].count(),
    "two keys": ANIMALS.groupby(["kind", "size"])["weight"].sum(),
    "several aggregates": ANIMALS.groupby("kind").agg({"weight": ["mean", "std"]}),
    "a description": ANIMALS.describe(),
    "a description of a Series": ANIMALS["weight"].describe(),
    "a correlation": pd.DataFrame({"a": [1, 2, 4], "b": [3, 1, 2]}).corr(),
    "a pivot": ANIMALS.pivot_table(index="kind", columns="size", values="weight"),
    "a crosstab": pd.crosstab(ANIMALS["kind"], ANIMALS["size"]),
    "bins": pd.cut(ANIMALS["weight"], 2).value_counts(),
    "categories as columns": pd.DataFrame(
        np.eye(2), index=["x", "y"], columns=pd.CategoricalIndex(["a", "b"])
    ),
    "a filtered frame": ANIMALS[ANIMALS["kind"] == "dog"],
    "a filtered Series": pd.Series([1, 2, 3])[[False, True, True]],
    "a row": ANIMALS.loc[1],
    "an index of another order": pd.Series([1, 2], index=[1, 0]),
    "a range that begins at 1": pd.DataFrame({"a": [1]}, index=pd.RangeIndex(1, 2)),
    "a range with a name": pd.DataFrame({"a": [1]}, index=pd.RangeIndex(1, name="k")),
    "an index of floats": pd.Series([1, 2], index=[0.0, 1.0]),
    "an index of booleans": pd.Series([1, 2], index=[False, True]),
    "an index of times": pd.Series([1, 2], index=pd.date_range("2026-01-01", periods=2)),
    "an index named as a column": pd.DataFrame({"a": [1]}, index=pd.Index([7], name="a")),
    "a column named index": pd.DataFrame({"index": [1], "level_0": [2]}, index=["x"]),
    "levels without names": pd.Series([1, 2], index=TWO_LEVELS),
    "levels of one name": pd.Series([1, 2], index=TWO_LEVELS.set_names(["k", "k"])),
    "an index of the number of a column": pd.DataFrame([[1]], index=pd.Index([7], name="0")),
    "levels of columns": pd.DataFrame([[1, 2]], columns=TWO_LEVELS),
    "levels of columns with names": pd.DataFrame(
        [[1, 2]], columns=TWO_LEVELS.set_names(["x", "y"])
    ),
    "levels of columns that are one when joined": pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("a_b", "c"), ("a", "b_c")])
    ),
    "columns with a name": pd.DataFrame({"a": [1]}).rename_axis(columns="x"),
    "equal columns": pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "columns that are equal in JSON": pd.DataFrame([[1, 2]], columns=[1, "1"]),
    "a Series with a name": ANIMALS["weight"],
    "a Series named by a number": pd.Series([1, 2], name=0),
    "a Series named by levels": pd.DataFrame([[1, 2]], columns=TWO_LEVELS)[("a", 1)],
    "an index with a name": pd.Index(["a"], name="k"),
    "levels with names": TWO_LEVELS.set_names(["x", "y"]),
    "levels with one name": TWO_LEVELS.set_names(["x", "x"]),
}


@pytest.mark.parametrize("value", LABELLED.values(), ids=LABELLED)
def test_labels_are_refused_and_the_advice_can_be_followed(value: Any) -> None:
    keeps, *drops = advice_of(value)
    for advice in (keeps, *drops):
        rows = converted(followed(advice, value))
        assert len(rows) == len(value)


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        (
            ANIMALS["kind"].value_counts(),
            [{"kind": "dog", "count": 2}, {"kind": "cat", "count": 1}],
        ),
        (
            ANIMALS.groupby("kind")[["weight"]].mean(),
            [{"kind": "cat", "weight": 4.0}, {"kind": "dog", "weight": 19.5}],
        ),
        (
            ANIMALS.groupby("kind")["kind"].count(),
            [{"kind": "cat", "value": 1}, {"kind": "dog", "value": 2}],
        ),
        (
            pd.crosstab(ANIMALS["kind"], ANIMALS["size"]),
            [{"kind": "cat", "l": 0, "s": 1}, {"kind": "dog", "l": 1, "s": 1}],
        ),
        (pd.Series([7, 8], index=["x", "y"]), [{"index": "x", "0": 7}, {"index": "y", "0": 8}]),
        (pd.Series([7, 8], name="loss"), [{"loss": 7}, {"loss": 8}]),
    ],
)
def test_the_first_advice_keeps_every_label(value: Any, rows: Any) -> None:
    assert converted(followed(advice_of(value)[0], value)) == rows


@pytest.mark.parametrize(
    "value",
    [
        pd.Series([1, 2], index=[0, 1]),
        pd.DataFrame({"a": [3, 4]}, index=pd.Index([0, 1], dtype="uint8")),
        pd.DataFrame({"a": [2, 1]}).sort_values("a").reset_index(drop=True),
        ANIMALS[ANIMALS["weight"] > 100],
        pd.Series([], dtype="float64"),
    ],
    ids=repr,
)
def test_positions_are_not_labels(value: Any) -> None:
    assert len(converted(value)) == len(value)


def test_attributes_of_a_frame_are_refused_and_the_advice_can_be_followed() -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["unit"] = "m"
    (advice,) = advice_of(frame)
    assert converted(followed(advice, frame)) == [{"a": 1}]
    (advice,) = advice_of(frame["a"].rename(None))
    assert converted(followed(advice, frame["a"].rename(None))) == [1]


class Owned(pandas.DataFrame):
    """A class of the user's, as geopandas has one."""

    _metadata = ["owner"]  # noqa: RUF012 pandas' own way

    @property
    def _constructor(self) -> type[Owned]:
        return Owned


def test_properties_of_a_class_of_frames_are_refused() -> None:
    (advice,) = advice_of(Owned({"a": [1]}))
    assert converted(followed(advice, Owned({"a": [1]}))) == [{"a": 1}]


STRUCTURED = np.array([(1, np.nan, "a"), (2, 0.5, "b")], dtype="i4,f8,U1")
STRUCTURED.dtype.names = ("n", "x", "s")

# what it is called here: (the value, what arrives)
ARRAYS: dict[str, tuple[Any, Any]] = {
    "fields": (STRUCTURED, [{"n": 1, "x": None, "s": "a"}, {"n": 2, "x": 0.5, "s": "b"}]),
    "fields in two dimensions": (
        STRUCTURED[["n"]].reshape(2, 1),
        [[{"n": 1}], [{"n": 2}]],
    ),
    "one record": (STRUCTURED[0], {"n": 1, "x": None, "s": "a"}),
    "records": (STRUCTURED.view(np.recarray)[:1], [{"n": 1, "x": None, "s": "a"}]),
    "fields without a dimension": (np.array((1,), dtype=[("n", "i4")]), {"n": 1}),
    "fields in fields": (
        np.array([((1, np.nan),)], dtype=[("p", [("x", "f4"), ("y", "f4")])]),
        [{"p": {"x": 1.0, "y": None}}],
    ),
    "arrays in fields": (
        np.array([([1.0, np.nan],)], dtype=[("v", "f8", (2,))]),
        [{"v": [1.0, None]}],
    ),
    "a masked array": (np.ma.array([1, 2, 3], mask=[False, True, False]), [1, None, 3]),
    "a masked array in two dimensions": (
        np.ma.array([[1.0, np.inf], [np.nan, 4.0]], mask=[[False, True], [False, False]]),
        [[1.0, None], [None, 4.0]],
    ),
    "a mask that hides nothing": (np.ma.array(["a", "b"]), ["a", "b"]),
    "masked times": (
        np.ma.array(np.array(["2026", "2027"], dtype="M8[s]"), mask=[True, False]),
        [None, "2027-01-01T00:00:00"],
    ),
    "masked fields": (
        np.ma.array(STRUCTURED, mask=[(True, False, False), (False, False, True)]),
        [{"n": None, "x": None, "s": "a"}, {"n": 2, "x": 0.5, "s": None}],
    ),
    "one masked record": (
        np.ma.array(STRUCTURED, mask=[(True, False, False), (False, False, False)])[0],
        {"n": None, "x": None, "s": "a"},
    ),
    "an object without a dimension": (np.array({"a": 1}, dtype=object), {"a": 1}),
    "lists in an array of objects": (
        np.array([[[1], None], [{"a": np.int8(2)}, np.nan]], dtype=object)[:, :1],
        [[[1]], [{"a": 2}]],
    ),
    "nothing in three dimensions": (np.zeros((2, 0, 3)), [[], []]),
    "half precision": (np.array([0.5, np.nan], dtype="f2"), [0.5, None]),
    "nanoseconds": (
        np.array([1, 1000], dtype="M8[ns]"),
        ["1970-01-01T00:00:00.000000001", "1970-01-01T00:00:00.000001"],
    ),
    "nanoseconds of difference": (np.timedelta64(1500, "ns"), 1.5e-06),
}


@pytest.mark.parametrize(("value", "form"), ARRAYS.values(), ids=ARRAYS)
def test_an_array_arrives_with_its_fields_and_without_what_is_masked(value: Any, form: Any) -> None:
    assert repr(converted(value)) == repr(form)


class Metres(numpy.ndarray[Any, Any]):
    """An array that knows its unit, as those of astropy do."""


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (np.array([1.0]).view(Metres), np.asarray),
        (np.ma.array([1.0, 2.0], mask=[True, False]).view(type("M", (np.ma.MaskedArray,), {})),
         np.ma.asarray),
    ],
)  # fmt: skip
def test_an_array_of_a_class_of_its_own_is_refused(
    value: Any, advice: Callable[[Any], Any]
) -> None:
    with pytest.raises(ValuePathError, match=rf"{advice.__name__}\(...\)"):
        to_json(value, "result")
    assert len(converted(advice(value))) == len(value)


MISSING: dict[str, tuple[Any, Any]] = {
    "text": (["t", None], ["t", None]),
    "text as an extension": (pd.array(["t", None], dtype="string"), ["t", None]),
    "floats": ([0.5, np.nan], [0.5, None]),
    "nullable floats": (pd.array([0.5, None], dtype="Float64"), [0.5, None]),
    "nullable integers": (pd.array([1, None], dtype="Int64"), [1, None]),
    "nullable booleans": (pd.array([True, None], dtype="boolean"), [True, None]),
    "times": (pd.to_datetime(["2026-01-02", None]), ["2026-01-02T00:00:00", None]),
    "times in a zone": (
        pd.to_datetime(["2026-01-02", None]).tz_localize("UTC"),
        ["2026-01-02T00:00:00+00:00", None],
    ),
    "differences": (pd.to_timedelta(["1s", None]), [1.0, None]),
    "categories": (pd.Categorical(["a", None]), ["a", None]),
    "sparse floats": (pd.arrays.SparseArray([0.5, np.nan]), [0.5, None]),
    "intervals": (
        pd.arrays.IntervalArray.from_arrays([0.0, np.nan], [1.0, np.nan]),
        [{"left": 0.0, "right": 1.0, "closed": "right"}, None],
    ),
    "objects": (
        np.array([[1], None, np.nan, pd.NA, pd.NaT, np.float32("nan")], dtype=object),
        [[1], None, None, None, None, None],
    ),
}


@pytest.mark.parametrize(("column", "form"), MISSING.values(), ids=MISSING)
def test_a_missing_value_is_null_in_every_kind_of_table(column: Any, form: Any) -> None:
    assert converted(pd.Series(column)) == form
    assert converted(pd.DataFrame({"v": column})) == [{"v": value} for value in form]
    assert converted(pd.Index(column)) == form
    if not isinstance(column, list):
        assert converted(column) == form
    assert converted(np.asarray(pd.Series(column).to_numpy(dtype=object))) == form


@pytest.mark.parametrize(
    "missing", [math.nan, np.float64("nan"), pd.NA, pd.NaT, np.ma.masked], ids=repr
)
def test_a_missing_value_outside_of_a_table_is_refused_and_none_is_the_way(missing: Any) -> None:
    for holder in ([missing], {"a": missing}, pd.Series([{"a": missing}])):
        with pytest.raises(ValuePathError, match="use None"):
            to_json(holder, "result")
    assert converted([None]) == [None]


@pytest.mark.parametrize(
    "column",
    [
        [1.0, math.inf],
        np.array([1.0, -math.inf], dtype="f4"),
        pd.array([1.0, math.inf], dtype="Float64"),
        ["a", math.inf],
        pd.Categorical([1.0, math.inf]),
    ],
    ids=repr,
)
def test_infinity_in_a_table_is_refused_with_its_place(column: Any) -> None:
    for value, place in (
        (pd.Series(column), "result[1]"),
        (pd.DataFrame({"v": column}), "result[1].v"),
        (pd.Index(column), "result[1]"),
    ):
        with pytest.raises(ValuePathError) as refusal:
            to_json(value, "result")
        assert refusal.value.path == place
        assert "is inf" in str(refusal.value) or "is -inf" in str(refusal.value)
        if not isinstance(value, pd.Index):
            assert converted(value.replace([math.inf, -math.inf], None))


def test_a_period_is_refused_and_the_advice_can_be_followed() -> None:
    frame = pd.DataFrame({"p": pd.period_range("2026-01", periods=2, freq="M")})
    with pytest.raises(
        ValuePathError, match=r"^result\[0\]\.p is of type Period; use `str\(...\)`"
    ):
        to_json(frame, "result")
    assert converted(frame.astype({"p": str})) == [{"p": "2026-01"}, {"p": "2026-02"}]


def test_lists_in_cells_are_converted_where_they_are() -> None:
    frame = pd.DataFrame({"n": [1, 2], "v": [[dt.date(2026, 1, 2)], {"a": {"b"}}]})
    assert converted(frame) == [{"n": 1, "v": ["2026-01-02"]}, {"n": 2, "v": {"a": ["b"]}}]
    frame.loc[1, "v"]["a"] = 1j
    with pytest.raises(ValuePathError, match=r"^result\[1\]\.v\.a is a complex number"):
        to_json(frame, "result")


def test_a_table_in_itself_is_refused() -> None:
    frame = pd.DataFrame({"v": [None]}, dtype=object)
    frame.loc[0, "v"] = [frame]
    with pytest.raises(ValuePathError, match=r"\.v\[0\] contains itself"):
        to_json(frame, "result")


# --- classes of the standard library that carry labels ------------------------------------------


def test_a_subclass_with_attributes_of_its_own_is_refused() -> None:
    for kind, items in ((dict, {"a": 1}), (list, [1]), (str, "a"), (int, 3), (float, 0.5)):
        value: Any = type("Own", (kind,), {})(items)
        assert converted(value) == items
        value.unit = "m"
        with pytest.raises(ValuePathError, match=rf"attributes \(unit\).*`{kind.__name__}\(...\)`"):
            to_json({"x": value}, "result")
        assert converted(kind(value)) == items


def test_a_dict_whose_attributes_are_its_items_loses_nothing() -> None:
    class Bunch(dict[str, Any]):
        def __init__(self, **items: Any) -> None:
            super().__init__(**items)
            self.__dict__ = self

    assert converted(Bunch(a=1, b=[2])) == {"a": 1, "b": [2]}


def test_fields_with_names_are_kept_or_refused() -> None:
    import time

    from scipy import stats

    found = converted(stats.ttest_ind([1.0, 2.0, 3.0], [2.0, 3.0, 4.5]))
    assert set(found) == {"statistic", "pvalue", "df"}
    with pytest.raises(ValuePathError, match="struct_time, whose fields have names"):
        to_json(time.gmtime(0), "result")


# --- a judge: whatever is generated is refused, or arrives with every label and value -----------

words = st.text("ab_0é", max_size=3)
names = st.none() | words | st.integers(0, 2) | st.tuples(words, words)
COLUMNS = st.sampled_from(
    [
        [1, 2, 3],
        [0.5, math.nan, -1.0],
        ["x", None, "z"],
        [True, False, None],
        [[1], {"a": None}, None],
        [math.inf, 0.0, 1.0],
        pd.array([1, None, 3], dtype="Int64"),
        pd.array(["a", None, "b"], dtype="string"),
        pd.to_datetime([1, None, 1_000_000_000], unit="ns"),
        pd.to_timedelta([1, None, 3], unit="ns"),
        pd.Categorical(["u", None, "v"]),
        pd.period_range("2026-01", periods=3, freq="M"),
        pd.interval_range(0, 3),
    ]
)


# Enough of these that labels are often all that there is to refuse.
PLAIN = st.sampled_from([[1, 2, 3], ["x", "y", "z"]])


@st.composite
def indexes(draw: st.DrawFn) -> Any:
    levels = draw(st.integers(0, 2))
    if levels == 0:
        start = draw(st.integers(0, 1))
        return pd.RangeIndex(start, start + 3, name=draw(names))
    entries = draw(
        st.lists(st.tuples(*[words | st.integers(0, 3)] * levels), min_size=3, max_size=3)
    )
    if levels == 1:
        return pd.Index([entry[0] for entry in entries], name=draw(names))
    return pd.MultiIndex.from_tuples(entries, names=[draw(names), draw(names)])


@st.composite
def frames(draw: st.DrawFn) -> Any:
    width = draw(st.integers(1, 3))
    frame = pd.DataFrame({i: pd.Series(draw(PLAIN | COLUMNS)) for i in range(width)})
    if draw(st.booleans()):
        pairs = draw(st.lists(st.tuples(words, words), min_size=width, max_size=width))
        frame.columns = pd.MultiIndex.from_tuples(pairs, names=[draw(names), draw(names)])
    else:
        labels = st.lists(words | st.integers(0, 2), min_size=width, max_size=width)
        frame.columns = pd.Index(draw(labels), name=draw(names))
    return frame.set_axis(draw(indexes()))


def told(value: Any) -> Any:
    """Return what JSON says of one value; reads no code of the kit."""
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, pd.Timedelta):
        return value.value / 1e9
    if isinstance(value, pd.Interval):
        return {"left": value.left, "right": value.right, "closed": value.closed}
    return value


def same(kept: Any, value: Any) -> bool:
    if not isinstance(value, list | dict) and pd.isna(value):
        return kept is None
    if isinstance(value, float):
        return type(kept) is float and math.isclose(kept, value, rel_tol=0, abs_tol=0)
    return kept == told(value) and isinstance(kept, bool) == isinstance(value, bool | np.bool_)


def is_whole(frame: Any, rows: list[dict[str, Any]]) -> bool:
    """Return True if rows, and nothing but rows, hold every label and every value of a frame."""
    index_says_nothing = list(frame.index) == list(range(len(frame))) and frame.index.name is None
    columns_say_nothing = frame.columns.nlevels == 1 and frame.columns.name is None
    keys = [str(label) for label in frame.columns]
    return (
        index_says_nothing
        and columns_say_nothing
        and all(list(row) == keys for row in rows)
        and len(rows) == len(frame)
        and all(
            same(row[key], frame.iloc[i, j])
            for i, row in enumerate(rows)
            for j, key in enumerate(keys)
        )
    )


@given(frames())
@settings(max_examples=60, deadline=None)
def test_a_frame_is_refused_or_arrives_with_every_label_and_value(frame: Any) -> None:
    try:
        rows = converted(frame)
    except ValuePathError as refusal:
        assert refusal.path.startswith("result")  # noqa: PT017 either is right
        return
    assert is_whole(frame, rows)


@given(PLAIN | COLUMNS, indexes(), names)
@settings(max_examples=60, deadline=None)
def test_a_series_is_refused_or_arrives_with_every_label_and_value(
    column: Any, index: Any, name: Any
) -> None:
    series = pd.Series(column, name=name).set_axis(index)
    try:
        items = converted(series)
    except ValuePathError as refusal:
        assert refusal.path.startswith("result")  # noqa: PT017 either is right
        return
    assert name is None
    assert is_whole(series.to_frame("v"), [{"v": item} for item in items])


@given(frames() | frames().map(lambda frame: frame.iloc[:, 0]))
@settings(max_examples=60, deadline=None)
def test_advice_that_is_followed_leaves_at_most_another_problem_with_a_value(value: Any) -> None:
    try:
        to_json(value, "result")
    except ValuePathError as refusal:
        assume(refusal.path == "result")
        for advice in re.findall(r"`(\..*?)`(?=[ ,;]|$)", str(refusal)):
            try:
                to_json(followed(advice, value), "result")
            except ValuePathError as other:
                assert other.path != "result", (advice, other)  # noqa: PT017


@given(
    st.sampled_from(["i4,f8,U2", "f8,(2,)f4,?", "M8[ns],m8[us],O"]),
    st.lists(st.sampled_from([0, 1, None]), min_size=3, max_size=3),
    st.sampled_from([(2,), (2, 1), (1, 2, 1)]),
)
@settings(max_examples=60, deadline=None)
def test_a_masked_structured_array_keeps_each_field_and_hides_what_is_masked(
    kinds: str, hides: list[int | None], shape: tuple[int, ...]
) -> None:
    array = np.ma.zeros(shape, dtype=kinds)
    for name, which in zip(array.dtype.names, hides, strict=True):
        if which is not None:
            array[name].reshape(2, -1)[which] = np.ma.masked
    rows = converted(array)
    for _ in shape[1:]:
        rows = [row for part in rows for row in part]
    for name, which in zip(array.dtype.names, hides, strict=True):
        for i, row in enumerate(rows):
            hidden = row[name] is None or row[name] == [None, None]
            assert hidden == (which == i)
