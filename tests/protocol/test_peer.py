"""Ids, pending calls and dispatch: faults A5 on `Peer` itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from nuxt_queue.errors import (
    InternalError,
    InvalidParamsError,
    MethodNotFoundError,
    PeerClosedError,
    RpcError,
)
from nuxt_queue.rpc.peer import Peer, Reply

Outcome = tuple[Any, RpcError | None]


def no_methods(method: str, _params: Any, _reply: Reply) -> None:
    raise MethodNotFoundError(method)


class Wire:
    """A peer whose lines are kept, with the outcomes of its calls."""

    def __init__(self, serve: Callable[[str, Any, Reply], None] = no_methods) -> None:
        self.lines: list[bytes] = []
        self.outcomes: list[Outcome] = []
        self.peer = Peer(self.lines.append, serve)

    def call(self, method: str = "m", params: Any = None) -> int:
        """Make a call and return its id."""
        self.peer.call(method, params or {}, lambda r, e: self.outcomes.append((r, e)))
        request_id: int = json.loads(self.lines[-1])["id"]
        return request_id

    def receive(self, message: Any) -> None:
        """Feed a message."""
        self.peer.receive(json.dumps(message).encode())

    @property
    def said(self) -> list[Any]:
        """Everything that was sent."""
        return [json.loads(line) for line in self.lines]


def answer(request_id: Any, result: Any = "ok") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "result": result, "id": request_id}


def test_a_call_is_written_when_it_is_made_and_settled_by_its_answer() -> None:
    wire = Wire()

    request_id = wire.call("m", {"a": 1})

    assert wire.said == [{"jsonrpc": "2.0", "method": "m", "params": {"a": 1}, "id": request_id}]
    assert wire.peer.pending == 1
    wire.receive(answer(request_id, {"b": 2}))
    assert wire.outcomes == [({"b": 2}, None)]
    assert wire.peer.pending == 0


def test_answers_are_matched_by_id_in_any_order() -> None:
    """Faults 49."""
    wire = Wire()
    got: dict[int, Any] = {}
    for n in range(1_000):
        wire.peer.call("m", {}, lambda r, _e, n=n: got.update({n: r}))  # type: ignore[misc]  # a default binds it now
    ids = [message["id"] for message in wire.said]

    for n in reversed(range(1_000)):
        wire.receive(answer(ids[n], n))

    assert len(set(ids)) == 1_000
    assert got == {n: n for n in range(1_000)}


def test_a_batch_of_answers_settles_each_of_its_calls() -> None:
    wire = Wire()
    first, second = wire.call(), wire.call()

    wire.receive([answer(second, 2), answer("nobody", 0), answer(first, 1)])

    assert wire.outcomes == [(2, None), (1, None)]
    assert len(wire.lines) == 2  # nothing is answered


def test_the_first_answer_wins() -> None:
    """Faults 44: response twice, unknown id, string for number, boolean, null."""
    wire = Wire()
    request_id = wire.call()

    for wrong in (str(request_id), None, True, 10**6, -1):
        wire.receive(answer(wrong, "wrong"))
    assert wire.outcomes == []
    wire.receive(answer(request_id, "first"))
    wire.receive(answer(request_id, "second"))
    wire.receive({"jsonrpc": "2.0", "error": {"code": 1, "message": "m"}, "id": request_id})

    assert wire.outcomes == [("first", None)]
    assert wire.peer.violations == 7
    assert len(wire.lines) == 1


@pytest.mark.parametrize(
    "members",
    [
        {"result": 1, "error": {"code": 1, "message": "m"}},
        {"error": None},
        {"error": "failed"},
        {"error": {"code": "1", "message": "m"}},
        {"jsonrpc": "1.0", "result": 1},
        {"jsonrpc": 2.0, "result": 1},
    ],
    ids=repr,
)
def test_an_answer_that_is_none_settles_nothing(members: dict[str, Any]) -> None:
    """Clause 14."""
    wire = Wire()
    request_id = wire.call()

    wire.receive({"jsonrpc": "2.0", "id": request_id, **members})

    assert (wire.outcomes, wire.peer.pending, wire.peer.violations) == ([], 1, 1)
    wire.receive(answer(request_id))
    assert wire.outcomes == [("ok", None)]


@pytest.mark.parametrize(
    "result",
    [
        None,
        {"error": {"code": 1, "message": "m"}},
        {"result": 1},
        {"jsonrpc": "2.0", "id": 1, "result": 2},
        {"jsonrpc": "2.0", "method": "execute", "id": 1},
        {"id": None},
        [{"error": 1}],
        [],
        {},
        0,
        False,
        "",
    ],
    ids=repr,
)
def test_data_that_looks_like_a_message_stays_data(result: Any) -> None:
    """Faults 42: 12 of 12 shapes, both as a result that is sent and one that is received."""
    wire = Wire(lambda _m, params, reply: reply.result(params["value"]))
    wire.receive({"jsonrpc": "2.0", "method": "m", "params": {"value": result}, "id": 5})
    assert wire.said == [answer(5, result)]

    wire.receive(answer(wire.call(), result))
    assert wire.outcomes == [(result, None)]


def test_an_error_answer_arrives_as_the_exception_of_its_code() -> None:
    wire = Wire()
    error = {"code": -32602, "message": "no key", "data": [1]}

    wire.receive({"jsonrpc": "2.0", "error": error, "id": wire.call()})

    (_, caught) = wire.outcomes[0]
    assert type(caught) is InvalidParamsError
    assert (str(caught), caught.data) == ("no key", [1])


def test_closing_settles_every_pending_call() -> None:
    """Faults 48."""
    wire = Wire()
    for _ in range(10):
        wire.call()
    gone = PeerClosedError("gone")

    wire.peer.close(gone)
    wire.peer.close(PeerClosedError("again"))

    assert wire.outcomes == [(None, gone)] * 10
    assert wire.peer.pending == 0
    with pytest.raises(PeerClosedError, match="gone"):
        wire.call()
    with pytest.raises(PeerClosedError, match="gone"):
        wire.peer.notify("m", {})
    assert len(wire.lines) == 10


def test_a_call_that_is_made_while_the_peer_closes_is_not_left_pending() -> None:
    """Whoever writes the line may learn only then that nobody is there."""
    outcomes: list[Outcome] = []

    def send(_line: bytes) -> None:
        peer.close(PeerClosedError("gone"))

    peer = Peer(send, no_methods)
    peer.call("m", {}, lambda r, e: outcomes.append((r, e)))

    assert peer.pending == 0
    assert len(outcomes) == 1


def test_a_call_that_cannot_be_written_is_not_pending() -> None:
    def send(_line: bytes) -> None:
        raise PeerClosedError("broken pipe")

    outcomes: list[Outcome] = []
    peer = Peer(send, no_methods)
    with pytest.raises(PeerClosedError):
        peer.call("m", {}, lambda r, e: outcomes.append((r, e)))
    assert (peer.pending, outcomes) == (0, [])


def test_parameters_that_json_cannot_hold_write_nothing() -> None:
    wire = Wire()
    for params in ({"a": float("nan")}, {"a": object()}):
        with pytest.raises((ValueError, TypeError)):
            wire.call("m", params)
    assert (wire.lines, wire.peer.pending) == ([], 0)


def test_the_size_of_a_call_is_told_before_it_is_written() -> None:
    wire = Wire()
    told: list[tuple[int, int]] = []

    wire.peer.call("m", {"a": "é"}, lambda *_: None, lambda n: told.append((n, len(wire.lines))))

    assert told == [(len(wire.lines[0]), 0)]


def test_a_call_that_is_refused_before_it_is_written_is_not_made() -> None:
    wire = Wire()

    def refuse(_size: int) -> None:
        raise RpcError("too long")

    with pytest.raises(RpcError, match="too long"):
        wire.peer.call("m", {}, lambda *_: None, refuse)
    assert (wire.lines, wire.peer.pending) == ([], 0)


def test_calls_from_many_threads_get_their_own_answers() -> None:
    """Faults 49: 16 threads."""
    got: dict[tuple[int, int], Any] = {}

    def host(line: bytes) -> None:
        message = json.loads(line)
        worker.receive(json.dumps(answer(message["id"], message["params"])).encode())

    worker = Peer(host, no_methods)

    def work(thread: int) -> None:
        for n in range(50):
            key = (thread, n)
            worker.call("m", list(key), lambda r, _e, key=key: got.update({key: r}))  # type: ignore[misc]  # a default binds it now

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert got == {(t, n): [t, n] for t in range(16) for n in range(50)}


def test_a_request_is_answered_once_however_often_it_is_tried() -> None:
    def serve(_method: str, _params: Any, reply: Reply) -> None:
        reply.result(1)
        reply.result(2)
        reply.error(RpcError("late"))

    wire = Wire(serve)
    wire.receive({"jsonrpc": "2.0", "method": "m", "id": 1})
    assert wire.said == [answer(1, 1)]


def test_a_request_can_be_answered_later() -> None:
    replies: list[Reply] = []
    wire = Wire(lambda _m, _p, reply: replies.append(reply))

    wire.receive([{"jsonrpc": "2.0", "method": "m", "id": n} for n in (1, 2)])
    assert wire.lines == []
    replies[1].result("b")
    assert wire.lines == []
    replies[0].error(RpcError("a"))

    (batch,) = wire.said
    assert {each["id"]: each.get("result") for each in batch} == {1: None, 2: "b"}


def test_a_result_that_json_cannot_hold_leaves_the_request_open() -> None:
    replies: list[Reply] = []
    wire = Wire(lambda _m, _p, reply: replies.append(reply))
    wire.receive({"jsonrpc": "2.0", "method": "m", "id": 1})

    with pytest.raises(ValueError, match="JSON"):
        replies[0].result(float("nan"))
    replies[0].error(InternalError("no"))

    assert [message["error"]["code"] for message in wire.said] == [-32603]


def test_what_serves_a_request_may_raise() -> None:
    def serve(method: str, _params: Any, _reply: Reply) -> None:
        raise {"rpc": InvalidParamsError("no key", {"a": 1}), "other": KeyError("x")}[method]

    wire = Wire(serve)
    for n, method in enumerate(("rpc", "other", "neither")):
        wire.receive({"jsonrpc": "2.0", "method": method, "id": n})
        wire.receive({"jsonrpc": "2.0", "method": method})  # a notification fails in silence

    assert [message["error"]["code"] for message in wire.said] == [-32602, -32603, -32603]
    assert wire.said[0]["error"]["data"] == {"a": 1}
    assert wire.said[1]["error"]["message"] == "KeyError: 'x'"


def test_violations_of_the_protocol_are_counted() -> None:
    """Faults 45: valid answers, and a number for whoever wants to hang up."""
    wire = Wire()
    for line in (b"garbage", b"1", b"[]", b"[1,2]", b'{"jsonrpc":"1.0","method":"m"}', b"\xff"):
        wire.peer.receive(line)

    assert wire.peer.violations == 7
    assert len(wire.lines) == 6


def test_both_sides_may_use_the_same_ids() -> None:
    """host-contract 7 row 23: routed by the presence of `method`, not by the number."""
    wire = Wire(lambda _m, _p, reply: reply.result("served"))
    request_id = wire.call()

    wire.receive({"jsonrpc": "2.0", "method": "m", "id": request_id})
    assert wire.said[-1] == answer(request_id, "served")
    assert wire.outcomes == []
    wire.receive(answer(request_id))
    assert wire.outcomes == [("ok", None)]
