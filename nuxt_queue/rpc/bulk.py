"""Writes a large value as JSON text in pieces.

The C half of `json` holds the interpreter until it has written all of a value.  Here it writes a
few thousand items at a time, so that a thread can do it while the event loop goes on.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from nuxt_queue.rpc.codec import MAX_DEPTH
from nuxt_queue.rpc.leaves import LEAVES
from nuxt_queue.rpc.values import convert, safe_text

__all__ = ["bulk_text", "is_large"]

_LARGE = 100_000  # items; fewer are written at once, in a few hundredths of a second
_PIECE = 4_096
_ITEMS = 1_024
_CHARACTERS = 64  # of a text that count as one item


def is_large(value: Any) -> bool:
    """Return True if a value is better written in pieces; looks at no more than it has to."""
    return _weight(value, _LARGE) > _LARGE


def bulk_text(value: Any, path: str) -> bytes:
    """Return a value as JSON text, as `values.to_text` does.

    Raises:
        ValuePathError: JSON cannot hold it; names the place.
    """
    try:
        return _text(value)
    except _NotPlainError:
        return _text(convert(value, path))


class _NotPlainError(Exception):
    """Raised for a value that has to be converted, or refused, place by place."""


def _text(value: Any) -> bytes:
    out: list[bytes] = []
    todo: list[Any] = [_Part(None, [value], MAX_DEPTH + 1)]  # the last is the next
    while todo:
        task = todo.pop()
        if type(task) is bytes:  # in place of the comma behind the last item
            out[-1:] = (task, b",")
        elif type(task) is _Part:
            todo += reversed(task.write(out))
        else:
            rest, kind, levels = task
            if items := list(islice(rest, _ITEMS)):
                todo += (task, _Part(kind, items, levels))
    return b"".join(out[:-1])


class _Part:
    """Some items of a container, each of which is written with a comma behind it."""

    __slots__ = ("items", "kind", "levels")

    def __init__(self, kind: type | None, items: list[Any], levels: int) -> None:
        self.kind, self.items, self.levels = kind, items, levels

    def write(self, out: list[bytes]) -> list[Any]:
        """Write what can be written at once, and return what is still to be done."""
        kind, items, levels = self.kind, self.items, self.levels
        whole = dict(items) if kind is dict else items
        if not levels or _weight(whole, _PIECE) <= _PIECE:
            text = safe_text(whole, levels)
            if text is None:
                raise _NotPlainError
            out += (text[1:-1], b",")
            return []
        if len(items) > 1:
            half = len(items) // 2
            return [_Part(kind, items[:half], levels), _Part(kind, items[half:], levels)]
        (item,) = items
        if kind is dict:
            name, item = item
            text = safe_text({name: 0})
            if text is None:
                raise _NotPlainError
            out.append(text[1:-2])
        inside = type(item)
        if inside is dict:
            out.append(b"{")
            return [(iter(item.items()), dict, levels - 1), b"}"]
        if inside is list or inside is tuple:
            out.append(b"[")
            return [(iter(item), list, levels - 1), b"]"]
        text = safe_text(item)  # a long string
        if text is None:
            raise _NotPlainError
        out += (text, b",")
        return []


def _weight(value: Any, most: int) -> int:
    """Count the items of a value; any number above `most` stands for more than that."""
    weight, inside = 0, [value]
    while inside and weight <= most:
        item = inside.pop()
        kind = type(item)
        if kind is str:
            weight += 1 + len(item) // _CHARACTERS
        elif kind in LEAVES:
            weight += 1
        elif kind is dict or kind is list or kind is tuple:
            weight += 1 + len(item)
            if weight <= most:
                inside += item.values() if kind is dict else item
                weight -= len(item)
        else:  # a table or an array of a library's
            size = getattr(item, "size", 1)
            weight += size if type(size) is int else 1
    return weight
