"""What a value that is not plain data becomes in JSON, and what is refused: the one table.

Loaded when such a value turns up.  numpy, pandas and pydantic are never imported here: a value of
theirs can only exist when the user's code has imported them.
"""

from __future__ import annotations

import sys

from nuxt_queue.errors import ValuePathError
from nuxt_queue.rpc.codec import encode
from nuxt_queue.rpc.values import VALUE_DEPTH, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, NoReturn

__all__ = ["FORMS", "REFUSED", "Converter"]


class Converter:
    """Turns values into what the table says; made for one conversion, as libraries may load."""

    def __init__(self) -> None:
        self._loaded = list(_loaded_forms())
        self._by_type: dict[type, Callable[[Any, str], Any]] = {}

    def convert(self, value: Any, path: str) -> Any:
        """Return plain data, or data that holds further values to convert.

        Raises:
            ValuePathError: If the value has no form.
        """
        form = self._by_type.get(type(value))
        if form is None:
            form = self._by_type[type(value)] = self._find(value)
        return form(value, path)

    def _find(self, value: Any) -> Callable[[Any, str], Any]:
        for kinds, form in self._loaded:
            if isinstance(value, kinds):
                return form
        return _dataclass if hasattr(type(value), "__dataclass_fields__") else _refuse


def _loaded_forms() -> Iterator[tuple[tuple[type, ...], Callable[[Any, str], Any]]]:
    """List the rows of the libraries that are loaded; no value of another can exist."""
    for library, names, _, form in FORMS:
        module = sys.modules.get(library)
        kinds = tuple(getattr(module, name) for name in names if hasattr(module, name))
        if kinds:
            yield kinds, form


def _base64(value: Any, _path: str) -> str:
    from binascii import b2a_base64

    return b2a_base64(bytes(value), newline=False).decode("ascii")


def _dataclass(value: Any, _path: str) -> dict[str, Any]:
    fields = sys.modules["dataclasses"].fields(value)  # knows which are no fields: ClassVar
    return {field.name: getattr(value, field.name) for field in fields}


def _sorted_set(value: Any, path: str) -> list[Any]:
    items = [to_json(item, f"an element of {path}") for item in value]
    return sorted(items, key=encode)  # a stable order: sets of strings differ between runs


def _numpy_time(value: Any, path: str) -> Any:
    if value != value:  # noqa: PLR0124 what NaT is
        _refuse(value, path)
    if value.dtype.kind == "m" and value.dtype.str[4:5] in "YM":  # also without a unit
        raise ValuePathError(path, "is a timedelta in years, months or no unit; give it in days")
    # In nanoseconds numpy hands out a bare integer; Python's times have microseconds.
    made = value.astype(f"{value.dtype.kind}8[us]").item()
    if isinstance(made, int):
        raise ValuePathError(path, f"is {value}, beyond the years that Python's datetime holds")
    return made


def _numpy_scalar(value: Any, path: str) -> Any:
    made = value.item()
    if type(made) is type(value):  # longdouble: there is no Python number like it
        raise ValuePathError(path, f"is a numpy {type(value).__name__}; use float(...) of it")
    return made


def _numpy_array(value: Any, _path: str) -> Any:
    if value.dtype.kind not in "mM":
        return value.tolist()
    # Taking them out keeps numpy's own times, which `tolist` would turn into bare integers.
    return list(value) if value.ndim else value[()]


def _data_frame(value: Any, path: str) -> list[Any]:
    if not value.columns.is_unique:
        raise ValuePathError(path, "is a DataFrame with two columns of one name; rename them")
    rows: list[Any] = value.to_dict(orient="records")
    return rows


def _iso(value: Any, path: str) -> str:
    if type(value).__name__ == "NaTType":  # a datetime to Python and no time to anybody
        _refuse(value, path)
    text: str = value.isoformat()
    return text


def _refuse(value: Any, path: str) -> NoReturn:
    raise ValuePathError(path, _refusal(value))


def _refusal(value: Any) -> str:
    name = type(value).__name__
    if name in ("NaTType", "NAType", "datetime64", "timedelta64"):
        return "is a missing value (NaT or NA), which JSON does not have; use None"
    if name == "coroutine":
        return "is a coroutine: `await` it first"
    if name in ("generator", "async_generator", "map", "filter", "zip"):
        return f"is a {name}; return list(...) of it"
    if name == "complex":
        return "is a complex number; return its real and imaginary parts"
    return f"is of type {name}, which JSON cannot hold; return plain data made from it"


# The texts are the documentation: docs/values.md is made from this table.
# (library, types, JSON form, function); the first row that fits a value decides.
FORMS: tuple[tuple[str, tuple[str, ...], str, Callable[[Any, str], Any]], ...] = (
    ("enum", ("Enum",), "its value", lambda v, _: v.value),
    ("builtins", ("str",), "string", lambda v, _: str.__str__(v)),
    ("builtins", ("int",), "number", lambda v, _: int.__int__(v)),
    ("builtins", ("float",), "number", lambda v, _: float.__float__(v)),
    ("builtins", ("list", "tuple"), "array", lambda v, _: list(v)),
    ("builtins", ("set", "frozenset"), "array, sorted by its JSON text", _sorted_set),
    ("builtins", ("bytes", "bytearray", "memoryview"), "string in base64", _base64),
    ("pandas", ("Timestamp",), "string, ISO 8601", _iso),
    ("datetime", ("datetime", "date", "time"), "string, ISO 8601", _iso),
    ("datetime", ("timedelta",), "number of seconds", lambda v, _: v.total_seconds()),
    ("decimal", ("Decimal",), "string, every digit kept", lambda v, _: str(v)),
    ("fractions", ("Fraction",), "string, for example `1/3`", lambda v, _: str(v)),
    ("uuid", ("UUID",), "string", lambda v, _: str(v)),
    ("pathlib", ("PurePath",), "string", lambda v, _: str(v)),
    (
        "pydantic",
        ("BaseModel",),
        "object, by its own JSON rules",
        lambda v, _: v.model_dump(mode="json"),
    ),
    ("numpy", ("datetime64", "timedelta64"), "like datetime, timedelta", _numpy_time),
    ("numpy", ("generic",), "the Python number, text or bytes it holds", _numpy_scalar),
    ("numpy", ("ndarray",), "nested arrays", _numpy_array),
    ("pandas", ("DataFrame",), "array of one object a row", _data_frame),
    ("pandas", ("Series", "Index"), "array", lambda v, _: v.tolist()),
)

REFUSED = (
    ("NaN, infinity", "JSON has no such numbers: use None, or drop the row"),
    ("NaT, pandas.NA", "a missing value: use None"),
    ("complex", "return the real and imaginary parts"),
    ("a generator, a coroutine", "return what it yields: list(...), await ..."),
    (f"a cycle, more than {VALUE_DEPTH} levels", "return plain data"),
    ("two keys with one JSON form", "1 and '1' are one key in JSON: make the keys strings"),
    ("anything else", "return plain data; dataclasses and pydantic models are understood"),
)
