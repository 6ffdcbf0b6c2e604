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
    ValuePathError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "AROUND_A_VALUE",
    "MAX_BATCH",
    "MAX_MESSAGE",
    "check_request",
    "check_response",
    "check_size",
    "error_from_wire",
    "failure",
    "id_to_repeat",
    "notification",
    "request",
    "success",
]

MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes of the longest message unless `worker.max_message` says otherwise."""

AROUND_A_VALUE = 64 * 1024
"""Bytes that a value may grow by on its way from one message into the next, such as names."""

MAX_BATCH = 100
"""Messages of one batch: each is answered, also where two bytes are all that it has."""

_LONGEST_ID = 4096  # characters; each answer repeats it

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


def check_size(what: str, size: int, limit: int) -> None:
    """Raise ValuePathError if a message, or a value in it, is longer than it may be.

    Args:
        what: What is too long, as the user wrote it: `ctx.state.set('model')`, `result`.
        size: Its bytes.
        limit: The bytes that it may have: `worker.max_message`.
    """
    if size > limit:
        raise ValuePathError(
            what,
            f"is {size:,} bytes of JSON, and worker.max_message allows {limit:,}; write a file and"
            " pass its path",
        )


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
        raise InvalidRequestError(
            f'"id" must be a string of at most {_LONGEST_ID} characters, a number or null'
        )


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


def id_to_repeat(message: Any) -> Any:
    """Return the id that an answer to a wrong request has: None where none can be told."""
    given = message.get("id") if type(message) is dict else None
    return given if _is_id(given) else None


def _is_id(value: Any) -> bool:
    if type(value) is str:
        return len(value) <= _LONGEST_ID
    return value is None or type(value) in (int, float)
