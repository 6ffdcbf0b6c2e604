"""The 15 exchanges of section 7 of the JSON-RPC 2.0 specification, on both sides of the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.protocol.conftest import Child, ParentSide, node_peer

Exchange = Callable[[bytes], list[Any]]


@pytest.fixture(scope="module", params=["parent", "child", "node"])
def exchange(request: pytest.FixtureRequest) -> Iterator[Exchange]:
    """Speak to any side, which has the methods of the examples."""
    if request.param == "parent":
        yield ParentSide().exchange
        return
    child = node_peer() if request.param == "node" else Child("speaks_json_rpc.py")
    yield child.exchange
    assert child.close() == 0


def result(value: Any, request_id: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "result": value, "id": request_id}


def error(code: int, request_id: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": code, "id": request_id}


# line, what comes back (with only the code of an error: its text is ours)
EXAMPLES: list[tuple[str, bytes, list[Any]]] = [
    (
        "positional parameters",
        b'{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
        [result(19, 1)],
    ),
    (
        "positional parameters the other way round",
        b'{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
        [result(-19, 2)],
    ),
    (
        "named parameters",
        (
            b'{"jsonrpc": "2.0", "method": "subtract",'
            b' "params": {"subtrahend": 23, "minuend": 42}, "id": 3}'
        ),
        [result(19, 3)],
    ),
    (
        "named parameters the other way round",
        (
            b'{"jsonrpc": "2.0", "method": "subtract",'
            b' "params": {"minuend": 42, "subtrahend": 23}, "id": 4}'
        ),
        [result(19, 4)],
    ),
    ("a notification", b'{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', []),
    ("a notification without params", b'{"jsonrpc": "2.0", "method": "foobar"}', []),
    (
        "a method that there is not",
        b'{"jsonrpc": "2.0", "method": "foobar", "id": "1"}',
        [error(-32601, "1")],
    ),
    (
        "invalid JSON",
        b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
        [error(-32700)],
    ),
    (
        "an invalid request",
        b'{"jsonrpc": "2.0", "method": 1, "params": "bar"}',
        [error(-32600)],
    ),
    (
        "a batch of invalid JSON",
        (
            b'[ {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},'
            b' {"jsonrpc": "2.0", "method" ]'
        ),
        [error(-32700)],
    ),
    ("an empty batch", b"[]", [error(-32600)]),
    ("an invalid batch of one", b"[1]", [[error(-32600)]]),
    (
        "an invalid batch of three",
        b"[1,2,3]",
        [[error(-32600), error(-32600), error(-32600)]],
    ),
    (
        "a batch of everything",
        (
            b'[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},'
            b' {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},'
            b' {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},'
            b' {"foo": "boo"},'
            b' {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},'
            b' {"jsonrpc": "2.0", "method": "get_data", "id": "9"}]'
        ),
        [
            [
                result(7, "1"),
                result(19, "2"),
                error(-32600),
                error(-32601, "5"),
                result(["hello", 5], "9"),
            ]
        ],
    ),
    (
        "a batch of notifications",
        (
            b'[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},'
            b' {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]'
        ),
        [],
    ),
]


def code_only(answer: Any) -> Any:
    if isinstance(answer, list):
        return [code_only(each) for each in answer]
    return {**answer, "error": answer["error"]["code"]} if "error" in answer else answer


@pytest.mark.parametrize(("_name", "line", "expected"), EXAMPLES, ids=[e[0] for e in EXAMPLES])
def test_the_specification_s_example_holds(
    exchange: Exchange, _name: str, line: bytes, expected: list[Any]
) -> None:
    """15 of 15."""
    assert code_only(exchange(line)) == expected


def test_there_are_15_examples() -> None:
    assert len(EXAMPLES) == 15
