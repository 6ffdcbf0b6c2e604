"""The reader of long texts agrees with the reader of short ones, whatever the text is."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nuxt_queue.errors import ParseError
from nuxt_queue.rpc import pieces
from nuxt_queue.rpc.codec import MAX_DEPTH, decode

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=6), inner, max_size=6)
    ),
    max_leaves=40,
)
# What mutations are made of: tokens, parts of tokens, escapes and what is no UTF-8.
SNIPPETS = st.sampled_from([
    b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b'\\"', b"\\u", b"\\ud83d", b"\\ude00",
    b"\\u00e9", b"0", b"-", b"1.5e", b"NaN", b"null", b"tru", b" ", b"\n", b"\x00", b"\xff",
    "\u00e9".encode(), "\U0001f600".encode(), b'""', b'"a":', b"[]", b"{}", b"1,",
])  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def tiny_pieces() -> Iterator[None]:
    """Read sixteen bytes at a time, so that short texts have many pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_SHORT", 16)
        patch.setattr(pieces, "_FIRST_LOOK", 4)
        yield


def accepts(text: bytes, levels: int = MAX_DEPTH) -> bool:
    try:
        pieces.check(text, levels)
    except ParseError:
        return False
    return True


def is_json(text: bytes, levels: int = MAX_DEPTH) -> bool:
    try:
        decode(text, levels)
    except ParseError:
        return False
    return True


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    value = draw(VALUES)
    text = json.dumps(
        value,
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:  ")])),
    ).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 3)))
        text = text[:at] + draw(SNIPPETS) + text[end:]
    return text


@settings(max_examples=1500, deadline=None)
@given(texts(), st.sampled_from([MAX_DEPTH, 3, 1]))
@example(b"[1,]", MAX_DEPTH)
@example(b"[" + b'"' + b"\\u00e9" * 20 + b'"]', MAX_DEPTH)
@example(b'{"' + b"k" * 40 + b'":"' + b"v" * 40 + b'","' + b"k" * 40 + b'":[1,2]}', MAX_DEPTH)
@example(b'["' + b"\\ud83d\\ude00" * 9 + b'"]', MAX_DEPTH)
@example(b'["' + b"\\ud83d" * 9 + b'"]', MAX_DEPTH)
@example(b'["' + "\U0001f600".encode() * 30 + b'"]', MAX_DEPTH)
def test_a_text_is_taken_in_pieces_exactly_if_it_is_taken_whole(text: bytes, levels: int) -> None:
    assert accepts(text, levels) == is_json(text, levels)
