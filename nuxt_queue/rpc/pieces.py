"""Reads a long JSON text in pieces, without unfolding it.

The C half of `json` holds the interpreter until it has read all of a text, and twenty million
empty lists take 24 times the memory of their text.  Here a text is read 64 KiB at a time, by the
same code and as strictly, and each piece is thrown away.  So a thread can read it while the event
loop goes on, and what is long is handed on as the text that it is.

A piece ends at a comma that is in no string.  What is open before it and what is open behind it is
known from its brackets, so brackets are put around it: of `[[1,2],[3,4]]` the pieces `[[1,2],[3`
and `,4]]` are read as `[[1,2],[3]]` and `[["",4]]`.  A text whose pieces are all read so is JSON:
what may follow a comma depends on the open brackets and on nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from os import urandom
from typing import Any, NoReturn

from nuxt_queue.errors import InvalidRequestError, ParseError
from nuxt_queue.rpc.codec import MAX_DEPTH, MESSAGE_DEPTH, Encoded, decode, read
from nuxt_queue.rpc.messages import MAX_BATCH

__all__ = ["LARGE", "check", "opened", "read_message"]

LARGE = 256 * 1024
"""Bytes of a text that is read in pieces; what is shorter is read at once, in milliseconds."""

_SHORT = 64 * 1024  # bytes of what is decoded; what is longer in a message stays text
_ENDS = frozenset(",]}: \t\n\r")  # what may follow a value, and is no part of it
_FIRST_LOOK = 512  # most members of a message are shorter
_MOST_PARAMETERS = 16  # no method has so many: what comes behind them is checked and dropped

_BLANK = re.compile(rb"[ \t\n\r]*+")
_STRINGS = re.compile(rb'"(?:[^"\\]+|\\.)*+"?', re.DOTALL)
# The longest beginning that ends with a comma that is in no string.
_TO_A_COMMA = re.compile(rb'(?:(?:[^",]+|"(?:[^"\\]+|\\.)*+")*+,)*+', re.DOTALL)
# The longest beginning in which no string is left open.
_TO_A_STRING = re.compile(rb'(?:[^"]+|"(?:[^"\\]+|\\.)*+")*+', re.DOTALL)
# The inside of a string, without a part of an escape or half of a surrogate pair at its end: the
# first half is taken alone only where it can be seen that the second does not follow.
_INSIDE = re.compile(
    rb'(?:[^"\\]+|\\[^u]|\\u(?![dD][89abAB])....|\\u[dD][89abAB]..\\u[dD][c-fC-F]..'
    rb"|\\u....(?=.{6}))*+",
    re.DOTALL,
)
_BRACKETS = re.compile(rb'"(?:[^"\\]+|\\.)*+"|[\[\]{}]', re.DOTALL)
_WORD = re.compile(rb"[^][{}:, \t\n\r]*+")
_REMOVALS = 8  # of pairs of brackets at once; what is nested deeper is walked through
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# No member of a text has this name: the last of two would win, and hide the other.
_A_NAME = b'"%b":' % urandom(8).hex().encode("ascii")
_AN_OBJECT, _A_MEMBER = b"{" + _A_NAME, _A_NAME + b'""'
_CLOSING = bytes.maketrans(b"[{", b"]}")

_Take = Callable[[bytes, str, int], tuple[Any, int]]


def check(text: bytes, levels: int = MAX_DEPTH) -> None:
    """Raise ParseError unless a text is one JSON value of at most so many levels."""
    end = _end(text, _blank(text, 0), levels)
    _expect_no_more(text, end)


def opened(value: Any) -> Any:
    """Return the members of an `Encoded` object, the long ones `Encoded`; others as they are."""
    if type(value) is not Encoded or not value.text.startswith(b"{"):
        return value
    return _object(value.text, 0, lambda text, _, at: _value(text, at, MESSAGE_DEPTH))[0]


def read_message(line: bytes) -> Any:
    """Return the message that a line holds, or the list of those of a batch.

    Parameters, the result and what belongs to an error are decoded where they are short, and
    `Encoded` where they are long.  What no message has is checked and dropped.

    Raises:
        ParseError: The line is not JSON.
        InvalidRequestError: It is a batch of too many messages.
    """
    start = _blank(line, 0)
    if line[start : start + 1] == b"[":
        message, end = _array(line, start, _message, MAX_BATCH)
        if end < 0:
            raise InvalidRequestError(f"a batch of more than {MAX_BATCH} messages")
    else:
        message, end = _message(line, "", start)
    _expect_no_more(line, end)
    return message


def _message(text: bytes, _name: str, at: int) -> tuple[Any, int]:
    if text[at : at + 1] != b"{":
        return _value(text, at, MESSAGE_DEPTH)
    return _object(text, at, _member, _MEMBERS)


def _member(text: bytes, name: str, at: int) -> tuple[Any, int]:
    first = text[at : at + 1]
    if name == "params" and first == b"{":
        return _object(text, at, _parameter, most=_MOST_PARAMETERS)
    if name == "params" and first == b"[":
        return _array(text, at, _parameter, _MOST_PARAMETERS, drop=True)
    if name in ("error", "data") and first == b"{":
        return _object(text, at, _part_of_error, most=_MOST_PARAMETERS)
    return _value(text, at, MAX_DEPTH)


def _parameter(text: bytes, _name: str, at: int) -> tuple[Any, int]:
    return _value(text, at, MAX_DEPTH)


def _part_of_error(text: bytes, name: str, at: int) -> tuple[Any, int]:
    """Read what belongs to an error; what nobody would read to its end is left out, and said so."""
    value, end = _member(text, name, at)
    if type(value) is Encoded:
        value = f"({len(value)} bytes are left out here)"
    return value, end


_MEMBERS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})


def _object(
    text: bytes, at: int, take: _Take, known: frozenset[str] | None = None, most: int = 1 << 62
) -> tuple[dict[str, Any], int]:
    """Read an object member by member; return those that are known, and where it ends."""
    found: dict[str, Any] = {}
    at = _blank(text, at + 1)
    if text[at : at + 1] == b"}":
        return found, at + 1
    while True:
        if text[at : at + 1] != b'"':
            _fail(at, "no name of a member")
        name, at = _value(text, at, 1)
        name = name.value() if type(name) is Encoded else name
        at = _blank(text, at)
        if text[at : at + 1] != b":":
            _fail(at, "no colon")
        at = _blank(text, at + 1)
        if (known is None or name in known) and (name in found or len(found) <= most):
            found[name], at = take(text, name, at)
        else:
            _, at = _value(text, at, MAX_DEPTH)
        at, is_last = _behind(text, at, b"}")
        if is_last:
            return found, at


def _array(
    text: bytes, at: int, take: _Take, most: int, *, drop: bool = False
) -> tuple[list[Any], int]:
    """Read an array item by item; what is too much is dropped, or ends it with an end of -1."""
    found: list[Any] = []
    at = _blank(text, at + 1)
    if text[at : at + 1] == b"]":
        return found, at + 1
    while True:
        if len(found) <= most:
            item, at = take(text, "", at)
            found.append(item)
        elif drop:
            _, at = _value(text, at, MAX_DEPTH)
        if len(found) > most and not drop:
            return found, -1
        at, is_last = _behind(text, at, b"]")
        if is_last:
            return found, at


def _behind(text: bytes, at: int, closing: bytes) -> tuple[int, bool]:
    """Return where what follows an item begins, and whether it was the last."""
    at = _blank(text, at)
    follows = text[at : at + 1]
    if follows == closing:
        return at + 1, True
    if follows != b",":
        _fail(at, "neither a comma nor the end")
    return _blank(text, at + 1), False


def _value(text: bytes, at: int, levels: int) -> tuple[Any, int]:
    """Return a value, `Encoded` if it is long, and where it ends."""
    end = _near_end(text, at, _FIRST_LOOK) or _near_end(text, at, _SHORT) or _end(text, at, levels)
    part = text[at:end]
    return (decode(part, levels) if len(part) <= _SHORT else Encoded(part)), end


def _near_end(text: bytes, at: int, size: int) -> int:
    """Return where a value ends that is shorter than a size; 0 when it is not, or is none."""
    near = text[at : at + size]
    try:
        shown = near.decode("utf-8")
    except UnicodeDecodeError as error:
        shown = near[: error.start].decode("utf-8")
    try:
        _, end = read(shown, 0)
    except (StopIteration, ValueError, RecursionError):
        return 0
    if shown[end : end + 1] not in _ENDS and at + size < len(text):  # a number may go on
        return 0
    return at + (end if shown.isascii() else len(shown[:end].encode("utf-8")))


def _end(text: bytes, at: int, levels: int) -> int:
    """Check the value that begins at a byte, and return where it ends."""
    first = text[at : at + 1]
    if first == b'"':
        return _end_of_string(text, at)
    if first in (b"[", b"{"):
        return _end_of_container(text, at, levels)
    match = _WORD.match(text, at)
    assert match is not None
    _read_piece(match.group(), at, match.end(), levels)
    return match.end()


def _end_of_string(text: bytes, at: int) -> int:
    start, at = at, at + 1
    while True:
        match = _INSIDE.match(text, at, at + _SHORT)
        assert match is not None
        end = match.end()
        closes = text[end : end + 1] == b'"'
        if not closes:
            while end > at and end < len(text) and text[end] & 0xC0 == 0x80:  # noqa: PLR2004 UTF-8
                end -= 1
            if end == at:
                _fail(start, "a string that does not end, or a wrong escape,")
        _read_piece(b'"%b"' % text[at:end], at, end, 0)
        if closes:
            return end + 1
        at = end


def _end_of_container(text: bytes, at: int, levels: int) -> int:
    opened, at = text[at : at + 1], at + 1  # the brackets that are open, the outermost first
    before = b""  # what stands for all that was read inside of the innermost
    size = _SHORT
    while True:
        end, inside = _piece(text, at, size)
        string_end = 0
        if end <= at and at + size < len(text):  # no comma: a long string, or something longer yet
            match = _TO_A_STRING.match(text, at, at + size)
            assert match is not None
            end = match.end()
            inside = _STRINGS.sub(b"", text[at:end])
            if end == at + size:
                if len(inside.translate(None, _NO_BRACKETS)) > 2 * levels:
                    _fail(at, f"no comma, or more than {levels} levels,")
                size *= 2
                continue
            string_end = _end_of_string(text, end)
        closed, opens, height = _unmatched(inside)
        start = opened[:-1].replace(b"{", _AN_OBJECT) + opened[-1:] + before
        if len(closed) >= len(opened):
            end = _where_closed(text, at, end, len(opened))
            _read_piece(start + text[at:end], at, end, levels)
            return end
        if end == len(text):
            _fail(at, f"no end of what is open here, {opened[-1:].decode()},")
        if not string_end and (start + text[at:end]).rstrip()[-1:] in b"[{":
            _fail(end, "a comma with nothing before it")
        if len(opened) + len(opens) - len(closed) > levels:
            raise ParseError(f"nested deeper than {levels} levels")
        deepest = len(opened) + height
        opened = opened[: len(opened) - len(closed)] + opens
        before = b'""' if opened.endswith(b"[") else _A_MEMBER
        body, rest = text[at:end], b""
        if string_end:
            is_name = opened.endswith(b"{") and not body.rstrip().endswith(b":")
            before, rest = (b'""', _A_MEMBER) if is_name else (before, b'""')
        closing = opened[::-1].translate(_CLOSING)
        bound = levels if deepest > levels else 1 << 62
        _read_piece(start + body + rest + closing, at, end, bound)
        at, size = string_end or end, _SHORT


def _piece(text: bytes, at: int, size: int) -> tuple[int, bytes]:
    """Return where a piece ends, and the piece without its strings."""
    if at + size >= len(text):
        return len(text), _STRINGS.sub(b"", text[at:])
    end = text.rfind(b",", at + 1, at + size)
    if end < 0:
        return at, b""
    # A string that is left open takes the mark behind the piece with it.
    inside = _STRINGS.sub(b"", text[at:end] + b"\0")
    if inside.endswith(b"\0"):
        return end, inside
    match = _TO_A_COMMA.match(text, at, at + size)
    assert match is not None
    end = match.end() - 1
    return end, _STRINGS.sub(b"", text[at:end]) if end > at else b""


def _unmatched(text: bytes) -> tuple[bytes, bytes, int]:
    """Return the brackets that a piece closes and opens, and how many levels it adds at most."""
    left = text.translate(None, _NO_BRACKETS)
    removed = 0
    while removed < _REMOVALS and (b"[]" in left or b"{}" in left):
        left = left.replace(b"[]", b"").replace(b"{}", b"")
        removed += 2
    closed, opens, height = bytearray(), bytearray(), 0
    for bracket in left:
        if bracket in b"[{":
            opens.append(bracket)
            height = max(height, len(opens) - len(closed))
        elif opens:
            opens.pop()
        else:
            closed.append(bracket)
    return bytes(closed), bytes(opens), height + removed


def _where_closed(text: bytes, at: int, end: int, depth: int) -> int:
    """Return where the last of so many open brackets is closed."""
    for match in _BRACKETS.finditer(text, at, end):
        token = match.group()
        if token in (b"[", b"{"):
            depth += 1
        elif token in (b"]", b"}"):
            depth -= 1
            if not depth:
                return match.end()
    raise AssertionError("the brackets have been counted")


def _read_piece(piece: bytes, at: int, end: int, levels: int) -> None:
    try:
        decode(piece, levels)
    except ParseError as error:
        said = str(error)
        if said.startswith("not "):
            said = f"{said.partition(':')[0].partition(' at ')[0]} between bytes {at} and {end}"
        raise ParseError(said) from None


def _blank(text: bytes, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None
    return match.end()


def _expect_no_more(text: bytes, end: int) -> None:
    if (at := _blank(text, end)) != len(text):
        raise ParseError(f"not JSON: extra text after the value at byte {at}")


def _fail(at: int, what: str) -> NoReturn:
    raise ParseError(f"not JSON: {what} at byte {at}")
