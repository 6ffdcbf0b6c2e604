"""The parts of a conversion: leaves, keys, places, and data whose leaves are done."""

from __future__ import annotations

from nuxt_queue.errors import ValuePathError
from nuxt_queue.rpc.codec import Encoded, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["LEAVES", "Table", "as_key", "as_leaf", "at", "short", "under"]

# What has nothing inside, or has been checked already.
LEAVES = frozenset({str, int, float, bool, type(None), Encoded})

_INFINITY = float("inf")
_PATH_SHOWN = 80  # characters of a path that hundreds of levels would make unreadable
_TOO_LONG = 10**4300  # Python itself reads no more digits unless told to


class Table:
    """Data made of columns: its leaves are converted, its cells are not.

    Attributes:
        data: The data.
        cells: Of each cell the list or dict that it is in, its index or key there, and its path.
        levels: How deep the data is nested without its cells.
    """

    __slots__ = ("cells", "data", "levels")

    def __init__(
        self, data: Any, levels: int = 1, cells: Iterable[tuple[Any, Any, str]] = ()
    ) -> None:
        self.data, self.levels, self.cells = data, levels, list(cells)


def as_leaf(value: Any, path: str) -> Any:
    """Return a value of one of the types in LEAVES.

    Raises:
        ValuePathError: If it is NaN, infinity, half of a surrogate pair or an endless integer.
    """
    kind = type(value)
    if kind is str:
        return _text(value, path)
    if kind is float:
        return _finite(value, path)
    if kind is int and not -_TOO_LONG < value < _TOO_LONG:
        raise ValuePathError(path, "is an integer of more than 4300 digits; send it as a string")
    return value


def as_key(key: Any, path: str, convert: Callable[[Any, str], Any]) -> str:
    """Return a key as text; numbers, booleans and None as JSON writes them.

    Args:
        key: The key.
        path: The place of the object.
        convert: Makes one step from a value to its form.

    Raises:
        ValuePathError: If its form is not a leaf.
    """
    where = f"a key of {path}"
    plain = str.__str__(key) if isinstance(key, str) else key
    while type(plain) not in LEAVES:
        if isinstance(plain, dict | list | tuple | Table):
            raise ValuePathError(
                path, f"has a {type(key).__name__} as a key; JSON keys are strings"
            )
        plain = convert(plain, where)
    plain = as_leaf(plain, where)
    return plain if type(plain) is str else encode(plain).decode().rstrip("\n")


def at(path: str, i: int) -> str:
    """Return the place of an array's element."""
    return f"{path}[{i}]"


def under(path: str, key: str) -> str:
    """Return the place of an object's member."""
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{key!r}]"


def short(path: str) -> str:
    """Return a place that is short enough to be read."""
    return path if len(path) <= _PATH_SHOWN else path[:_PATH_SHOWN] + "…"


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
