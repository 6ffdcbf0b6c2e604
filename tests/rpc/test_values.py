"""The table of values: what each becomes, and what is refused with its place (faults A4, D6)."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import fractions
import math
import subprocess
import sys
import typing
import uuid
from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuxt_queue.errors import ValuePathError
from nuxt_queue.rpc.codec import MAX_DEPTH, decode, encode
from nuxt_queue.rpc.forms import FORMS
from nuxt_queue.rpc.values import refuse_large_integers, to_json

ROOT = Path(__file__).parents[2]


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    YES = "yes"


class Flags(enum.Flag):
    A = 1
    B = 2


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not this"


class Number(int):
    def __repr__(self) -> str:
        return "not this"


class Real(float):
    def __repr__(self) -> str:
        return "not this"


Point = namedtuple("Point", ["x", "y"])  # noqa: PYI024 the plain one is what users have


class Typed(typing.NamedTuple):
    a: int
    b: str = "b"


@dataclasses.dataclass
class Run:
    loss: float
    tags: set[str] = dataclasses.field(default_factory=set)
    kind: typing.ClassVar[str] = "not a field"
    seed: dataclasses.InitVar[int] = 0


@dataclasses.dataclass(slots=True, frozen=True)
class Slotted:
    inner: Run


class Model(pydantic.BaseModel):
    at: dt.date
    path: Path = Path("a")
    inner: list[Run] = []


def generator() -> Any:
    yield 1


async def coroutine() -> None:
    pass


# what it is called here: (the value, what arrives)
FORMS_TABLE: dict[str, tuple[Any, Any]] = {
    "None": (None, None),
    "True is not 1": (True, True),
    "an int": (2**70, 2**70),
    "the longest int": (10**4299, 10**4299),
    "minus zero": (-0.0, -0.0),
    "text": ("aé😀\0\u2028", "aé😀\0\u2028"),
    "a tuple": ((1, (2,)), [1, [2]]),
    "a namedtuple": (Point(1, 2), {"x": 1, "y": 2}),
    "a typed namedtuple": (Typed(1), {"a": 1, "b": "b"}),
    "a list subclass": (type("L", (list,), {})([1]), [1]),
    "a str subclass": (Text("text"), "text"),
    "an int subclass": (Number(3), 3),
    "a float subclass": (Real(1.5), 1.5),
    "an OrderedDict": (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    "a defaultdict": (defaultdict(list, a=[1]), {"a": [1]}),
    "a Counter": (Counter("aab"), {"a": 2, "b": 1}),
    "keys of other kinds": (
        {1: "a", 1.5: "b", None: "d", False: "e"},
        {"1": "a", "1.5": "b", "null": "d", "false": "e"},
    ),
    "a key that is a date": ({dt.date(2026, 1, 2): 1}, {"2026-01-02": 1}),
    "a key that is an Enum": ({Word.YES: 1, Level.HIGH: 2}, {"yes": 1, "3": 2}),
    "a key that is a UUID": ({uuid.UUID(int=1): 1}, {"00000000-0000-0000-0000-000000000001": 1}),
    "a key that is a numpy int": ({np.int64(5): 1}, {"5": 1}),
    "a key that is a str subclass": ({Text("k"): 1}, {"k": 1}),
    "an Enum": (Colour.RED, "red"),
    "an Enum of a tuple": (Colour.PAIR, [1, 2]),
    "an IntEnum": (Level.HIGH, 3),
    "a StrEnum": (Word.YES, "yes"),
    "a Flag": (Flags.A | Flags.B, 3),
    "a set": ({"b", "a", 10, 9}, ["a", "b", 10, 9]),
    "a frozenset of frozensets": (frozenset([frozenset([2, 1])]), [[1, 2]]),
    "bytes": (b"\xff\x00", "/wA="),
    "a bytearray": (bytearray(b"a"), "YQ=="),
    "a memoryview": (memoryview(b"abcd")[::2], "YWM="),
    "no bytes": (b"", ""),
    "a datetime": (
        dt.datetime.fromisoformat("2026-01-02T03:04:05.000006"),
        "2026-01-02T03:04:05.000006",
    ),
    "a datetime with a zone": (
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        "2026-01-02T00:00:00+00:00",
    ),
    "a date": (dt.date(2026, 1, 2), "2026-01-02"),
    "a time": (dt.time(3, 4), "03:04:00"),
    "a timedelta": (dt.timedelta(days=1, microseconds=500_000), 86400.5),
    "a Decimal": (Decimal("1.10"), "1.10"),
    "a Fraction": (fractions.Fraction(1, 3), "1/3"),
    "a UUID": (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    "a Path": (PurePosixPath("a/b"), "a/b"),
    "a Windows path": (PureWindowsPath("a\\b"), "a\\b"),
    "a dataclass": (Run(0.5, {"b", "a"}), {"loss": 0.5, "tags": ["a", "b"]}),
    "a slotted dataclass": (Slotted(Run(1.0)), {"inner": {"loss": 1.0, "tags": []}}),
    "a pydantic model": (
        Model(at=dt.date(2026, 1, 2), inner=[Run(1.0)]),
        {"at": "2026-01-02", "path": "a", "inner": [{"loss": 1.0, "tags": []}]},
    ),
    "a numpy int": (np.int64(2**62), 2**62),
    "a numpy uint8": (np.uint8(255), 255),
    "a numpy float": (np.float64(0.1), 0.1),
    "a numpy float32": (np.float32(0.5), 0.5),
    "a numpy float16": (np.float16(1.5), 1.5),
    "a numpy bool": (np.bool_(True), True),
    "a numpy text": (np.str_("é"), "é"),
    "numpy bytes": (np.bytes_(b"a"), "YQ=="),
    "a numpy datetime": (np.datetime64("2026-01-02T03:04"), "2026-01-02T03:04:00"),
    "a numpy date": (np.datetime64("2026-01-02"), "2026-01-02T00:00:00"),
    "a numpy datetime of nanoseconds": (
        np.datetime64("2026-01-02T00:00:00.000001", "ns"),
        "2026-01-02T00:00:00.000001",
    ),
    "a numpy timedelta": (np.timedelta64(1500, "ms"), 1.5),
    "a numpy array": (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    "a numpy array of floats": (np.array([0.5, -0.0]), [0.5, -0.0]),
    "a numpy array of text": (np.array(["a", "bc"]), ["a", "bc"]),
    "a numpy array of objects": (
        np.array([{"a": np.int8(1)}, None], dtype=object),
        [{"a": 1}, None],
    ),
    "a numpy array of times": (
        np.array(["2026-01-02"], dtype="M8[ns]"),
        ["2026-01-02T00:00:00"],
    ),
    "a numpy matrix of times": (np.array([[1], [2]], dtype="m8[s]"), [[1.0], [2.0]]),
    "a numpy array of one, without a dimension": (np.array(5), 5),
    "a numpy time without a dimension": (np.array(np.timedelta64(1, "s")), 1.0),
    "an empty numpy array": (np.zeros((0, 3)), []),
    "a structured numpy array": (
        np.array([(1, "a")], dtype=[("n", "i4"), ("s", "U1")]),
        [{"n": 1, "s": "a"}],
    ),
    "a pandas Timestamp": (pd.Timestamp("2026-01-02", tz="UTC"), "2026-01-02T00:00:00+00:00"),
    "a pandas Timedelta": (pd.Timedelta("90s"), 90.0),
    "a pandas Series": (pd.Series([1, 2]), [1, 2]),
    "a pandas Series of times": (
        pd.Series(pd.to_datetime(["2026-01-02"])),
        ["2026-01-02T00:00:00"],
    ),
    "a pandas Series of categories": (pd.Series(["a", "b"], dtype="category"), ["a", "b"]),
    "a pandas Index": (pd.Index(["a", "b"]), ["a", "b"]),
    "a pandas MultiIndex": (pd.MultiIndex.from_tuples([(1, "a")]), [[1, "a"]]),
    "a DataFrame": (
        pd.DataFrame({"n": [1, 2], "x": [0.5, 1.5], "s": ["a", "b"]}),
        [{"n": 1, "x": 0.5, "s": "a"}, {"n": 2, "x": 1.5, "s": "b"}],
    ),
    "a DataFrame with numbers as columns": (pd.DataFrame([[1, 2]]), [{"0": 1, "1": 2}]),
    "an empty DataFrame": (pd.DataFrame({"a": []}), []),
    "the same list twice": ([shared := [1], shared], [[1], [1]]),
    "data that is no message": ({"jsonrpc": "2.0", "error": 1}, {"jsonrpc": "2.0", "error": 1}),
}


@pytest.mark.parametrize(("value", "form"), FORMS_TABLE.values(), ids=FORMS_TABLE)
def test_a_value_has_one_form(value: Any, form: Any) -> None:
    """Faults 36 to 39 and 43: alone, inside of plain data, and inside of other forms."""
    for wrap in (
        lambda v: v,
        lambda v: [v],
        lambda v: {"a": {"b": [v, v]}},
        lambda v: Run(1.0, tags=v),
        lambda v: (Point(v, 0),),
    ):
        expected = encode(to_json(wrap(form), "value"))
        assert encode(to_json(wrap(value), "value")) == expected
    assert repr(decode(encode(to_json(value, "value")))) == repr(form)


def nested(levels: int, leaf: Any = 1) -> Any:
    for _ in range(levels):
        leaf = [leaf]
    return leaf


def cycle(make: Callable[[list[Any]], Any]) -> list[Any]:
    inner: list[Any] = []
    inner.append(make(inner))
    return inner


# what it is called here: (the value, where, what is said of it)
REFUSED_TABLE: dict[str, tuple[Any, str, str]] = {
    "NaN": (float("nan"), "result", "is NaN, which JSON does not have"),
    "infinity": (math.inf, "result", "is inf, which JSON does not have"),
    "minus infinity": ([-math.inf], "result[0]", "is -inf"),
    "a NaN far down": ({"a": [0, 0, 0, {"loss": math.nan}]}, "result.a[3].loss", "is NaN"),
    "a numpy NaN": ({"x": np.float64("nan")}, "result.x", "is NaN"),
    "infinity in an array": (np.array([[0.0, 1.0], [2.0, np.inf]]), "result[1][1]", "is inf"),
    "infinity in a DataFrame": (pd.DataFrame({"x": [1.0, -np.inf]}), "result[1].x", "is -inf"),
    "a NaN in a dataclass": ([Run(math.nan)], "result[0].loss", "is NaN"),
    "a NaN as a key": ({math.nan: 1}, "a key of result", "is NaN"),
    "NaT": ([pd.NaT], "result[0]", "is a missing value"),
    "a numpy NaT": (np.datetime64("NaT"), "result", "is a missing value"),
    "a NaT difference": (np.timedelta64("NaT"), "result", "is a missing value"),
    "NA": ({"a": pd.NA}, "result.a", "is a missing value"),
    "a complex number": ([1j], "result[0]", "is a complex number"),
    "a numpy complex number": (np.complex128(1j), "result", "is a complex number"),
    "a numpy longdouble": (np.longdouble(1), "result", "longdouble; use float(...)"),
    "months": (np.timedelta64(3, "M"), "result", "years, months"),
    "a year too far": (np.datetime64("20260-01-01"), "result", "beyond the years"),
    "an int of 4301 digits": ({"n": 10**4300}, "result.n", "more than 4300 digits"),
    "a negative int of 4301 digits": (-(10**4300), "result", "more than 4300 digits"),
    "half a pair": (["a\ud800"], "result[0]", "half of a surrogate pair at character 1"),
    "half a pair in a key": ({"a": {"\udfff": 1}}, "a key of result.a", "half of a surrogate pair"),
    "half a pair beside a whole one": ({"a": "😀", "b": "\ud83d"}, "result.b", "half of a surrog"),
    "two keys that are one": ({1: "a", "1": "b"}, "result", "two keys that are both '1'"),
    "two keys that are one, below": ({"x": {None: 1, "null": 2}}, "result.x", "both 'null'"),
    "a tuple as a key": ({"x": {(1, 2): 3}}, "result.x", "has a tuple as a key"),
    "bytes as a key are text": ({b"a": 1, "YQ==": 2}, "result", "two keys"),
    "a generator": (generator(), "result", "is a generator; return list(...)"),
    "a map": ([map(str, [1])], "result[0]", "is a map; return list(...)"),
    "an object": ({"a": object()}, "result.a", "is of type object, which JSON cannot hold"),
    "a class": (dict, "result", "is of type type"),
    "a dataclass itself": (Run, "result", "is of type type"),
    "a function": ([print], "result[0]", "is of type builtin_function_or_method"),
    "a module": (sys, "result", "is of type module"),
    "a namespace": (SimpleNamespace(a=1), "result", "is of type SimpleNamespace"),
    "an exception": (ValueError("x"), "result", "is of type ValueError"),
    "a range": (range(3), "result", "is a range; return list(...)"),
    "a deque": (deque([1]), "result", "is a deque; return list(...)"),
    "a dict view": ({"a": 1}.keys(), "result", "is a dict_keys; return list(...)"),
    "a UserDict": (UserDict(a=1), "result", "is of type UserDict"),
    "a pandas Period": (pd.Period("2026"), "result", "is of type Period; use `str(...)` of it"),
    "a DataFrame with one name twice": (
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        "result",
        "two columns of one name",
    ),
    "a list in itself": (cycle(lambda inner: inner), "result[0]", "contains itself"),
    "a list in its object": (cycle(lambda i: {"a": i}), "result[0].a", "contains itself"),
    "a list in its dataclass": (cycle(Slotted), "result[0].inner", "itself"),  # type: ignore[arg-type]  # the fields are not checked at run time
    "a list in its array": (
        cycle(lambda i: np.array([i, None], dtype=object)),
        "result[0][0]",
        "itself",
    ),
    "one level too many": (
        nested(MAX_DEPTH + 1),
        "result[0][0]",
        "nested deeper than 512 levels",
    ),
    "many levels too many": (nested(100_000), "result[0][0]", "nested deeper than 512 levels"),
    "a strange name": ({"a b": {"c'd": object()}}, "result['a b'][\"c'd\"]", "is of type object"),
    "a value in a set": ({"a": {1, 1j}}, "an element of result.a", "is a complex number"),
}


@pytest.mark.parametrize(("value", "path", "problem"), REFUSED_TABLE.values(), ids=REFUSED_TABLE)
def test_what_json_cannot_hold_is_refused_with_its_place(
    value: Any, path: str, problem: str
) -> None:
    """Faults 35 and 37 to 41: no silent str(), no null, no bare NaN, no crash."""
    with pytest.raises(ValuePathError) as caught:
        to_json(value, "result")

    assert caught.value.path.startswith(path)
    assert problem in caught.value.problem
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_coroutine_is_refused_with_a_hint() -> None:
    forgotten = coroutine()
    with pytest.raises(ValuePathError, match=r"result\.x is a coroutine: `await` it first"):
        to_json({"x": forgotten}, "result")
    forgotten.close()


@pytest.mark.parametrize("leaf", [1, "😀", np.int64(1), Path("a"), (), b"a"], ids=repr)
def test_the_deepest_value_may_hold_anything(leaf: Any) -> None:
    """Faults 41: what Python's own recursion limit would end long before."""
    assert encode(to_json(nested(MAX_DEPTH - 1, leaf), "result")).count(b"[") >= MAX_DEPTH - 1


