"""One strict JSON value per line.

Python's `json` writes and reads more than RFC 8259 allows (NaN, lone surrogates, any depth the
stack holds).  Here what goes out is ASCII without a raw newline, and what comes in is refused
unless every conforming parser would read the same value.
"""

from __future__ import annotations

import json

from nuxt_queue.errors import ParseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["MAX_DEPTH", "decode", "encode", "has_lone_surrogate"]

# Deeper nesting overflows the stack of some parser on some platform; both sides refuse it.
MAX_DEPTH = 512

_INFINITY = float("inf")


def encode(value: Any) -> bytes:
    """Return `value` as one line of ASCII JSON, with its newline.

    Args:
        value: Plain JSON data; `values.to_json` makes it from anything else.

    Raises:
        ValueError: If it holds NaN, infinity or a cycle.
        TypeError: If it holds something that is not JSON.
    """
    return _encoder.encode(value).encode("ascii") + b"\n"


def decode(line: bytes) -> Any:
    """Return the JSON value that a line holds.

    Accepts exactly RFC 8259 in UTF-8 without a byte order mark; of duplicate keys the last wins,
    integers keep every digit up to Python's own limit of 4300.

    Raises:
        ParseError: If the line is anything else; the message says what and where.
    """
    try:
        value = _decoder.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ParseError(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise ParseError(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise ParseError(f"not JSON: {error}") from None
    # Both checks cost a walk, so they run only where the text makes a violation possible.
    if line.count(b"[") + line.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise ParseError(f"nested deeper than {MAX_DEPTH} levels")
    if (b"\\ud" in line or b"\\uD" in line) and has_lone_surrogate(value):
        raise ParseError("a string holds half of a surrogate pair")
    return value


def has_lone_surrogate(value: Any) -> bool:
    """Tell whether plain JSON data holds half of a surrogate pair in a string or key."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (_INFINITY, -_INFINITY):
        raise ValueError(f"{text[:40]} does not fit a double")
    return number


def _depth(value: Any) -> int:
    """Count the levels of nesting without recursion."""
    level, depth = [value], 0
    while level := [item for item in level if type(item) is dict or type(item) is list]:
        depth += 1
        level = [
            child for item in level for child in (item.values() if type(item) is dict else item)
        ]
    return depth


_encoder = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_decoder = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse_constant)
