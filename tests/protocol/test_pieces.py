"""The reader of long texts agrees with the reader of short ones, whatever the text is."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nuxt_queue.errors import ParseError, RpcError
from nuxt_queue.rpc import bulk, pieces
from nuxt_queue.rpc.codec import MAX_DEPTH, decode, plain, text_of
from nuxt_queue.rpc.peer import Peer, Reply

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


@settings(max_examples=800, deadline=None)
@given(texts(), st.sampled_from([MAX_DEPTH, 3, 1]))
@example(b"[1,]", MAX_DEPTH)
@example(b"[" + b'"' + b"\\u00e9" * 20 + b'"]', MAX_DEPTH)
@example(b'{"' + b"k" * 40 + b'":"' + b"v" * 40 + b'","' + b"k" * 40 + b'":[1,2]}', MAX_DEPTH)
@example(b'["' + b"\\ud83d\\ude00" * 9 + b'"]', MAX_DEPTH)
@example(b'["' + b"\\ud83d" * 9 + b'"]', MAX_DEPTH)
@example(b'["' + "\U0001f600".encode() * 30 + b'"]', MAX_DEPTH)
def test_a_text_is_taken_in_pieces_exactly_if_it_is_taken_whole(text: bytes, levels: int) -> None:
    assert accepts(text, levels) == is_json(text, levels)


def spoken(line: bytes, *, in_pieces: bool) -> tuple[list[Any], list[Any], int]:
    """Return what a peer answers and serves for one line, and the violations that it counts."""
    said: list[Any] = []
    served: list[Any] = []

    def serve(method: str, params: Any, reply: Reply) -> None:
        served.append((method, plain_parts(params)))
        reply.result("done")

    one = Peer(lambda out: said.append(json.loads(out)), serve)
    one.call("asked", {}, lambda result, error: served.append((plain_parts(result), error)))
    said.clear()
    if not in_pieces:
        one.receive(line)
        return said, served, one.violations
    try:
        message = pieces.read_message(line)
    except RpcError as error:
        one.refuse(error)
    else:
        one.take(message)
    return said, served, one.violations


def plain_parts(value: Any) -> Any:
    if type(value) is dict:
        return {name: plain_parts(item) for name, item in value.items()}
    return [plain_parts(item) for item in value] if type(value) is list else plain(value)


def without_texts(answers: Any) -> Any:
    """Leave out the words of errors: a position in a piece is another than in the whole."""
    if isinstance(answers, list):
        return [without_texts(each) for each in answers]
    if isinstance(answers, dict):
        return {k: without_texts(v) for k, v in answers.items() if k != "message"}
    return answers


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    message = {
        "jsonrpc": draw(st.sampled_from(["2.0", "2.0", "2.0", 2, "1.0"])),
        **draw(st.sampled_from([{}, {"id": 1}, {"id": "an id"}, {"id": [1]}])),
        **draw(st.sampled_from([{}, {"method": "ctx.state.set"}, {"method": 5}])),
    }
    for name in draw(st.sets(st.sampled_from(["params", "result", "extra"]))):
        message[name] = draw(VALUES)
    if draw(st.integers(0, 5)) == 0:
        message["error"] = draw(
            st.sampled_from([{"code": 1, "message": "no"}, {"code": "x"}, 7, {"message": "m"}])
        )
    items: Any = [message] * draw(st.integers(0, 3)) if draw(st.integers(0, 4)) == 0 else message
    text = json.dumps(items).encode()
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(SNIPPETS) + text[at + draw(st.integers(0, 2)) :]
    return text


@settings(max_examples=500, deadline=None)
@given(lines())
def test_a_peer_says_and_serves_the_same_for_a_line_read_in_pieces(line: bytes) -> None:
    said, served, violations = spoken(line, in_pieces=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_SHORT", 48)  # ids and names of methods are short
        said_too, served_too, violations_too = spoken(line, in_pieces=True)
    assert without_texts(said_too) == without_texts(said)
    assert str(served_too) == str(served)
    assert violations_too == violations


@settings(max_examples=500, deadline=None)
@given(VALUES, st.integers(2, 40))
def test_a_value_written_in_pieces_is_the_value_written_whole(value: Any, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "_PIECE", size)
        patch.setattr(bulk, "_ITEMS", 3)
        assert bulk.bulk_text(value, "result") == text_of(value)


@pytest.mark.parametrize(
    ("line", "code"),
    {
        "a batch of numbers": (b"[" + b"1," * 1_000_000 + b"1]", -32600),
        "lists in lists": (b"[" + b"[]," * 1_000_000 + b"[]]", -32600),
        "too deep": (b"[" * 2_000_000, -32700),
        "a number and no more": (b"1" * 1_000_000, -32700),
        "no end": (b'{"jsonrpc":"2.0","params":[' + b"{}," * 100_000, -32700),
    }.values(),
    ids=["a batch of numbers", "lists in lists", "too deep", "a number and no more", "no end"],
)
def test_a_line_that_breaks_the_protocol_costs_less_than_it_holds(line: bytes, code: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_SHORT", 64 * 1024)
        tracemalloc.start()
        try:
            said, _, violations = spoken(line, in_pieces=True)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert violations == 1
    assert [answer["error"]["code"] for answer in said] == [code]
    assert peak < 2 * len(line) + 100_000