def test_the_first_problem_in_reading_order_is_the_one_named() -> None:
    value = {"a": [1, {"b": 2}], "c": [0, object(), {"d": 1j}], "e": object()}
    with pytest.raises(ValuePathError, match=r"^result\.c\[1\] "):
        to_json(value, "result")


def test_plain_data_is_passed_on_as_it_is() -> None:
    """A result of a million rows is not copied."""
    values: list[Any] = [{"a": [1, None, "x", 0.5]}, [], {}, "😀", {"a": ["😀"]}]
    for value in values:
        assert to_json(value, "result") is value


def test_what_is_converted_is_not_changed_in_place() -> None:
    value = {"a": [Path("x")], "b": {"c": {1, 2}}}
    before = repr(value)
    assert to_json(value, "result") == {"a": ["x"], "b": {"c": [1, 2]}}
    assert repr(value) == before


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab😀", max_size=3), inner),
    max_leaves=12,
)  # fmt: skip


@given(plain)
@settings(max_examples=200, deadline=None)
def test_plain_data_comes_back_equal_through_both_ways(value: Any) -> None:
    """The way of C code and the way place by place agree."""
    assert repr(decode(encode(to_json(value, "v")))) == repr(value)
    slow = to_json([value, Path("p")], "v")
    assert repr(slow) == repr([value, "p"])


