"""What of Python JSON can hold, and how: the one table of conversions.

`to_json` is called on everything that a user hands over: results, state, payloads, metadata.  A
value has one documented form or is refused with its path; nothing is turned into `str()` silently.
numpy, pandas and pydantic are never imported here: a value of theirs can only exist when the
user's code has imported them.
"""

from __future__ import annotations

import sys

from nuxt_queue.errors import ValuePathError
from nuxt_queue.rpc.codec import MAX_DEPTH, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["FORMS", "REFUSED", "to_json"]

_LEAVES = frozenset({str, int, float, bool, type(None)})
_CONTAINERS = frozenset({dict, list, tuple})
_INFINITY = float("inf")
_PATH_SHOWN = 80  # characters of a path that 512 levels would make unreadable


def to_json(value: Any, path: str) -> Any:
    """Return `value` as plain JSON data: dict, list, str, int, float, bool or None.

    Plain data is returned as it is, not copied.

    Args:
        value: Anything; see `FORMS` for what it becomes.
        path: What to call it in an error, for example `result`.

    Raises:
        ValuePathError: If JSON cannot hold it; names the place, for example `result.a[3].loss`.
    """
    return value if _is_safe(value) else _Converter().convert(value, path, 1)


def _is_safe(value: Any) -> bool:
    """Tell whether `value` is JSON data already, without NaN, cycles or lone surrogates."""
    if not _is_plain(value):
        return False
    try:
        line = encode(value)
    except (ValueError, RecursionError):
        return False
    return b"\\ud" not in line


def _is_plain(value: Any) -> bool:
    """Tell whether C code can encode `value` without losing anything.

    Looks only at containers one by one; their leaves are judged by the set of their types.
    """
    level: Iterable[Any] = [value]
    for _ in range(MAX_DEPTH):
        below: dict[int, Any] = {}  # by identity, so that shared references are visited once
        for item in level:
            if type(item) in _LEAVES:
                continue
            if type(item) is dict:
                if not set(map(type, item)) <= {str}:
                    return False
                children: Iterable[Any] = item.values()
            elif type(item) in _CONTAINERS:
                children = item
            else:
                return False
            kinds = set(map(type, children)) - _LEAVES
            if not kinds <= _CONTAINERS:
                return False
            if kinds:
                below.update((id(c), c) for c in children if type(c) in _CONTAINERS)
        if not below:
            return True
        level = below.values()
    return False


