"""Tabular data as JSON: what numpy, pandas, polars and pyarrow hold.

A table becomes an array of one object a row, a column an array.  In both a missing value, whatever
its library calls it (None, NaN, NaT, NA, a masked element), is null; infinity is refused.

A column is converted as a whole.  What it holds that is not a leaf, such as lists and objects, is
returned beside the data, as cells that the caller converts where they are.
"""

from __future__ import annotations

import sys
from math import isfinite

from nuxt_queue.errors import ValuePathError
from nuxt_queue.rpc.labels import check_frame, check_index, check_series
from nuxt_queue.rpc.leaves import LEAVES, Table, as_key, as_leaf, at, under

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    Convert = Callable[[Any, str], Any]
    Where = Callable[[int], str]

__all__ = ["arrow", "arrow_table", "column", "frame", "index", "ndarray", "polars_frame"]
__all__ += ["polars_series", "record", "series"]

_MISSING = ("NaTType", "NAType", "MaskedConstant")
_DOUBLE_BYTES = 8
_NS_PER_US = 1000
_INT64 = range(-(2**63), 2**63)


def frame(value: Any, path: str, convert: Convert) -> Table:
    """Convert a pandas DataFrame."""
    check_frame(value, path)
    columns = [value.iloc[:, i].tolist() for i in range(value.shape[1])]
    return _table(value.columns, columns, len(value), path, convert)


def series(value: Any, path: str, convert: Convert) -> Table:
    """Convert a pandas Series."""
    check_series(value, path)
    return column(value.tolist(), path, convert)


def index(value: Any, path: str, convert: Convert) -> Table:
    """Convert a pandas Index; of a MultiIndex each entry is an array."""
    check_index(value, path)
    if value.nlevels == 1:
        return column(value.tolist(), path, convert)
    levels = [value.get_level_values(i).tolist() for i in range(value.nlevels)]
    cells = [
        (i, level, at(at(path, i), level))
        for level, items in enumerate(levels)
        for i in _fill(items, lambda i, level=level: at(at(path, i), level), convert)  # type: ignore[misc]
    ]
    rows = [list(row) for row in zip(*levels, strict=True)]
    return Table(rows, 2, ((rows[i], level, where) for i, level, where in cells))


def polars_frame(value: Any, path: str, convert: Convert) -> Table:
    """Convert a polars DataFrame."""
    columns = [_polars_items(each, under(path, each.name)) for each in value.get_columns()]
    return _table(value.columns, columns, value.height, path, convert)


def polars_series(value: Any, path: str, convert: Convert) -> Table:
    """Convert a polars Series."""
    if value.name:
        problem = "is a Series with a name, which JSON would lose; use `.to_frame()`"
        raise ValuePathError(path, f"{problem}, or leave it out with `.alias('')`")
    return column(_polars_items(value, path), path, convert)


def arrow_table(value: Any, path: str, convert: Convert) -> Table:
    """Convert a pyarrow Table or RecordBatch."""
    if _has_labels(value.schema.metadata or {}):
        problem = "has metadata beside its columns, which JSON would lose; leave it out with"
        raise ValuePathError(path, f"{problem} `.replace_schema_metadata()`")
    names = value.schema.names
    columns = [_arrow_items(value.column(i), under(path, name)) for i, name in enumerate(names)]
    return _table(names, columns, value.num_rows, path, convert)


def arrow(value: Any, path: str, convert: Convert) -> Table:
    """Convert a pyarrow Array or ChunkedArray."""
    return column(_arrow_items(value, path), path, convert)


def column(items: Iterable[Any], path: str, convert: Convert) -> Table:
    """Convert what any column holds."""
    data = list(items)
    cells = _fill(data, lambda i: at(path, i), convert)
    return Table(data, 1, ((data, i, at(path, i)) for i in cells))


def record(value: Any, path: str, convert: Convert) -> Any:
    """Convert a row of a structured array; one without fields is bytes."""
    if value.dtype.names is None:
        return value.item()
    rows = sys.modules["numpy"].ma.asarray(value).reshape(1)
    table = _records(rows, lambda _: path, convert)
    return Table(table.data[0], 1, table.cells)


