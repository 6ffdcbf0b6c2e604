"""The 20 clauses of JSON-RPC 2.0 (faults B), on both sides of the wire, and in Node."""

from __future__ import annotations

from typing import Any

import pytest

from tests.protocol.conftest import Side


class _Absent:
    def __repr__(self) -> str:
        return "absent"


_ABSENT = _Absent()


def call(side: Side, **members: Any) -> dict[str, Any]:
    """Make a call of a method that the side has, with members changed or left out."""
    message = {"jsonrpc": "2.0", "method": side.known, "params": {}, "id": 7, **members}
    return {k: v for k, v in message.items() if v is not _ABSENT}


def check(answer: Any, request_id: Any, code: int | None = None) -> dict[str, Any]:
    """Check clauses 11 to 15 on an answer, and its id and code; return it."""
    assert isinstance(answer, dict)
    assert answer["jsonrpc"] == "2.0"  # clause 11
    assert ("result" in answer) != ("error" in answer)  # clauses 12, 13, 14
    assert repr(answer["id"]) == repr(request_id)
    assert set(answer) <= {"jsonrpc", "id", "result", "error"}
    if "error" in answer:  # clause 15
        assert type(answer["error"]["code"]) is int
        assert type(answer["error"]["message"]) is str
        assert answer["error"]["message"]
        assert set(answer["error"]) <= {"code", "message", "data"}
    if code is not None:
        assert answer["error"]["code"] == code
    return answer


def only(answers: list[Any]) -> Any:
    """Return the one answer there is."""
    assert len(answers) == 1, answers
    return answers[0]


@pytest.mark.parametrize(
    "version", [2.0, 2, "2", "1.0", "2.00", "", None, True, ["2.0"], _ABSENT], ids=repr
)
def test_clause_1_jsonrpc_is_exactly_2_0(side: Side, version: Any) -> None:
    check(only(side.exchange(call(side, jsonrpc=version))), 7, -32600)


@pytest.mark.parametrize("method", [1, None, True, ["m"], {"m": 1}, _ABSENT], ids=repr)
def test_clause_2_a_method_is_a_string(side: Side, method: Any) -> None:
    check(only(side.exchange(call(side, method=method))), 7, -32600)


@pytest.mark.parametrize(
    "method",
    ["rpc.discover", "rpc.x", "", "__proto__", "__class__", "ctx.state.__class__", "constructor"],
)
def test_clause_2_reserved_and_strange_names_are_no_methods(side: Side, method: str) -> None:
    """Also faults 46: no attribute is ever looked up by a name from the wire."""
    check(only(side.exchange(call(side, method=method))), 7, -32601)


@pytest.mark.parametrize("params", [None, 1, 0, "x", "", True, False, 1.5], ids=repr)
def test_clause_3_params_are_structured(side: Side, params: Any) -> None:
    check(only(side.exchange(call(side, params=params))), 7, -32600)


def test_clause_3_params_may_be_left_out(side: Side) -> None:
    answer = check(only(side.exchange(call(side, params=_ABSENT))), 7)
    assert side.was_understood(answer, {})


@pytest.mark.parametrize("request_id", [True, False, [], [1], {}, {"a": 1}], ids=repr)
def test_clause_4_an_id_is_a_string_a_number_or_null(side: Side, request_id: Any) -> None:
    """What is no id cannot be echoed: clause 16."""
    check(only(side.exchange(call(side, id=request_id))), None, -32600)


@pytest.mark.parametrize("request_id", [1, "1", 1.0, 1.5, 0, -1, "", "é😀", 2**63, None], ids=repr)
def test_clause_5_the_same_id_comes_back(side: Side, request_id: Any) -> None:
    """Type kept; null is an id, not the absence of one."""
    answer = check(only(side.exchange(call(side, id=request_id))), request_id)
    assert side.was_understood(answer, {})


@pytest.mark.parametrize(
    "members",
    [{}, {"method": "foobar"}, {"method": "rpc.x"}, {"params": [1, 2]}, {"params": _ABSENT}],
    ids=repr,
)
def test_clause_6_a_notification_is_never_answered(side: Side, members: dict[str, Any]) -> None:
    """Also not when the method is unknown or fails."""
    assert side.exchange(call(side, id=_ABSENT, **members)) == []


@pytest.mark.parametrize("params", [[], [1], [1, "a", None]], ids=repr)
def test_clause_7_params_by_position_are_an_array(side: Side, params: Any) -> None:
    answer = check(only(side.exchange(call(side, params=params))), 7)
    assert side.was_understood(answer, params)