class _Converter:
    """Converts one value; remembers the containers that it is inside of, to find cycles."""

    def __init__(self) -> None:
        self._inside: set[int] = set()
        self._forms = _forms()

    def convert(self, value: Any, path: str, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return _text(value, path)
        if kind is float:
            return _finite(value, path)
        if kind in _LEAVES:
            return value
        if depth > MAX_DEPTH:
            raise ValuePathError(_short(path), f"is nested deeper than {MAX_DEPTH} levels")
        if id(value) in self._inside:
            raise ValuePathError(path, "contains itself")
        self._inside.add(id(value))
        try:
            return self._container_or_form(value, path, depth)
        finally:
            self._inside.discard(id(value))

    def _container_or_form(self, value: Any, path: str, depth: int) -> Any:
        if isinstance(value, dict):
            return self._object(value, path, depth)
        if type(value) in (list, tuple):
            return self._array(value, path, depth)
        for kinds, form in self._forms:
            if isinstance(value, kinds) and not _is_missing(value):
                return self.convert(form(value, path), path, depth + 1)
        if hasattr(type(value), "__dataclass_fields__"):
            return self._object(_dataclass(value), path, depth)
        raise ValuePathError(path, _refusal(value))

    def _array(self, items: Iterable[Any], path: str, depth: int) -> list[Any]:
        return [self.convert(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(items)]

    def _object(self, value: dict[Any, Any], path: str, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in value.items():
            name = _key(key, path)
            if name in result:
                problem = f"has two keys that are both {name!r} in JSON; make the keys strings"
                raise ValuePathError(path, problem)
            place = f"{path}.{name}" if name.isidentifier() else f"{path}[{name!r}]"
            result[name] = self.convert(item, place, depth + 1)
        return result


def _key(key: Any, path: str) -> str:
    """Return a key as text; numbers, booleans and None as JSON writes them."""
    if isinstance(key, str):
        return _text(str.__str__(key), f"a key of {path}")
    plain = to_json(key, f"a key of {path}")
    if type(plain) in _LEAVES:
        return plain if type(plain) is str else encode(plain).decode().rstrip("\n")
    raise ValuePathError(path, f"has a {type(key).__name__} as a key; JSON keys are strings")


def _text(value: str, path: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        problem = f"holds half of a surrogate pair at character {error.start}; JSON text is Unicode"
        raise ValuePathError(path, problem) from None
    return value


def _finite(value: float, path: str) -> float:
    if value != value:  # noqa: PLR0124 what NaN is
        raise ValuePathError(path, "is NaN, which JSON does not have; use None or leave it out")
    if value in (_INFINITY, -_INFINITY):
        raise ValuePathError(path, f"is {value}, which JSON does not have; use None or a number")
    return value


def _short(path: str) -> str:
    return path if len(path) <= _PATH_SHOWN else path[:_PATH_SHOWN] + "…"


# What a type becomes.  The texts are the documentation: docs/values.md is made from this table.
# (library, types, example, JSON form, function)
def _base64(value: Any, _path: str) -> str:
    from binascii import b2a_base64

    return b2a_base64(bytes(value), newline=False).decode("ascii")


def _dataclass(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in type(value).__dataclass_fields__}


def _sorted_set(value: Any, path: str) -> list[Any]:
    items = [to_json(item, f"an element of {path}") for item in value]
    return sorted(items, key=encode)  # a stable order: sets of strings differ between runs


def _numpy_time(value: Any, _path: str) -> Any:
    # In nanoseconds numpy hands out a bare integer; Python's times have microseconds.
    return value.astype(f"{value.dtype.kind}8[us]").item()


def _numpy_array(value: Any, _path: str) -> Any:
    # Iterating hands out numpy's own times, which `tolist` would turn into bare integers.
    return list(value) if value.dtype.kind in "mM" else value.tolist()


def _data_frame(value: Any, path: str) -> list[Any]:
    if not value.columns.is_unique:
        raise ValuePathError(path, "is a DataFrame with two columns of one name; rename them")
    rows: list[Any] = value.to_dict(orient="records")
    return rows


FORMS: tuple[tuple[str, tuple[str, ...], str, Callable[[Any, str], Any]], ...] = (
    ("enum", ("Enum",), "its value", lambda v, _: v.value),
    ("builtins", ("str",), "string", lambda v, _: str.__str__(v)),
    ("builtins", ("int",), "number", lambda v, _: int.__int__(v)),
    ("builtins", ("float",), "number", lambda v, _: float.__float__(v)),
    ("builtins", ("list", "tuple"), "array", lambda v, _: list(v)),
    ("builtins", ("set", "frozenset"), "array, sorted by its JSON text", _sorted_set),
    ("builtins", ("bytes", "bytearray", "memoryview"), "string in base64", _base64),
    ("pandas", ("Timestamp",), "string, ISO 8601", lambda v, _: v.isoformat()),
    ("datetime", ("datetime", "date", "time"), "string, ISO 8601", lambda v, _: v.isoformat()),
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
    ("numpy", ("generic",), "the Python number, text or bytes it holds", lambda v, _: v.item()),
    ("numpy", ("ndarray",), "nested arrays", _numpy_array),
    ("pandas", ("DataFrame",), "array of one object a row", _data_frame),
    ("pandas", ("Series", "Index"), "array", lambda v, _: v.tolist()),
)

REFUSED = (
    ("NaN, infinity", "JSON has no such numbers: use None, or drop the row"),
    ("NaT, pandas.NA", "a missing value: use None"),
    ("complex", "return the real and imaginary parts"),
    ("a generator, a coroutine", "return what it yields: list(...), await ..."),
    ("a cycle, more than 512 levels", "return plain data"),
    ("two keys with one JSON form", "1 and '1' are one key in JSON: make the keys strings"),
    ("anything else", "return plain data; dataclasses and pydantic models are understood"),
)


def _forms() -> list[tuple[tuple[type, ...], Callable[[Any, str], Any]]]:
    """List (types, conversion) of the libraries that are loaded; no value of another can exist."""
    forms = []
    for library, names, _, form in FORMS:
        module = sys.modules.get(library)
        kinds = tuple(getattr(module, name) for name in names if hasattr(module, name))
        if kinds:
            forms.append((kinds, form))
    return forms


def _is_missing(value: Any) -> bool:
    """Recognise NaT, which is a datetime to Python and no time to anybody."""
    name = type(value).__name__
    return name == "NaTType" or (name in ("datetime64", "timedelta64") and bool(value != value))  # noqa: PLR0124 what NaT is


def _refusal(value: Any) -> str:
    name = type(value).__name__
    if _is_missing(value) or name == "NAType":
        return "is a missing value (NaT or NA), which JSON does not have; use None"
    if name == "coroutine":
        return "is a coroutine: `await` it first"
    if name in ("generator", "async_generator", "map", "filter", "zip"):
        return f"is a {name}; return list(...) of it"
    if name == "complex":
        return "is a complex number; return its real and imaginary parts"
    return f"is of type {name}, which JSON cannot hold; return plain data made from it"
