"""What a value that is not plain data becomes in JSON, and what is refused: the one table.

Loaded when such a value turns up.  numpy, pandas and the others are never imported here: a value of
theirs can only exist when the user's code has imported them.
"""

from __future__ import annotations

import sys

from nuxt_queue.errors import ValuePathError
from nuxt_queue.rpc import tables
from nuxt_queue.rpc.codec import MAX_DEPTH, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, NoReturn

    Form = Callable[[Any, str, "Converter"], Any]

__all__ = ["ADVISED", "FORMS", "REFUSED", "Converter"]


class Converter:
    """Turns values into what the tables say; made for one conversion, as libraries may load.

    Args:
        to_json: Converts a value and everything in it.
    """

    def __init__(self, to_json: Callable[[Any, str], Any]) -> None:
        self.to_json = to_json
        self._loaded = list(_loaded_forms())
        self._by_type: dict[type, Form] = {}

    def convert(self, value: Any, path: str) -> Any:
        """Make one step: return plain data, a Table, or data that holds further values to convert.

        Raises:
            ValuePathError: If the value has no form.
        """
        form = self._by_type.get(type(value))
        if form is None:
            form = self._by_type[type(value)] = self._find(value)
        return form(value, path, self)

    def _find(self, value: Any) -> Form:
        for kinds, form in self._loaded:
            if isinstance(value, kinds):
                return form
        return _dataclass if hasattr(type(value), "__dataclass_fields__") else _refuse


def _loaded_forms() -> Iterator[tuple[tuple[type, ...], Form]]:
    """List the rows of the libraries that are loaded; no value of another can exist."""
    advised = ((library, types, "", _advises(advice)) for library, types, advice in ADVISED)
    for library, names, _, form in (*advised, *FORMS):
        module = sys.modules.get(library)
        kinds = tuple(getattr(module, name) for name in names if hasattr(module, name))
        if kinds:
            yield kinds, form


def _advises(advice: str) -> Form:
    def refuse(value: Any, path: str, _: Converter) -> NoReturn:
        raise ValuePathError(path, f"is of type {type(value).__name__}; use {advice}")

    return refuse


def _base64(value: Any, *_: Any) -> str:
    from binascii import b2a_base64

    return b2a_base64(bytes(value), newline=False).decode("ascii")


def _dataclass(value: Any, *_: Any) -> dict[str, Any]:
    fields = sys.modules["dataclasses"].fields(value)  # knows which are no fields: ClassVar
    return {field.name: getattr(value, field.name) for field in fields}


def _instance_of(kind: type, make: Callable[[Any], Any]) -> Form:
    """Return the form of a builtin type's subclasses, which may have attributes of their own."""

    def form(value: Any, path: str, _: Converter) -> Any:
        made = make(value)
        own = [name for name in getattr(value, "__dict__", ()) if not name.startswith("_")]
        lost = [name for name in own if kind is not dict or name not in made]
        if lost:
            problem = (
                f"is a {kind.__name__} with attributes ({', '.join(lost)}), which JSON would lose"
            )
            raise ValuePathError(
                path, f"{problem}; use `{kind.__name__}(...)` and send those beside it"
            )
        return made

    return form


def _sequence(value: Any, path: str, converter: Converter) -> Any:
    kind = type(value)
    fields = getattr(kind, "_fields", None)
    if fields is not None:  # a named tuple; those of scipy have further attributes
        others = [name for name in getattr(value, "__dict__", ()) if not name.startswith("_")]
        return {name: getattr(value, name) for name in (*fields, *others)}
    if hasattr(kind, "n_sequence_fields"):
        problem = f"is of type {kind.__name__}, whose fields have names; return those you need"
        raise ValuePathError(path, problem)
    return _list(value, path, converter)


def _sorted_set(value: Any, path: str, converter: Converter) -> list[Any]:
    items = [converter.to_json(item, f"an element of {path}") for item in value]
    return sorted(items, key=encode)  # a stable order: sets of strings differ between runs


def _numpy_time(value: Any, path: str, _: Converter) -> Any:
    if value != value:  # noqa: PLR0124 what NaT is
        _refuse(value, path)
    kind, unit = value.dtype.kind, value.dtype.str[4:5]
    if kind == "m" and unit in "YM":  # also without a unit
        raise ValuePathError(path, "is a timedelta in years, months or no unit; give it in days")
    # In nanoseconds numpy hands out a bare integer; Python's times have microseconds.
    rounded = value.astype(f"{kind}8[us]")
    made = rounded.item()
    if isinstance(made, int):
        raise ValuePathError(path, f"is {value}, beyond the years that Python's datetime holds")
    if rounded != value:
        return str(value) if kind == "M" else float(value / type(value)(1, "s"))
    return made


def _numpy_scalar(value: Any, path: str, _: Converter) -> Any:
    made = value.item()
    if type(made) is type(value):  # longdouble: there is no Python number like it
        raise ValuePathError(path, f"is a numpy {type(value).__name__}; use float(...) of it")
    return made


def _table(form: Callable[[Any, str, Callable[[Any, str], Any]], Any]) -> Form:
    return lambda value, path, converter: form(value, path, converter.convert)


def _interval(value: Any, *_: Any) -> dict[str, Any]:
    return {"left": value.left, "right": value.right, "closed": value.closed}


def _iso(value: Any, path: str, *_: Any) -> str:
    if type(value).__name__ == "NaTType":  # a datetime to Python and no time to anybody
        _refuse(value, path)
    text: str = value.isoformat()
    return text


