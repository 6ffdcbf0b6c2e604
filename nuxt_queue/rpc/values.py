"""What of Python JSON can hold: `to_json`, on everything that a user hands over.

Results, state, payloads and metadata are plain data most of the time, and pass at the speed of C.
What is not plain has one form in `rpc.forms` or is refused with its path; nothing is turned into
`str()` silently.
"""

from __future__ import annotations

from nuxt_queue.errors import ValuePathError
from nuxt_queue.rpc.codec import MAX_DEPTH, has_lone_surrogate, text_of
from nuxt_queue.rpc.leaves import LEAVES, Table, as_key, as_leaf, at, short, under

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from nuxt_queue.rpc.forms import Converter

__all__ = ["convert", "refuse_large_integers", "safe_text", "to_json", "to_text"]

_CONTAINERS = frozenset({dict, list, tuple})
_LARGEST_EXACT = 2**53 - 1  # beyond, a double, which is JavaScript's only number, has gaps


def to_json(value: Any, path: str) -> Any:
    """Return `value` as plain JSON data: dict, list or tuple, str, int, float, bool or None.

    Plain data is returned as it is, not copied.

    Args:
        value: Anything; see `rpc.forms` for what it becomes.
        path: What to call it in an error, for example `result`.

    Raises:
        ValuePathError: If JSON cannot hold it; names the place, for example `result.a[3].loss`.
    """
    if type(value) is str and value.isascii():
        return value  # a long text would be encoded here for nothing
    return value if safe_text(value) is not None else convert(value, path)


def to_text(value: Any, path: str) -> bytes:
    """Return `value` as JSON text; what it takes and raises is what `to_json` takes and raises."""
    text = safe_text(value)
    return text_of(convert(value, path)) if text is None else text


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
            raise ValuePathError(short(where), problem)
        if type(item) is dict:
            places += [(child, f"{where}.{key}") for key, child in item.items()]
        elif type(item) in _CONTAINERS:
            places += [(child, f"{where}[{i}]") for i, child in enumerate(item)]


def safe_text(value: Any, levels: int = MAX_DEPTH) -> bytes | None:
    """Return the text of what is JSON data already; None for NaN, cycles, lone surrogates, ..."""
    if not _is_plain(value, levels):
        return None
    try:
        text = text_of(value)
        return text if b"\\ud" not in text or not has_lone_surrogate(value) else None
    except (ValueError, RecursionError):
        return None


def _is_plain(value: Any, levels: int) -> bool:
    """Return True if C code can encode `value` without losing anything.

    Looks only at containers one by one; their leaves are judged by the set of their types.
    """
    level: Iterable[Any] = [value]
    for _ in range(levels):
        below: dict[int, Any] = {}  # by identity, so that shared references are visited once
        for item in level:
            if type(item) in LEAVES:
                continue
            if type(item) is dict:
                if not set(map(type, item)) <= {str}:
                    return False
                children: Iterable[Any] = item.values()
            elif type(item) in _CONTAINERS:
                children = item
            else:
                return False
            kinds = set(map(type, children)) - LEAVES
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
        self,
        value: Any,
        path: str,
        holder: Any,
        slot: Any,
        above: _Place | None = None,
        levels: int = 1,
    ) -> None:
        self.value, self.path, self.holder, self.slot = value, path, holder, slot
        self.above = above
        self.depth: int = above.depth + levels if above else 1

    def check(self, levels: int = 1) -> None:
        """Raise unless the value may hold `levels` levels of others."""
        if self.depth + levels - 1 > MAX_DEPTH:
            raise ValuePathError(short(self.path), f"is nested deeper than {MAX_DEPTH} levels")
        above = self.above
        while above is not None:
            if above.value is self.value:
                raise ValuePathError(short(self.path), "contains itself")
            above = above.above


def convert(value: Any, path: str) -> Any:
    """Convert a value place by place: recursion would end long before the levels do."""
    from nuxt_queue.rpc.forms import Converter  # most jobs never need the table

    converter = Converter(to_json)
    top = [value]
    places = [_Place(value, path, top, 0)]
    while places:
        place = places.pop()
        kind = type(place.value)
        if kind in LEAVES:
            place.holder[place.slot] = as_leaf(place.value, place.path)
            continue
        place.check()
        if kind is dict:
            inside = _object(place.value, place, converter)
        elif kind in _CONTAINERS:
            inside = _array(place.value, place)
        else:
            inside = _made(converter.convert(place.value, place.path), place)
        inside.reverse()  # so that the first problem in reading order is the one reported
        places += inside
    return top[0]


def _array(items: Iterable[Any], place: _Place) -> list[_Place]:
    plain = place.holder[place.slot] = list(items)
    path = place.path
    return [_Place(item, at(path, i), plain, i, place) for i, item in enumerate(plain)]


def _object(items: dict[Any, Any], place: _Place, converter: Converter) -> list[_Place]:
    plain: dict[str, Any] = {}
    inside = []
    path = place.path
    for key, item in items.items():
        name = as_key(key, path, converter.convert)
        if name in plain:
            problem = f"has two keys that are both {name!r} in JSON; make the keys strings"
            raise ValuePathError(path, problem)
        plain[name] = item
        inside.append(_Place(item, under(path, name), plain, name, place))
    place.holder[place.slot] = plain
    return inside


def _made(made: Any, place: _Place) -> list[_Place]:
    if type(made) is Table:
        place.check(made.levels)
        place.holder[place.slot] = made.data
        return [
            _Place(holder[slot], path, holder, slot, place, made.levels)
            for holder, slot, path in made.cells
        ]
    # An array of a million numbers is, at once.
    if safe_text(made, MAX_DEPTH - place.depth) is not None:
        place.holder[place.slot] = made
        return []
    return [_Place(made, place.path, place.holder, place.slot, place, 0)]
