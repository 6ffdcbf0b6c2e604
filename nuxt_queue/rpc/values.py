"""What of Python JSON can hold: `to_json`, on everything that a user hands over.

Results, state, payloads and metadata are plain data most of the time, and pass at the speed of C.
What is not plain has one form in `rpc.forms` or is refused with its path; nothing is turned into
`str()` silently.
"""

from __future__ import annotations

from nuxt_queue.errors import ValuePathError
from nuxt_queue.rpc.codec import MAX_DEPTH, encode, has_lone_surrogate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["VALUE_DEPTH", "refuse_large_integers", "to_json"]

# A value travels inside a message, and a payload inside a job inside a message; the line as a
# whole must stay within MAX_DEPTH, or the other side refuses it.
VALUE_DEPTH = MAX_DEPTH - 12

_LEAVES = frozenset({str, int, float, bool, type(None)})
_CONTAINERS = frozenset({dict, list, tuple})
_INFINITY = float("inf")
_PATH_SHOWN = 80  # characters of a path that hundreds of levels would make unreadable
_LARGEST_EXACT = 2**53 - 1  # beyond, a double, which is JavaScript's only number, has gaps
_TOO_LONG = 10**4300  # Python itself reads no more digits unless told to


def to_json(value: Any, path: str) -> Any:
    """Return `value` as plain JSON data: dict, list or tuple, str, int, float, bool or None.

    Plain data is returned as it is, not copied.

    Args:
        value: Anything; see `rpc.forms` for what it becomes.
        path: What to call it in an error, for example `result`.

    Raises:
        ValuePathError: If JSON cannot hold it; names the place, for example `result.a[3].loss`.
    """
    return value if _is_safe(value, VALUE_DEPTH) else _convert(value, path)


def refuse_large_integers(value: Any, path: str) -> None:
    """Raise for an integer that JavaScript would round.

    Args:
        value: Plain JSON data.
        path: What to call it in an error.

    Raises:
        ValuePathError: Names the integer's place.
    """
    places = [(value, path)]
    while places:
        item, where = places.pop()
        if type(item) is int and abs(item) > _LARGEST_EXACT:
            problem = f"is {item}, which JavaScript would round; send it as a string"
            raise ValuePathError(_short(where), problem)
        if type(item) is dict:
            places += [(child, f"{where}.{key}") for key, child in item.items()]
        elif type(item) in _CONTAINERS:
            places += [(child, f"{where}[{i}]") for i, child in enumerate(item)]


def _is_safe(value: Any, levels: int) -> bool:
    """Tell whether `value` is JSON data already, without NaN, cycles or lone surrogates."""
    if type(value) is str and value.isascii():
        return True  # a long text would be encoded here once more for nothing
    if not _is_plain(value, levels):
        return False
    try:
        line = encode(value)
        return b"\\ud" not in line or not has_lone_surrogate(value)
    except (ValueError, RecursionError):
        return False


def _is_plain(value: Any, levels: int) -> bool:
    """Tell whether C code can encode `value` without losing anything.

    Looks only at containers one by one; their leaves are judged by the set of their types.
    """
    level: Iterable[Any] = [value]
    for _ in range(levels):
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


class _Place:
    """One value that is still to be converted, where it is, and what it is inside of."""

    __slots__ = ("above", "depth", "holder", "path", "slot", "value")

    def __init__(
        self, value: Any, path: str, holder: Any, slot: Any, above: _Place | None = None
    ) -> None:
        self.value, self.path, self.holder, self.slot = value, path, holder, slot
        self.above = above
        self.depth: int = above.depth + 1 if above else 1

    def check(self) -> None:
        """Raise unless the value may hold others."""
        if self.depth > VALUE_DEPTH:
            raise ValuePathError(_short(self.path), f"is nested deeper than {VALUE_DEPTH} levels")
        above = self.above
        while above is not None:
            if above.value is self.value:
                raise ValuePathError(_short(self.path), "contains itself")
            above = above.above


def _convert(value: Any, path: str) -> Any:
    """Convert a value place by place: recursion would end long before the levels do."""
    from nuxt_queue.rpc.forms import Converter  # most jobs never need the table

    converter = Converter()
    top = [value]
    places = [_Place(value, path, top, 0)]
    while places:
        place = places.pop()
        kind = type(place.value)
        if kind in _LEAVES:
            place.holder[place.slot] = _leaf(place.value, place.path)
            continue
        place.check()
        if isinstance(place.value, dict):
            inside = _object(place.value, place)
        elif kind in _CONTAINERS:
            inside = _array(place.value, place)
        else:
            inside = _made(converter.convert(place.value, place.path), place)
        inside.reverse()  # so that the first problem in reading order is the one reported
        places += inside
    return top[0]


def _leaf(value: Any, path: str) -> Any:
    kind = type(value)
    if kind is str:
        return _text(value, path)
    if kind is float:
        return _finite(value, path)
    if kind is int and not -_TOO_LONG < value < _TOO_LONG:
        raise ValuePathError(path, "is an integer of more than 4300 digits; send it as a string")
    return value


def _array(items: Iterable[Any], place: _Place) -> list[_Place]:
    plain = place.holder[place.slot] = list(items)
    path = place.path
    return [_Place(item, f"{path}[{i}]", plain, i, place) for i, item in enumerate(plain)]


def _object(items: dict[Any, Any], place: _Place) -> list[_Place]:
    plain: dict[str, Any] = {}
    inside = []
    path = place.path
    for key, item in items.items():
        name = _key(key, path)
        if name in plain:
            problem = f"has two keys that are both {name!r} in JSON; make the keys strings"
            raise ValuePathError(path, problem)
        plain[name] = item
        where = f"{path}.{name}" if name.isidentifier() else f"{path}[{name!r}]"
        inside.append(_Place(item, where, plain, name, place))
    place.holder[place.slot] = plain
    return inside


def _made(made: Any, place: _Place) -> list[_Place]:
    if _is_safe(made, VALUE_DEPTH - place.depth):  # an array of a million numbers is, at once
        place.holder[place.slot] = made
        return []
    return [_Place(made, place.path, place.holder, place.slot, place)]


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