def _refuse(value: Any, path: str, *_: Any) -> NoReturn:
    raise ValuePathError(path, _refusal(value))


def _refusal(value: Any) -> str:
    name = type(value).__name__
    if name in ("NaTType", "NAType", "datetime64", "timedelta64"):
        return "is a missing value (NaT or NA), which JSON does not have; use None"
    if name == "coroutine":
        return "is a coroutine: `await` it first"
    if name in _ITERABLES:
        return f"is a {name}; return list(...) of it"
    if name == "complex":
        return "is a complex number; return its real and imaginary parts"
    return f"is of type {name}, which JSON cannot hold; return plain data made from it"


_ITERABLES: tuple[str, ...] = (
    "generator",
    "async_generator",
    "map",
    "filter",
    "zip",
    "range",
    "deque",
    "reversed",
)
_ITERABLES += ("dict_keys", "dict_values", "dict_items", "array")
_list = _instance_of(list, list)
_dict = _instance_of(dict, lambda value: dict(value.items()))

# The texts are the documentation: docs/values.md is made from these tables.
# (library, types, what to use): these come first, as some are of a type below too.
ADVISED: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("geopandas", ("GeoDataFrame", "GeoSeries"), "`.to_wkt()` and send its `crs` beside it"),
    ("polars", ("LazyFrame",), "`.collect()`"),
    ("pandas", ("Period",), "`str(...)` of it, or `.astype(str)` of its column"),
    ("scipy.sparse", ("spmatrix", "sparray"), "`.toarray()`"),
    ("torch", ("Tensor",), "`.detach().cpu().numpy()`"),
    ("tensorflow", ("Tensor",), "`.numpy()`"),
)

# (library, types, JSON form, function); the first row that fits a value decides.
FORMS: tuple[tuple[str, tuple[str, ...], str, Form], ...] = (
    ("enum", ("Enum",), "its value", lambda v, *_: v.value),
    ("builtins", ("str",), "string", _instance_of(str, str.__str__)),
    ("builtins", ("int",), "number", _instance_of(int, int.__int__)),
    ("builtins", ("float",), "number", _instance_of(float, float.__float__)),
    ("builtins", ("tuple",), "array; a named tuple is an object of its fields", _sequence),
    ("builtins", ("list",), "array", _list),
    ("builtins", ("dict",), "object", _dict),
    ("builtins", ("set", "frozenset"), "array, sorted by its JSON text", _sorted_set),
    ("builtins", ("bytes", "bytearray", "memoryview"), "string in base64", _base64),
    ("pandas", ("Timestamp",), "string, ISO 8601", _iso),
    ("datetime", ("datetime", "date", "time"), "string, ISO 8601", _iso),
    ("datetime", ("timedelta",), "number of seconds", lambda v, *_: v.total_seconds()),
    ("decimal", ("Decimal",), "string, every digit kept", lambda v, *_: str(v)),
    ("fractions", ("Fraction",), "string, for example `1/3`", lambda v, *_: str(v)),
    ("uuid", ("UUID",), "string", lambda v, *_: str(v)),
    ("pathlib", ("PurePath",), "string", lambda v, *_: str(v)),
    (
        "pydantic",
        ("BaseModel",),
        "object, by its own JSON rules",
        lambda v, *_: v.model_dump(mode="json"),
    ),
    ("numpy", ("datetime64", "timedelta64"), "like datetime, timedelta", _numpy_time),
    (
        "numpy",
        ("void",),
        "object, if it is a row of a structured array; else bytes",
        _table(tables.record),
    ),
    ("numpy", ("generic",), "the Python number, text or bytes it holds", _numpy_scalar),
    (
        "numpy",
        ("ndarray",),
        "nested arrays; a structured one is an array of one object a row",
        _table(tables.ndarray),
    ),
    ("pandas", ("DataFrame",), "array of one object a row", _table(tables.frame)),
    ("pandas", ("Series",), "array", _table(tables.series)),
    ("pandas", ("Index",), "array; a MultiIndex is one of arrays", _table(tables.index)),
    (
        "pandas.api.extensions",
        ("ExtensionArray",),
        "array; a categorical is its values",
        _table(tables.column),
    ),
    ("pandas", ("Interval",), "object of its ends", _interval),
    (
        "polars",
        ("DataFrame",),
        "array of one object a row",
        _table(tables.polars_frame),
    ),
    ("polars", ("Series",), "array", _table(tables.polars_series)),
    ("pyarrow", ("Table", "RecordBatch"), "array of one object a row", _table(tables.arrow_table)),
    ("pyarrow", ("Array", "ChunkedArray"), "array", _table(tables.arrow)),
    ("pyarrow", ("Scalar",), "the Python value it holds", lambda v, *_: v.as_py()),
    (
        "xarray",
        ("DataArray", "Dataset"),
        'object, as its own `to_dict(data="array")` says',
        lambda v, *_: v.to_dict(data="array"),
    ),
)

REFUSED = (
    ("NaN, NaT, pandas.NA outside of a table", "use None"),
    ("infinity", "JSON has no such number: use None or a number"),
    ("a table with labels", "see above"),
    ("complex", "return the real and imaginary parts"),
    ("a generator, a range, a view, a coroutine", "return what it yields: list(...), await ..."),
    ("a row with named fields such as time.struct_time", "return the fields you need"),
    (f"a cycle, more than {MAX_DEPTH} levels", "return plain data"),
    ("two keys with one JSON form", "1 and '1' are one key in JSON: make the keys strings"),
    ("anything else", "return plain data; dataclasses and pydantic models are understood"),
)
