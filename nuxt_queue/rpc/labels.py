"""What labels of a pandas object JSON would lose: it is refused, with what to write instead.

A table is an array of rows, a column an array of values.  Neither has a place for an index, a
name, levels of columns or `attrs`; a value that has one of these is refused with method calls that
can be pasted behind it.  Those come in two versions: one keeps the labels, one leaves them out.
"""

from __future__ import annotations

import sys

from nuxt_queue.errors import ValuePathError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["check_frame", "check_index", "check_series"]

# What a column can be called in the advice as it is; anything else gets a name made from its text.
_PLAIN_NAMES = (str, int)
# Columns of these kinds take any further column.
_OPEN_COLUMNS = ("Index", "RangeIndex", "DatetimeIndex", "TimedeltaIndex")
_NO_COLUMN_NAMES = ".rename_axis(columns=None)"


def check_frame(frame: Any, path: str) -> None:
    """Raise unless the rows of a DataFrame hold all of its labels.

    Raises:
        ValuePathError: If it has an index, levels or names of columns, equal columns or `attrs`.
    """
    _refuse_extras(frame, "DataFrame", path)
    columns = frame.columns
    has_index = not _is_default(frame.index)
    names, new_columns = list(map(str, columns)), ""
    lost = []
    if columns.nlevels > 1:
        lost.append("levels of columns")
        names = ["_".join(map(str, label)) for label in columns]
        new_columns = '"_".join(map(str, c))'
    if len(set(names)) < len(names):
        lost.append("two columns of one name")
        new_columns = 'f"{c}_{i}"'
        names = [f"{label}_{i}" for i, label in enumerate(columns)]
    elif has_index and not new_columns and type(columns).__name__ not in _OPEN_COLUMNS:
        new_columns = "str(c)"
    if columns.nlevels == 1 and columns.name is not None:
        lost.append("a name of its columns")
    before = after = ""
    if new_columns:
        each = "i, c in enumerate(df.columns)" if "{i}" in new_columns else "c in df.columns"
        renamed = f"[{new_columns} for {each}]"
        before = f".pipe(lambda df: df.set_axis({renamed}, axis=1))"
    elif any(name is not None for name in columns.names):
        after = _NO_COLUMN_NAMES
    if has_index:
        lost.append("an index")
        keeps = f"{before}{_reset(frame.index, names)}{after}"
        drops = f"{before}.reset_index(drop=True){after}"
        _refuse("DataFrame", lost, keeps, drops, path)
    if lost:
        _refuse("DataFrame", lost, before + after, None, path)


def check_series(series: Any, path: str) -> None:
    """Raise unless an array holds all of the labels of a Series.

    Raises:
        ValuePathError: If it has a name, an index or `attrs`.
    """
    _refuse_extras(series, "Series", path)
    index, name = series.index, series.name
    has_index = not _is_default(index)
    if not has_index and name is None:
        return
    lost = ["a name"] * (name is not None) + ["an index"] * has_index
    levels = [str(label) for label in _level_names(index)] if has_index else []
    column = str(0 if name is None else name)
    rename = ""
    if not isinstance(name, (*_PLAIN_NAMES, type(None))) or column in levels:
        column = _unused("_".join(map(str, name)) if type(name) is tuple else "value", levels)
        rename = f".rename({column!r})"
    keeps = rename + (_reset(index, [column]) if has_index else ".to_frame()")
    drops = ".reset_index(drop=True)" * has_index + ".rename(None)" * (name is not None)
    _refuse("Series", lost, keeps, drops, path)


def check_index(index: Any, path: str) -> None:
    """Raise unless an array holds all of the labels of an Index.

    Raises:
        ValuePathError: If it, or one of its levels, has a name.
    """
    if all(name is None for name in index.names):
        return
    names = _fresh(index, [])
    given = "" if names is None else f", name={names if index.nlevels > 1 else names[0]!r}"
    keeps = f".to_frame(index=False{given})"
    drops = f".set_names([{', '.join(['None'] * index.nlevels)}])"
    _refuse(type(index).__name__, ["a name"], keeps, drops, path)


def _refuse(kind: str, lost: list[str], keeps: str, drops: str | None, path: str) -> None:
    problem = f"is a {kind} with {' and '.join(lost)}, which JSON would lose; use `{keeps}`"
    if drops:
        problem += f", or leave it out with `{drops}`"
    raise ValuePathError(path, problem)


def _refuse_extras(value: Any, name: str, path: str) -> None:
    """Refuse what a class of the user's adds, and `attrs`."""
    base = getattr(sys.modules["pandas"], name)
    if value.attrs or set(type(value)._metadata) - set(base._metadata):  # noqa: SLF001 its documented hook
        what = "attrs" if value.attrs else "properties of its class"
        shown = f"{what}, which JSON would lose; leave them out with `.pipe(pd.{name})`"
        raise ValuePathError(path, f"is a {type(value).__name__} with {shown}")


def _is_default(index: Any) -> bool:
    """Return True for 0, 1, 2 ... without a name: positions, which an array has as well."""
    if index.nlevels > 1 or index.name is not None:
        return False
    size = len(index)
    if type(index).__name__ == "RangeIndex":
        return size == 0 or (index.start == 0 and index.step == 1)
    numbers = getattr(index.dtype, "kind", "O") in "iu"
    return size == 0 or (numbers and index.tolist() == list(range(size)))


def _level_names(index: Any) -> list[Any]:
    """Return what `reset_index` calls the columns that it makes."""
    if index.nlevels == 1:
        return ["index" if index.name is None else index.name]
    return [f"level_{i}" if name is None else name for i, name in enumerate(index.names)]


def _reset(index: Any, columns: Iterable[str]) -> str:
    """Return the calls that turn an index into columns beside others."""
    names = _fresh(index, columns)
    if names is None:
        return ".reset_index()"
    return f".rename_axis({names if index.nlevels > 1 else names[0]!r}).reset_index()"


def _fresh(index: Any, columns: Iterable[str]) -> list[str] | None:
    """Return other names for the levels of an index; None where their own will do."""
    own = _level_names(index)
    taken = list(columns)
    texts = [str(name) for name in own]
    plain = all(isinstance(name, _PLAIN_NAMES) for name in own)
    if plain and len({*taken, *texts}) == len(set(taken)) + len(texts):
        return None
    names: list[str] = []
    for text in texts:
        names.append(_unused(text, [*taken, *names]))
    return names


def _unused(name: str, taken: Iterable[str]) -> str:
    while name in taken:
        name += "_index"
    return name
