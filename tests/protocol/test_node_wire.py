"""What Node reads of a line, and lines out of its stream: as strict as the other side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.protocol.conftest import NodeChild, node_peer
from tests.protocol.test_strict_json import ACCEPTED, REFUSED

# What the grammar leaves open: JavaScript reads these, each in its way, and Python sends none.
OPEN = {
    "an overflow",
    "a negative overflow",
    "an overflow by digits",
    "an overflow deep inside",
    "an integer of 4301 digits",
    "a first half alone",
    "a first half and a letter",
    "a first half at the end",
    "a second half alone",
    "a second half alone in upper case",
    "halves the wrong way round",
    "two first halves",
    "a pair and half of one",
    "half a pair and an escaped letter",
    "half a pair as a key",
    "half a pair deep inside",
    "one level too deep",
    "one object too deep",
    "a mixture too deep",
    "100000 arrays",
}


@pytest.fixture(scope="module")
def node() -> Iterator[NodeChild]:
    """A Node with the method `echo`."""
    child = node_peer()
    yield child
    assert child.close() == 0


@pytest.mark.parametrize("name", [n for n in ACCEPTED if b"\n" not in ACCEPTED[n][0]])
def test_a_line_that_is_json_is_read(node: NodeChild, name: str) -> None:
    """Faults 36, 38 and B; a number is a double, and what it cannot hold is never sent."""
    text, value = ACCEPTED[name]
    (answer,) = node.exchange(b'{"jsonrpc":"2.0","method":"echo","params":[' + text + b'],"id":1}')
    (got,) = answer["result"]
    if type(value) is int and abs(value) >= 2**53:
        assert got is None or float(got) == float(value)
    elif value is not None:
        assert got == value


@pytest.mark.parametrize(
    "name",  # those of two lines are two messages, and a blank line is none
    [n for n, line in REFUSED.items() if n not in OPEN and line.strip() and b"\n" not in line],
)
def test_a_line_that_is_not_json_is_refused(node: NodeChild, name: str) -> None:
    """Faults 38 and B: never repaired, never half of it."""
    (answer,) = node.exchange(REFUSED[name])
    assert answer["error"]["code"] == -32700
    assert answer["id"] is None


def test_the_pins_that_are_left_open_are_pins() -> None:
    assert REFUSED.keys() >= OPEN


def echo(value: Any, request_id: int = 1) -> bytes:
    message = {"jsonrpc": "2.0", "method": "echo", "params": [value], "id": request_id}
    return json.dumps(message, ensure_ascii=False).encode()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_line_may_come_in_any_pieces(node: NodeChild, size: int) -> None:
    """Faults 30: cut inside characters, byte by byte."""
    raw = echo("é😀\u2028") + b"\n"
    places = [*range(0, len(raw), size), len(raw)]
    for start, end in pairwise(places):
        node.write(raw[start:end])
    assert node.read()["result"] == ["é😀\u2028"]


def test_a_piece_may_hold_many_lines_and_blank_ones(node: NodeChild) -> None:
    """Faults 30 and 31."""
    texts = ["a", "\u2028\u2029\u0085", "\x0b\x1c\r", "\0"]
    node.write(b"\n \r\n".join(echo(text, n) for n, text in enumerate(texts)) + b"\r\n")
    assert [node.read()["result"] for _ in texts] == [[text] for text in texts]


def test_a_line_of_megabytes_is_one_line(node: NodeChild) -> None:
    text = "x" * 3_000_000
    node.send(echo(text))
    assert node.read()["result"] == [text]


@pytest.mark.parametrize(
    ("line", "ids"),
    [
        (b'{"jsonrpc":"2.0","method":"echo","params":[{"id":1.5}],"id":1.0}', [b"1.0"]),
        (b'{"jsonrpc":"2.0","method":"echo","id":1e2,"params":{"id":"a,]"}}', [b"1e2"]),
        (b'{"id" : -9007199254740993,"jsonrpc":"2.0","method":"none"}', [b"-9007199254740993"]),
        (
            (
                b'[{"jsonrpc":"2.0","method":"none","id":1.0},7,'
                b'{"jsonrpc":"2.0","method":"none","id":"1.0"},'
                b'{"jsonrpc":"2.0","method":"none","params":[[1,2],{"id":3.0}],"id":4.50}]'
            ),
            [b"1.0", b"null", b'"1.0"', b"4.50"],
        ),
    ],
)
def test_an_id_comes_back_as_it_was_written(node: NodeChild, line: bytes, ids: list[bytes]) -> None:
    """Clause 5: also one that a double would round or write differently."""
    node.send(line)
    answers = node.read()
    found = answers if isinstance(answers, list) else [answers]
    assert [repr(each["id"]) for each in found] == [repr(json.loads(each)) for each in ids]
