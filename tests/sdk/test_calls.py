"""Calls: written when made, drained before the answer, and never too many at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nuxt_queue.errors import (
    InternalError,
    MethodNotFoundError,
    NotSupportedByHost,
    PeerClosedError,
    RpcError,
)
from nuxt_queue.rpc import codec, methods
from nuxt_queue.sdk.calls import WINDOW_BYTES, Call
from tests.sdk.conftest import WAIT_S, FakeHost, error, result


@pytest.fixture
def host() -> Iterator[FakeHost]:
    """A host that answers before the call returns."""
    made = FakeHost()
    yield made
    made.close()


@pytest.fixture
def later() -> Iterator[FakeHost]:
    """A host that answers from another thread."""
    made = FakeHost(later=True)
    yield made
    made.close()


@pytest.fixture
def plain() -> Iterator[FakeHost]:
    """A host that has not said that it reads lines of any length; it answers later."""
    made = FakeHost(framed=False, later=True)
    made.table[methods.LOG] = result(None)
    made.table[methods.STATE_SET] = result(None)
    yield made
    made.close()


def test_a_call_in_a_plain_function_returns_its_answer(later: FakeHost) -> None:
    """host-contract 7 row 26."""
    later.table[methods.STATE_GET] = lambda params: {"result": params["key"] * 2}
    assert later.ctx.state.get("ab") == "abab"


async def test_a_call_in_a_coroutine_is_awaited(later: FakeHost) -> None:
    later.table[methods.STATE_GET] = lambda params: {"result": params["key"] * 2}
    assert await later.ctx.state.get("ab") == "abab"


async def test_a_call_is_written_before_it_is_awaited(host: FakeHost) -> None:
    """host-contract 7 row 2: hot calls."""
    host.table[methods.STATE_SET] = result(None)
    call = host.ctx.state.set("a", 1)
    assert host.params(methods.STATE_SET) == [{"key": "a", "value": 1}]
    assert await call is None
    assert await call is None  # its answer stays


async def test_a_call_that_was_not_awaited_explains_itself(host: FakeHost) -> None:
    host.table[methods.STATE_GET] = result(1)
    call = host.ctx.state.get("a")
    assert repr(call) == (
        "<ctx.state.get('a'): not awaited; write `await ctx.state.get('a')` in an async handler>"
    )


async def test_a_thousand_calls_at_once_get_their_own_answers(later: FakeHost) -> None:
    """Faults 49."""
    later.table[methods.STATE_GET] = lambda params: {"result": params["key"]}
    keys = [str(n) for n in range(1_000)]
    async with asyncio.timeout(WAIT_S):
        assert await asyncio.gather(*(later.ctx.state.get(key) for key in keys)) == keys


async def test_a_thread_of_a_coroutine_handler_gets_the_value_itself(later: FakeHost) -> None:
    later.table[methods.STATE_GET] = result("v")
    assert await asyncio.to_thread(later.ctx.state.get, "a") == "v"


async def test_waiting_for_a_call_may_be_given_up(later: FakeHost) -> None:
    gate = threading.Event()

    def answer(_params: Any) -> dict[str, Any]:
        gate.wait(WAIT_S)
        return {"result": 1}

    later.table[methods.STATE_GET] = answer
    call = later.ctx.state.get("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call, 0.01)
    gate.set()
    assert await call == 1


async def test_an_error_of_the_host_is_raised_where_the_call_is_awaited(host: FakeHost) -> None:
    """Faults 47: typed, with its code and data."""
    host.table[methods.STATE_GET] = error(-32603, "state store down", data={"a": 1})
    call = host.ctx.state.get("a")
    with pytest.raises(InternalError, match="state store down") as caught:
        await call
    assert caught.value.data == {"a": 1}
    assert host.calls.drain() == []  # it was seen


def test_an_error_of_the_host_is_raised_in_a_plain_function(later: FakeHost) -> None:
    later.table[methods.STATE_GET] = error(-32050, "no")
    with pytest.raises(RpcError, match="no") as caught:
        later.ctx.state.get("a")
    assert caught.value.code == -32050


async def test_what_was_not_awaited_is_drained_and_its_failures_are_found(later: FakeHost) -> None:
    """host-contract 7 row 2 and D2: a failed emit or set, not a failed log."""
    later.table[methods.STATE_SET] = error(-32603, "disk full")
    later.table[methods.FLOW_EMIT] = result([])
    later.ctx.state.set("a", 1)
    later.ctx.emit("done", {})
    later.ctx.logger.info("text")

    (failed,) = await asyncio.to_thread(later.calls.drain)

    assert failed.label == "ctx.state.set('a')"
    assert str(failed.error) == "disk full"
    assert len(later.said) == 3


async def test_draining_in_an_event_loop_does_the_same(later: FakeHost) -> None:
    later.table[methods.STATE_SET] = error(-32603, "disk full")
    later.ctx.state.set("a", 1)
    async with asyncio.timeout(WAIT_S):
        (failed,) = await later.calls.drained()
    assert failed.method == methods.STATE_SET


def test_a_log_line_is_a_notification_to_a_host_that_frames_by_line(host: FakeHost) -> None:
    """Faults 27: no answer for each line."""
    host.ctx.logger.info("text")
    assert "id" not in host.said[0]


async def test_pending_calls_end_with_the_channel(later: FakeHost) -> None:
    """Faults 48."""
    gate = threading.Event()
    later.table[methods.STATE_GET] = lambda _params: {"result": gate.wait(WAIT_S)}
    calls = [later.ctx.state.get(str(n)) for n in range(10)]
    later.peer.close(PeerClosedError("the host closed the channel"))
    gate.set()
    for call in calls:
        with pytest.raises(PeerClosedError, match="the host closed the channel"):
            await call
    with pytest.raises(PeerClosedError):
        later.ctx.state.get("a")


def test_an_event_goes_the_old_way_where_the_new_one_is_unknown(later: FakeHost) -> None:
    """D1 and host-contract 7 row 1: once as `ctx.emit`, and from then on at once."""
    later.table[methods.EMIT] = result([])

    assert later.ctx.emit("model.trained", {"accuracy": 1}) == []
    assert later.ctx.flow.emit("model.tested", {"accuracy": 2}) == []

    assert [each["method"] for each in later.said] == ["ctx.flow.emit", "ctx.emit", "ctx.emit"]
    assert later.params(methods.EMIT) == [
        {"event": {"type": "emit", "data": {"name": "model.trained", "accuracy": 1}}},
        {"event": {"type": "emit", "data": {"name": "model.tested", "accuracy": 2}}},
    ]


def test_an_event_that_is_refused_is_not_sent_again(later: FakeHost) -> None:
    later.table[methods.FLOW_EMIT] = error(-32602, "no such event")
    with pytest.raises(RpcError, match="no such event"):
        later.ctx.emit("a", {})
    assert len(later.said) == 1


def test_a_method_that_the_host_lacks_is_named(later: FakeHost) -> None:
    """host-contract 7 row 27."""
    with pytest.raises(NotSupportedByHost) as caught:
        later.ctx.state.incr("n")
    assert isinstance(caught.value, MethodNotFoundError)
    assert str(caught.value) == ("this host has no ctx.state.incr, which ctx.state.incr('n') needs")
    with pytest.raises(NotSupportedByHost, match=r"ctx\.flow\.emit"):
        later.ctx.emit("a", {})


async def test_an_event_that_no_way_leads_to_is_found_when_drained(later: FakeHost) -> None:
    later.ctx.emit("a", {})
    (failed,) = await asyncio.to_thread(later.calls.drain)
    assert failed.label == "ctx.flow.emit('a')"


def test_at_most_64_kib_stay_unacknowledged(plain: FakeHost) -> None:
    """D5 and host-contract 7 row 8: also from several threads at once."""

    def write(thread: int) -> None:
        for n in range(60):
            plain.ctx.logger.info("x" * (n * 97 % 5_000), {"thread": thread, "n": n})

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert plain.calls.drain() == []

    assert 40_000 < plain.most <= WINDOW_BYTES
    seen = [(line["metadata"]["thread"], line["metadata"]["n"]) for line in plain.logs]
    for thread_number in range(8):
        assert [n for t, n in seen if t == thread_number] == list(range(60))


def test_every_message_is_a_call_to_a_host_that_must_acknowledge_it(plain: FakeHost) -> None:
    plain.ctx.logger.info("text")
    assert plain.calls.drain() == []
    assert all("id" in each for each in plain.said)


def test_a_message_that_the_host_would_lose_is_refused_with_its_call(plain: FakeHost) -> None:
    """D5: the largest that fits is sent, one byte more is not."""
    frame = len('{"jsonrpc":"2.0","method":"ctx.state.set","params":{"key":"k","value":""},')
    fits = WINDOW_BYTES - frame - len('"id":1000001}\n')
    plain.ctx.state.set("k", "x" * fits)
    assert plain.most == WINDOW_BYTES
    with pytest.raises(RpcError, match=r"ctx\.state\.set\('k'\) is a message of 65537 bytes") as e:
        plain.ctx.state.set("k", "x" * (fits + 1))
    assert "path to a file" in str(e.value)
    assert len(plain.said) == 1
    plain.ctx.state.set("k", "small")  # and nothing of it is left behind
    assert len(plain.said) == 2


def test_a_log_line_that_the_host_would_lose_is_shortened(plain: FakeHost) -> None:
    plain.ctx.logger.info("x" * 100_000, {"rows": list(range(50_000))})
    assert plain.logs == [{"level": "info", "message": "x" * 2_000 + "…", "metadata": {}}]


def test_log_lines_that_nobody_acknowledges_do_not_hold_the_answer_back() -> None:
    """host-contract 7 row 12: a bounded drain, for all lines together."""
    host = FakeHost(framed=False, later=True)
    gate = threading.Event()
    host.table[methods.LOG] = lambda _params: {"result": gate.wait(WAIT_S)}
    for n in range(50):
        host.ctx.logger.info(str(n))
    over = threading.Event()

    def drain() -> None:
        host.calls.drain(log_timeout_s=0.1)
        over.set()

    threading.Thread(target=drain).start()
    assert over.wait(2.0)  # 50 times the bound would be 5 s
    gate.set()
    host.close()


@pytest.mark.parametrize("what", ["log", "call", "second call"])
def test_a_thread_that_is_about_to_write_when_its_job_ends_writes_nothing(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """In a process that is used again the line would be the next job's."""
    sent: list[bytes] = []
    host.calls.peer.send = sent.append

    def encode(message: object) -> bytes:
        host.calls.close()  # by the thread of the handler, just then
        return codec.encode(message)

    monkeypatch.setattr(host.calls.peer, "_write", encode)
    if what == "log":
        host.calls.log({"level": "info", "message": "late"})
    elif what == "call":
        with pytest.raises(RpcError, match="state: the job that it belongs to has ended"):
            host.calls.make(methods.STATE_SET, {}, "state")
    else:  # what is asked instead where the host lacks a method
        call = Call(methods.STATE_SET, "state")
        host.calls._again(call, (methods.STATE_SET, {}))
        assert "the job that it belongs to has ended" in str(call.error)
    assert sent == []
