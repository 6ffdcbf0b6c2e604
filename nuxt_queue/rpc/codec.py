"""One strict JSON value per line, and a value that stays the text it is.

Python's `json` writes and reads more than RFC 8259 allows (NaN, lone surrogates, any depth the
stack holds).  Here what goes out is ASCII without a raw newline, and what comes in is refused
unless every conforming parser would read the same value.

The work is done by the C half of the standard library's `json`, used directly: the module around
it loads `re` for a slower way of doing the same, which would be half of a worker's start.  That
half is private, so `json` itself takes over where it is missing or works differently.
"""

from __future__ import annotations

from os import urandom

from nuxt_queue.errors import ParseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

__all__ = [
    "MAX_DEPTH",
    "MESSAGE_DEPTH",
    "Encoded",
    "decode",
    "depth_of",
    "encode",
    "has_lone_surrogate",
    "plain",
    "read",
    "text_of",
]

# How many levels a value may have.  Deeper nesting overflows the stack of some parser somewhere.
MAX_DEPTH = 512
# A line holds values with something around them: a payload in a job in the parameters of a call,
# or in a delivery of a step in the outbox of a run.
MESSAGE_DEPTH = MAX_DEPTH + 16

_INFINITY = float("inf")
# Stands in a text for an `Encoded` that is put there afterwards.  No other string has it.
_MARK = f"\0{urandom(12).hex()}"
_MARK_WRITTEN = f'"\\u0000{_MARK[1:]}"'.encode("ascii")


class Encoded:
    """A JSON value as its text, which has been checked.

    It is immutable and compares by its text, so that it can be shared instead of copied.

    Attributes:
        text: The value in UTF-8, without a newline.
    """

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text

    def value(self) -> Any:
        """Return the value itself, a new one at each call."""
        return decode(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Encoded) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __len__(self) -> int:
        return len(self.text)

    def __bool__(self) -> bool:
        return True

    def __copy__(self) -> Encoded:
        return self

    def __deepcopy__(self, _memo: Any) -> Encoded:
        return self

    def __repr__(self) -> str:
        shown = self.text[:60].decode("utf-8", "replace")
        return f"<JSON of {len(self.text)} bytes: {shown}>"


def plain(value: Any) -> Any:
    """Return a value that may be `Encoded` as what it is."""
    return value.value() if type(value) is Encoded else value


def encode(value: Any) -> bytes:
    """Return `value` as one line of JSON, with its newline; ASCII but for what is encoded already.

    Args:
        value: Plain JSON data, which may hold `Encoded` values anywhere; `values.to_json` makes it
            from anything else.

    Raises:
        ValueError: If it holds NaN, infinity or a cycle.
        TypeError: If it holds something that is not JSON.
    """
    return b"".join((*_pieces(value), b"\n"))


def text_of(value: Any) -> bytes:
    """Do as `encode` does, without the newline."""
    return value.text if type(value) is Encoded else b"".join(_pieces(value))


def decode(line: bytes, levels: int = MESSAGE_DEPTH) -> Any:
    """Return the JSON value that a line holds.

    Accepts exactly RFC 8259 in UTF-8 without a byte order mark; of duplicate keys the last wins,
    integers keep every digit up to Python's own limit of 4300.

    Args:
        line: The text, with or without white space around it.
        levels: How deep it may be nested.

    Raises:
        ParseError: If the line is anything else; the message says what and where.
    """
    try:
        text = line.decode("utf-8").strip(_BLANKS)
        value, end = read(text, 0)
        if end != len(text):
            raise ParseError(f"not JSON: extra text after the value at character {end}")
    except UnicodeDecodeError as error:
        raise ParseError(f"not UTF-8 at byte {error.start}") from None
    except StopIteration as stop:  # how the reader says that no value begins here
        raise ParseError(f"not JSON: no value at character {stop.value}") from None
    except RecursionError:
        raise ParseError(f"nested deeper than {levels} levels") from None
    except ValueError as error:
        raise ParseError(f"not JSON: {error}") from None
    # Both checks cost a walk, so they run only where the text makes a violation possible.
    if line.count(b"[") + line.count(b"{") > levels and depth_of(value) > levels:
        raise ParseError(f"nested deeper than {levels} levels")
    # One character is found many times faster than three, and most long lines do not hold it.
    escaped = b"\\" in line and (b"\\ud" in line or b"\\uD" in line)
    if escaped and has_lone_surrogate(value):
        raise ParseError("a string holds half of a surrogate pair")
    return value


