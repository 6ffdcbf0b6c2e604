"""JSON-RPC 2.0 messages as plain dictionaries: built here, checked here.

Source: the JSON-RPC 2.0 specification, sections 4 to 6.
"""

from __future__ import annotations

from nuxt_queue.errors import (
    InternalError,
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    ParseError,
    RpcError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "check_request",
    "check_response",
    "error_from_wire",
    "failure",
    "notification",
    "request",
    "success",
]

_BY_CODE: dict[int, type[RpcError]] = {
    kind.code: kind
    for kind in (
        ParseError,
        InvalidRequestError,
        MethodNotFoundError,
        InvalidParamsError,
        InternalError,
    )
}


def request(request_id: int | str, method: str, params: Any) -> dict[str, Any]:
    """Build a call that is answered."""
    return {"jsonrpc": "2.0", "method": method, "params": params, "id": request_id}


def notification(method: str, params: Any) -> dict[str, Any]:
    """Build a call that is never answered."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


def success(request_id: Any, result: Any) -> dict[str, Any]:
    """Build an answer; `result` is there even when it is None, which hosts insist on."""
    return {"jsonrpc": "2.0", "result": result, "id": request_id}


def failure(request_id: Any, error: RpcError) -> dict[str, Any]:
    """Build an error answer."""
    body: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "error": body, "id": request_id}


def check_request(message: dict[str, Any]) -> None:
    """Raise InvalidRequestError unless a message with a method is a request or notification."""
    if message.get("jsonrpc") != "2.0":
        raise InvalidRequestError('"jsonrpc" must be "2.0"')
    if type(message.get("method")) is not str:
        raise InvalidRequestError('"method" must be a string')
    if "params" in message and type(message["params"]) not in (dict, list):
        raise InvalidRequestError('"params" must be an object or an array')
    if "id" in message and not _is_id(message["id"]):
        raise InvalidRequestError('"id" must be a string, a number or null')


def check_response(message: dict[str, Any]) -> None:
    """Raise InvalidRequestError unless a message without a method is a response."""
    if message.get("jsonrpc") != "2.0":
        raise InvalidRequestError('"jsonrpc" must be "2.0"')
    if ("result" in message) == ("error" in message):
        raise InvalidRequestError('a response holds either "result" or "error"')
    if "id" not in message or not _is_id(message["id"]):
        raise InvalidRequestError("a response repeats the id of its request")
    if "error" in message:
        error = message["error"]
        if type(error) is not dict or type(error.get("code")) is not int:
            raise InvalidRequestError('"error" must be an object with an integer "code"')
        if type(error.get("message")) is not str:
            raise InvalidRequestError('"error" must hold a string "message"')


def error_from_wire(error: dict[str, Any]) -> RpcError:
    """Return the exception for an error object that `check_response` has accepted."""
    kind = _BY_CODE.get(error["code"], RpcError)
    return kind(error["message"], error.get("data"), error["code"])


def _is_id(value: Any) -> bool:
    return value is None or type(value) in (str, int, float)