@pytest.mark.parametrize("params", [{}, {"a": 1}, {"": None}], ids=repr)
def test_clause_8_params_by_name_are_an_object(side: Side, params: Any) -> None:
    answer = check(only(side.exchange(call(side, params=params))), 7)
    assert side.was_understood(answer, params)


def test_clause_9_names_are_exact(side: Side) -> None:
    for name in (side.known.upper(), side.known.title(), side.known + " ", " " + side.known):
        check(only(side.exchange(call(side, method=name))), 7, -32601)


def test_clause_10_every_call_is_answered_once(side: Side) -> None:
    answers = [side.exchange(call(side, id=n)) for n in range(50)]

    assert [only(each)["id"] for each in answers] == list(range(50))


@pytest.mark.parametrize(
    "answer",
    [
        {"jsonrpc": "2.0", "result": 1, "error": {"code": 1, "message": "m"}, "id": 7},
        {"jsonrpc": "2.0", "result": 1, "error": None, "id": 7},
        {"jsonrpc": "2.0", "result": 1, "id": "nobody asked"},
        {"jsonrpc": "2.0", "error": {"code": 1, "message": "m"}, "id": None},
        {"jsonrpc": "2.0", "error": "failed", "id": 7},
        {"jsonrpc": "2.0", "result": 1},
        {"result": 1, "id": 7},
    ],
    ids=repr,
)
def test_clause_14_an_answer_that_nobody_can_use_is_not_answered(side: Side, answer: Any) -> None:
    """Nor does it end the conversation: faults 44."""
    assert side.exchange(answer) == []
    check(only(side.exchange(call(side))), 7)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", -32700),
        (b"hello", -32700),
        (b"\xff\xfe", -32700),
        (b'{"jsonrpc":"2.0","method":"m","id":1,}', -32700),
        (b'{"jsonrpc":"2.0","method":"m","id":NaN}', -32700),
        (b"1", -32600),
        (b'"text"', -32600),
        (b"null", -32600),
        (b"true", -32600),
        (b"{}", -32600),
        (b'{"foo":"boo"}', -32600),
        (b'{"jsonrpc":"2.0","method":1,"params":"bar"}', -32600),
    ],
)
def test_clause_16_the_id_is_null_when_there_is_none(side: Side, line: bytes, code: int) -> None:
    check(only(side.exchange(line)), None, code)


def test_clause_17_the_codes_are_those_of_the_specification(side: Side) -> None:
    lines: dict[int, Any] = {
        -32700: b"}",
        -32600: call(side, jsonrpc="1"),
        -32601: call(side, method="foobar"),
    }
    for code, line in lines.items():
        assert only(side.exchange(line))["error"]["code"] == code


def test_clause_18_a_batch_is_answered_by_one_array(side: Side) -> None:
    batch = [call(side, id="a"), call(side, id=_ABSENT), call(side, method="x", id="b"), {"foo": 1}]

    answers = only(side.exchange(batch))

    assert isinstance(answers, list)
    assert sorted(map(repr, (answer["id"] for answer in answers))) == ["'a'", "'b'", "None"]
    for answer in answers:
        check(answer, answer["id"])


@pytest.mark.parametrize("line", [b"[]", b"[1", b'[{"jsonrpc":"2.0","method"'])
def test_clause_19_a_batch_that_is_none_gets_a_single_answer(side: Side, line: bytes) -> None:
    check(only(side.exchange(line)), None, -32600 if line == b"[]" else -32700)


@pytest.mark.parametrize("batch", [[1], [1, 2, 3], [[]], [None, "a"], [{}]], ids=repr)
def test_clause_19_what_is_no_request_in_a_batch_is_refused_in_it(
    side: Side, batch: list[Any]
) -> None:
    answers = only(side.exchange(batch))

    assert isinstance(answers, list)
    assert len(answers) == len(batch)
    for answer in answers:
        check(answer, None, -32600)


def test_clause_20_a_batch_of_notifications_is_not_answered(side: Side) -> None:
    quiet = call(side, id=_ABSENT)
    assert side.exchange([quiet, {**quiet, "method": "foobar"}]) == []
    assert side.exchange([{"jsonrpc": "2.0", "result": 1, "id": "nobody asked"}]) == []


def test_members_that_the_specification_does_not_name_are_ignored(side: Side) -> None:
    answer = check(only(side.exchange(call(side, meta={"a": 1}, error=None))), 7)
    assert side.was_understood(answer, {})