def has_lone_surrogate(value: Any) -> bool:
    """Return True if plain JSON data holds half of a surrogate pair in a string or key."""
    import json  # on suspicion only

    try:
        json.dumps(value, ensure_ascii=False, default=lambda _: None).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def depth_of(value: Any) -> int:
    """Count the levels of nesting without recursion."""
    level, depth = [value], 0
    while level := [item for item in level if type(item) is dict or type(item) is list]:
        depth += 1
        level = [
            child for item in level for child in (item.values() if type(item) is dict else item)
        ]
    return depth


def _pieces(value: Any) -> list[bytes]:
    """Write a value, with the `Encoded` values in it as they are."""
    parts: list[bytes] = []

    def embed(item: Any) -> str:
        if type(item) is not Encoded:
            raise TypeError(f"{type(item).__name__} is not JSON")
        parts.append(item.text)
        return _MARK

    text = _write(value, embed).encode("ascii")
    if not parts:
        return [text]
    first, *others = text.split(_MARK_WRITTEN)
    pieces = [first]
    for part, rest in zip(parts, others, strict=True):
        pieces += (part, rest)
    return pieces


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (_INFINITY, -_INFINITY):
        raise ValueError(f"{text[:40]} does not fit a double")
    return number


class _Reading:
    """What the reader asks about: the settings of `json.JSONDecoder`."""

    strict = True  # no raw control characters in strings
    object_hook = object_pairs_hook = array_hook = None
    parse_int = int
    parse_float = staticmethod(_finite)
    parse_constant = staticmethod(_refuse_constant)


def _reader() -> Callable[[str, int], tuple[Any, int]]:
    """Return what reads the value that begins at a character, and says where it ends."""
    try:
        from _json import make_scanner

        quick = make_scanner(_Reading())  # type: ignore[arg-type]  # typeshed names its own class
        assert quick('[{"a": 0.5}]', 0) == ([{"a": 0.5}], 12)
    except Exception:  # noqa: BLE001 it is private: any surprise is a reason to leave it alone
        import json

        decoder = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse_constant)
        return decoder.raw_decode
    return _with_its_error(quick)


def _with_its_error(
    quick: Callable[[str, int], tuple[Any, int]],
) -> Callable[[str, int], tuple[Any, int]]:
    """Before 3.12 the private reader expects the module of its exception to be loaded."""

    def read(text: str, at: int) -> tuple[Any, int]:
        try:
            return quick(text, at)
        except SystemError:
            import json.decoder  # noqa: F401 see above

            return quick(text, at)

    return read


def _writer() -> Callable[[Any, Callable[[Any], Any]], str]:
    """Return what writes a value as ASCII, and asks a function about what it does not know."""
    try:
        from _json import encode_basestring_ascii, make_encoder

        def quick(value: Any, embed: Callable[[Any], Any]) -> str:
            # The arguments are those of `json.JSONEncoder`; the first finds cycles, and is spoilt
            # by one.
            write = make_encoder({}, embed, encode_basestring_ascii, None, *_SETTINGS)
            return "".join(write(value, 0))

        assert quick([{"a": 0.5, "b": "\u00e9"}], str) == '[{"a":0.5,"b":"\\u00e9"}]'
    except Exception:  # noqa: BLE001 it is private: any surprise is a reason to leave it alone
        import json

        return lambda value, embed: json.dumps(
            value, allow_nan=False, separators=(",", ":"), default=embed
        )
    return quick


_BLANKS = " \t\n\r"  # what JSON calls white space
# separators, and the flags for sorted keys, skipped keys and NaN
_SETTINGS = (":", ",", False, False, False)
read = _reader()
_write = _writer()