@given(st.lists(st.floats(), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_an_array_arrives_whole_or_is_refused_at_its_first_bad_number(numbers: list[float]) -> None:
    bad = next((i for i, n in enumerate(numbers) if math.isinf(n)), None)
    if bad is None:
        kept = [None if math.isnan(n) else n for n in numbers]
        assert repr(to_json(np.array(numbers), "r")) == repr(kept)
    else:
        with pytest.raises(ValuePathError) as caught:
            to_json(np.array(numbers), "r")
        assert caught.value.path == f"r[{bad}]"


def test_the_largest_integer_of_javascript_is_the_last_that_passes() -> None:
    refuse_large_integers([2**53 - 1, 1 - 2**53], "r")
    for beyond in (2**53, -(2**53)):
        with pytest.raises(ValuePathError, match=r"^r\[1\] is -?9007199254740992, which"):
            refuse_large_integers([0, beyond], "r")


@given(st.recursive(st.integers(), lambda i: st.lists(i, max_size=3).map(tuple) | st.frozensets(i)))
@settings(max_examples=100, deadline=None)
def test_sets_have_one_order(value: Any) -> None:
    line = encode(to_json(value, "v"))
    assert encode(to_json(decode(line), "v")) == line


def test_the_table_names_each_type_that_its_library_has() -> None:
    """A name that a library does not have would be a form that never applies."""
    for library, names, form, _ in FORMS:
        module = pytest.importorskip(library)
        assert all(isinstance(getattr(module, name), type) for name in names), (library, names)
        assert form


def test_no_library_is_imported_to_recognise_its_values() -> None:
    code = (
        "import sys; from nuxt_queue.rpc.values import to_json;"
        "assert to_json({'a': (1, {2})}, 'r') == {'a': [1, [2]]};"
        "bad = {'numpy', 'pandas', 'pydantic', 'decimal', 'uuid', 'pathlib', 'datetime'};"
        "print(bad & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(ROOT)!r}); {code}"],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout.strip() == "set()"
