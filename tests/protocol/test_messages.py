"""Messages are built and checked by the letter of JSON-RPC 2.0, sections 4 and 5."""

from __future__ import annotations

from typing import Any

import pytest

from nuxt_queue.errors import (
    InternalError,
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    ParseError,
    RpcError,
)
from nuxt_queue.rpc import messages

_OK: dict[str, Any] = {"jsonrpc": "2.0", "method": "m", "params": {}, "id": 1}
_ABSENT = object()


def _with(message: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {k: v for k, v in {**message, **members}.items() if v is not _ABSENT}


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"params": []},
        {"params": _ABSENT},
        {"id": _ABSENT},
        {"id": "a"},
        {"id": ""},
        {"id": 1.5},
        {"id": None},
        {"id": 0},
        {"id": -1},
        {"id": 10**30},
        {"extra": 1},
        {"method": ""},
        {"method": "rpc.x"},
    ],
    ids=repr,
)
def test_a_request_by_the_specification_is_accepted(members: dict[str, Any]) -> None:
    """Clauses 1 to 4; members that the specification does not name are ignored."""
    messages.check_request(_with(_OK, **members))


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"jsonrpc": _ABSENT}, "jsonrpc"),
        ({"jsonrpc": 2.0}, "jsonrpc"),
        ({"jsonrpc": 2}, "jsonrpc"),
        ({"jsonrpc": "2"}, "jsonrpc"),
        ({"jsonrpc": "2.0 "}, "jsonrpc"),
        ({"jsonrpc": "1.0"}, "jsonrpc"),
        ({"jsonrpc": None}, "jsonrpc"),
        ({"jsonrpc": ["2.0"]}, "jsonrpc"),
        ({"method": _ABSENT}, "method"),
        ({"method": 1}, "method"),
        ({"method": None}, "method"),
        ({"method": ["m"]}, "method"),
        ({"params": None}, "params"),
        ({"params": 1}, "params"),
        ({"params": "x"}, "params"),
        ({"params": True}, "params"),
        ({"id": True}, "id"),
        ({"id": False}, "id"),
        ({"id": []}, "id"),
        ({"id": {}}, "id"),
    ],
    ids=repr,
)
def test_a_request_against_the_specification_is_refused(members: dict[str, Any], says: str) -> None:
    """Clauses 1 to 4."""
    with pytest.raises(InvalidRequestError, match=says) as caught:
        messages.check_request(_with(_OK, **members))
    assert caught.value.code == -32600


_ANSWER: dict[str, Any] = {"jsonrpc": "2.0", "result": 1, "id": 1}
_ERROR: dict[str, Any] = {"jsonrpc": "2.0", "error": {"code": -1, "message": "m"}, "id": 1}


@pytest.mark.parametrize(
    "message",
    [
        _ANSWER,
        _ERROR,
        _with(_ANSWER, result=None),
        _with(_ANSWER, result={"error": 1}),
        _with(_ANSWER, id=None),
        _with(_ANSWER, id="a"),
        _with(_ERROR, error={"code": 0, "message": "", "data": None}),
        _with(_ERROR, error={"code": -32700, "message": "m", "data": {"a": 1}, "extra": 1}),
    ],
    ids=repr,
)
def test_a_response_by_the_specification_is_accepted(message: dict[str, Any]) -> None:
    """Clauses 11 to 15."""
    messages.check_response(message)


@pytest.mark.parametrize(
    "message",
    [
        _with(_ANSWER, jsonrpc="2"),
        _with(_ANSWER, jsonrpc=_ABSENT),
        _with(_ANSWER, result=_ABSENT),
        _with(_ANSWER, error={"code": 1, "message": "m"}),
        _with(_ANSWER, error=None),
        _with(_ANSWER, id=_ABSENT),
        _with(_ANSWER, id=True),
        _with(_ANSWER, id=[1]),
        _with(_ERROR, error=None),
        _with(_ERROR, error="failed"),
        _with(_ERROR, error={}),
        _with(_ERROR, error={"code": 1}),
        _with(_ERROR, error={"message": "m"}),
        _with(_ERROR, error={"code": "1", "message": "m"}),
        _with(_ERROR, error={"code": 1.0, "message": "m"}),
        _with(_ERROR, error={"code": True, "message": "m"}),
        _with(_ERROR, error={"code": 1, "message": None}),
        _with(_ERROR, error={"code": 1, "message": 5}),
    ],
    ids=repr,
)
def test_a_response_against_the_specification_is_refused(message: dict[str, Any]) -> None:
    """Clauses 11 to 15."""
    with pytest.raises(InvalidRequestError):
        messages.check_response(message)


@pytest.mark.parametrize("request_id", [1, "1", 1.5, None, -1, ""], ids=repr)
def test_what_is_built_passes_the_check(request_id: Any) -> None:
    messages.check_request(messages.request(1, "m", {}))
    messages.check_request(messages.notification("m", []))
    messages.check_response(messages.success(request_id, None))
    messages.check_response(messages.failure(request_id, RpcError("no")))

    assert "id" not in messages.notification("m", {})
    assert messages.success(request_id, None) == {
        "jsonrpc": "2.0",
        "result": None,
        "id": request_id,
    }


def test_an_error_without_data_is_built_without_data() -> None:
    """Clause 15: data is optional; what is false is still data."""
    assert messages.failure(1, RpcError("no"))["error"] == {"code": -32000, "message": "no"}
    for data in (0, "", False, list[int](), dict[str, int]()):
        assert messages.failure(1, RpcError("no", data))["error"]["data"] == data


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-32700, ParseError),
        (-32600, InvalidRequestError),
        (-32601, MethodNotFoundError),
        (-32602, InvalidParamsError),
        (-32603, InternalError),
        (-32000, RpcError),
        (-32001, RpcError),
        (-32099, RpcError),
        (5, RpcError),
    ],
)
def test_an_error_keeps_its_code_on_the_way(code: int, kind: type[RpcError]) -> None:
    """Clause 17: there and back."""
    error = messages.error_from_wire({"code": code, "message": "no", "data": {"a": 1}})

    assert type(error) is kind
    assert (error.code, str(error), error.data) == (code, "no", {"a": 1})
    assert messages.failure(1, error)["error"] == {"code": code, "message": "no", "data": {"a": 1}}