def ndarray(value: Any, path: str, convert: Convert) -> Any:
    """Convert a numpy array, nested as deep as it has dimensions; its fields make objects."""
    numpy = sys.modules["numpy"]
    masked = isinstance(value, numpy.ma.MaskedArray)
    kind, shape = value.dtype.kind, value.shape
    if type(value).__module__.partition(".")[0] != "numpy":
        plain = f"numpy{'.ma' * masked}.asarray(...)"
        problem = f"is a {type(value).__name__}, whose labels or units JSON would lose"
        raise ValuePathError(path, f"{problem}; use `{plain}` and send those beside it")
    if not shape:
        if value is numpy.ma.masked:
            raise ValuePathError(path, "is masked, a value that is missing; use None")
        return record(value, path, convert) if value.dtype.names else value[()]
    is_double = kind == "f" and value.dtype.itemsize <= _DOUBLE_BYTES
    if not value.size or (
        not masked and (kind in "biu" or (is_double and numpy.isfinite(value).all()))
    ):
        return Table(value.tolist(), len(shape))

    def where(i: int) -> str:
        return path + "".join(f"[{each}]" for each in numpy.unravel_index(i, shape))

    flat = value.reshape(-1)
    if value.dtype.names is not None:
        table = _records(flat, where, convert)
        return Table(_nested(table.data, shape), len(shape) + 1, table.cells)
    items = _array_items(flat)
    cells = _fill(items, where, convert)
    last = shape[-1]
    rows = [items[i : i + last] for i in range(0, len(items), last)]
    placed = ((rows[i // last], i % last, where(i)) for i in cells)
    nested = _nested(rows, shape[:-1]) if len(shape) > 1 else rows[0]
    return Table(nested, len(shape), placed)


def _nested(items: list[Any], shape: Sequence[int]) -> list[Any]:
    for size in reversed(shape[1:]):
        items = [items[i : i + size] for i in range(0, len(items), size)]
    return items


def _records(flat: Any, where: Where, convert: Convert) -> Table:
    names = flat.dtype.names
    return _rows(names, [_array_items(flat[name]) for name in names], len(flat), where, convert)


def _array_items(flat: Any) -> list[Any]:
    """Return what the first dimension of an array holds, None for what is masked."""
    masked = sys.modules["numpy"].ma
    if flat.ndim > 1 or flat.dtype.names is not None:
        return list(flat)
    data = masked.getdata(flat)
    # Taking them out keeps numpy's own times, which `tolist` would turn into bare integers.
    items: list[Any] = list(data) if data.dtype.kind in "mM" else data.tolist()
    if isinstance(flat, masked.MaskedArray):
        hidden = masked.getmaskarray(flat).tolist()
        return [None if hides else item for item, hides in zip(items, hidden, strict=True)]
    return items


def _table(
    names: Iterable[Any], columns: list[list[Any]], count: int, path: str, convert: Convert
) -> Table:
    keys = [as_key(name, path, convert) for name in names]
    if len(set(keys)) < len(keys):
        raise ValuePathError(path, "has two columns of one name in JSON; rename them")
    return _rows(keys, columns, count, lambda i: at(path, i), convert)


def _rows(
    keys: Sequence[str], columns: list[list[Any]], count: int, where: Where, convert: Convert
) -> Table:
    """Make an object of each row."""
    cells = [
        (i, key)
        for key, items in zip(keys, columns, strict=True)
        for i in _fill(items, lambda i, key=key: under(where(i), key), convert)  # type: ignore[misc]
    ]
    rows: list[dict[str, Any]] = (
        [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
        if columns
        else [{} for _ in range(count)]
    )
    return Table(rows, 2, ((rows[i], key, under(where(i), key)) for i, key in cells))


def _fill(items: list[Any], where: Where, convert: Convert) -> list[int]:
    """Convert the leaves of a column in their place; return which others there are."""
    if _is_plain(items):
        return []
    others = []
    for i, item in enumerate(items):
        kind = type(item)
        if kind is float or kind in LEAVES:
            if item != item:  # noqa: PLR0124 what NaN is
                items[i] = None
            elif not _is_fine(item):
                as_leaf(item, where(i))
        elif _is_missing(item):
            items[i] = None
        elif kind is list or kind is dict or kind is tuple:
            others.append(i)
        else:
            path = where(i)
            made = convert(item, path)
            if type(made) in LEAVES:
                items[i] = as_leaf(made, path)
            else:
                others.append(i)
    return others


def _is_plain(items: list[Any]) -> bool:
    """Return True if a column needs no look at each of its items."""
    kinds = set(map(type, items))
    if kinds == {float}:
        return isfinite(sum(items))  # NaN and infinity make a sum that is not finite
    if kinds == {str}:
        return "".join(items).isascii()
    if kinds == {int}:
        return min(items) in _INT64 and max(items) in _INT64
    return kinds <= {bool, type(None)}


def _is_fine(item: Any) -> bool:
    kind = type(item)
    if kind is float:
        return isfinite(item)
    if kind is str:
        return bool(item.isascii())
    return kind is not int or item in _INT64


def _is_missing(item: Any) -> bool:
    if type(item).__name__ in _MISSING:
        return True
    numpy = sys.modules.get("numpy")
    is_number = isinstance(item, float) or (
        numpy is not None and isinstance(item, numpy.generic) and item.dtype.kind in "fmM"
    )
    return is_number and bool(item != item)  # noqa: PLR0124 what NaN and NaT are


def _polars_items(value: Any, path: str) -> list[Any]:
    """Return what a polars Series holds; its nanoseconds are more than Python's times have."""
    if getattr(value.dtype, "time_unit", None) == "ns":
        ticks = value.drop_nulls().to_physical()
        if (ticks % _NS_PER_US != 0).any():
            problem = "holds nanoseconds, which Python's times do not have"
            raise ValuePathError(path, f'{problem}; use `.dt.cast_time_unit("us")`')
    items: list[Any] = value.to_list()
    return items


def _arrow_items(value: Any, path: str) -> list[Any]:
    try:
        items: list[Any] = value.to_pylist()
    except (ValueError, OverflowError) as error:  # times and structures that Python does not have
        problem = str(error).partition("\n")[0]
        raise ValuePathError(path, f"holds what Python has no value for: {problem}") from None
    return items


def _has_labels(metadata: dict[bytes, bytes]) -> bool:
    """Return True unless a schema says only what pandas notes of a frame without labels."""
    if set(metadata) - {b"pandas"}:
        return True
    if not metadata:
        return False
    import json

    noted = json.loads(metadata[b"pandas"])
    indexes = [each for each in noted.get("index_columns", ()) if isinstance(each, dict)]
    return (
        bool(noted.get("attributes"))
        or any(each.get("name") is not None for each in noted.get("column_indexes", ()))
        or any((each["name"], each["start"], each["step"]) != (None, 0, 1) for each in indexes)
    )
