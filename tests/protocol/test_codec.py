"""Properties of the codec, over values and bytes that nobody would think of."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from nuxt_queue.errors import ParseError
from nuxt_queue.rpc.codec import MAX_DEPTH, MESSAGE_DEPTH, decode, encode
from nuxt_queue.rpc.values import to_json

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _text
json_values = st.recursive(
    _leaves.filter(lambda v: v not in (float("inf"), -float("inf"))),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(_text | st.just("jsonrpc"), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(json_values)
@settings(max_examples=300, deadline=None)
@example(-0.0)
@example(1e308)
@example({"": {"\0": ["\u2028", "\x1c", "\r"]}})
def test_what_is_written_is_read_back_the_same(value: Any) -> None:
    """Section B: one line, no raw newline, the same value and types."""
    line = encode(to_json(value, "value"))

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert repr(decode(line)) == repr(value)


@given(json_values)
@settings(max_examples=100, deadline=None)
def test_what_another_writer_writes_is_read_the_same(value: Any) -> None:
    """A host need not escape what this side escapes, nor leave spaces out."""
    loose = json.dumps(value, ensure_ascii=False, indent=1).replace("\n", "\r")

    assert repr(decode(loose.encode())) == repr(value)


@given(
    st.binary(max_size=60) | st.text('[]{}":,.\\u0123456789eEdD+-truefalsn \t\r').map(str.encode)
)
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_a_value_or_a_parse_error(line: bytes) -> None:
    """Section B: no other exception, and nothing that a stricter reader would refuse."""
    try:
        value = decode(line)
    except ParseError:
        return
    assert repr(decode(encode(value))) == repr(value)


@given(json_values, st.integers(0, 200), st.binary(min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_a_damaged_line_is_a_value_or_a_parse_error(value: Any, at: int, damage: bytes) -> None:
    line = encode(value)
    cut = at % len(line)
    try:
        decode(line[:cut] + damage + line[cut + len(damage) :])
    except ParseError:
        return


def test_ten_thousand_mangled_messages_are_values_or_parse_errors() -> None:
    """Section B: many more, without the search: bytes changed, cut out and doubled."""
    chance = random.Random(20260)
    line = encode({"jsonrpc": "2.0", "id": 1.5e3, "result": ["é😀\u2028", -0.0, None, {"a": [[]]}]})
    values = 0
    for _ in range(10_000):
        mangled = bytearray(line)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(mangled))
            mangled[at : at + chance.randint(0, 3)] = chance.choice(
                [chance.randbytes(2), b"", b'"', b"[", b"\\", bytes(mangled[at : at + 9])]
            )
        try:
            value = decode(bytes(mangled))
        except ParseError:
            continue
        values += 1
        assert repr(decode(encode(value))) == repr(value)
    assert 0 < values < 10_000


def test_a_message_has_room_around_the_deepest_value() -> None:
    """Faults 41: a value that is accepted here is not refused on the other side."""
    deepest: Any = 1
    for _ in range(MAX_DEPTH):
        deepest = [deepest]
    event = {"type": "emit", "data": {"name": "a", "payload": to_json(deepest, "payload")}}
    line = encode({"jsonrpc": "2.0", "method": "ctx.emit", "params": {"event": event}, "id": 1})

    assert decode(line)["params"]["event"] == event
    assert MAX_DEPTH < MESSAGE_DEPTH
