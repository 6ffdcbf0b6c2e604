"""One strict JSON value per line.

Python's `json` writes and reads more than RFC 8259 allows (NaN, lone surrogates, any depth the
stack holds).  Here what goes out is ASCII without a raw newline, and what comes in is refused
unless every conforming parser would read the same value.

The work is done by the C half of the standard library's `json`, used directly: the module around
it loads `re` for a slower way of doing the same, which would be half of a worker's start.
"""

from __future__ import annotations

from _json import encode_basestring_ascii, make_encoder, make_scanner

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
    # The arguments are those of `json.JSONEncoder`; the first finds cycles, and is spoilt by one.
    write = make_encoder({}, _refuse_value, encode_basestring_ascii, None, *_SETTINGS)
    return "".join((*write(value, 0), "\n")).encode("ascii")


def decode(line: bytes) -> Any:
    """Return the JSON value that a line holds.

    Accepts exactly RFC 8259 in UTF-8 without a byte order mark; of duplicate keys the last wins,
    integers keep every digit up to Python's own limit of 4300.

    Raises:
        ParseError: If the line is anything else; the message says what and where.
    """
    try:
        text = line.decode("utf-8").strip(_BLANKS)
        value, end = _read(text, 0)
        if end != len(text):
            raise ParseError(f"not JSON: extra text after the value at character {end}")
    except UnicodeDecodeError as error:
        raise ParseError(f"not UTF-8 at byte {error.start}") from None
    except StopIteration as stop:  # how the reader says that no value begins here
        raise ParseError(f"not JSON: no value at character {stop.value}") from None
    except SystemError:  # before 3.12 the reader expects the module of its exception to be loaded
        import json.decoder  # noqa: F401 see above

        return decode(line)
    except RecursionError:
        raise ParseError(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise ParseError(f"not JSON: {error}") from None
    # Both checks cost a walk, so they run only where the text makes a violation possible.
    if line.count(b"[") + line.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise ParseError(f"nested deeper than {MAX_DEPTH} levels")
    # One character is found many times faster than three, and most long lines do not hold it.
    escaped = b"\\" in line and (b"\\ud" in line or b"\\uD" in line)
    if escaped and has_lone_surrogate(value):
        raise ParseError("a string holds half of a surrogate pair")
    return value


def has_lone_surrogate(value: Any) -> bool:
    """Tell whether plain JSON data holds half of a surrogate pair in a string or key."""
    import json  # on suspicion only

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


def _refuse_value(value: Any) -> NoReturn:
    raise TypeError(f"{type(value).__name__} is not JSON")


class _Reading:
    """What the reader asks about: the settings of `json.JSONDecoder`."""

    strict = True  # no raw control characters in strings
    object_hook = object_pairs_hook = None
    parse_int = int
    parse_float = staticmethod(_finite)
    parse_constant = staticmethod(_refuse_constant)


_BLANKS = " \t\n\r"  # what JSON calls white space
# separators, and the flags for sorted keys, skipped keys and NaN
_SETTINGS = (":", ",", False, False, False)
_read = make_scanner(_Reading())  # type: ignore[arg-type]  # typeshed names its own class
