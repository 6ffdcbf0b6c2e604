"""What a context sends for each of its methods, and what it refuses to send."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nuxt_queue.errors import ValuePathError
from nuxt_queue.rpc import methods
from nuxt_queue.sdk.context import RunContext
from tests.sdk.conftest import FakeHost, result


@pytest.fixture
def host() -> Iterator[FakeHost]:
    """A host that answers everything with null."""
    made = FakeHost()
    names = [name for name in vars(methods).values() if isinstance(name, str)]
    made.table.update(dict.fromkeys(names, result(None)))
    yield made
    made.close()


CALLS: dict[str, tuple[Callable[[RunContext], Any], str, dict[str, Any]]] = {
    "state.get": (lambda c: c.state.get("k"), "ctx.state.get", {"key": "k"}),
    "state.set": (lambda c: c.state.set("k", 1), "ctx.state.set", {"key": "k", "value": 1}),
    "state.set None": (
        lambda c: c.state.set("k", None),
        "ctx.state.set",
        {"key": "k", "value": None},
    ),
    "state.set a value of numpy": (
        lambda c: c.state.set("k", np.arange(2)),
        "ctx.state.set",
        {"key": "k", "value": [0, 1]},
    ),
    "state.set with ttl": (
        lambda c: c.state.set("k", 1, ttl=60),
        "ctx.state.set",
        {"key": "k", "value": 1, "opts": {"ttl": 60}},
    ),
    "state.set with the host's own options": (
        lambda c: c.state.set("k", 1, {"ttl": 5}),
        "ctx.state.set",
        {"key": "k", "value": 1, "opts": {"ttl": 5}},
    ),
    "state.delete": (lambda c: c.state.delete("k"), "ctx.state.delete", {"key": "k"}),
    "state.incr": (lambda c: c.state.incr("k"), "ctx.state.incr", {"key": "k", "by": 1}),
    "state.incr by": (
        lambda c: c.state.incr("k", np.float64(0.5)),
        "ctx.state.incr",
        {"key": "k", "by": 0.5},
    ),
    "flow.emit": (
        lambda c: c.flow.emit("a.b", {"x": 1}),
        "ctx.flow.emit",
        {"trigger": "a.b", "payload": {"x": 1}},
    ),
    "flow.emit without a payload": (
        lambda c: c.flow.emit("a.b"),
        "ctx.flow.emit",
        {"trigger": "a.b", "payload": {}},
    ),
    "flow.emit of a number": (
        lambda c: c.flow.emit("a.b", np.int64(5)),
        "ctx.flow.emit",
        {"trigger": "a.b", "payload": {"value": 5}},
    ),
    "flow.emit of a list": (
        lambda c: c.flow.emit("a.b", [1]),
        "ctx.flow.emit",
        {"trigger": "a.b", "payload": {"value": [1]}},
    ),
    "emit of an event": (
        lambda c: c.emit({"type": "emit", "data": {"name": "a.b", "x": 1}}),
        "ctx.flow.emit",
        {"trigger": "a.b", "payload": {"x": 1}},
    ),
    "emit of a name": (
        lambda c: c.emit("a.b", {"name": "kept"}),
        "ctx.flow.emit",
        {"trigger": "a.b", "payload": {"name": "kept"}},
    ),
    "flow.start_flow": (
        lambda c: c.flow.start_flow("f", {"x": 1}),
        "ctx.flow.startFlow",
        {"flowName": "f", "payload": {"x": 1}},
    ),
    "flow.start_flow without a payload": (
        lambda c: c.flow.start_flow("f"),
        "ctx.flow.startFlow",
        {"flowName": "f", "payload": {}},
    ),
    "flow.cancel_flow": (
        lambda c: c.flow.cancel_flow("f", "r"),
        "ctx.flow.cancelFlow",
        {"flowName": "f", "runId": "r"},
    ),
    "flow.cancel": (lambda c: c.flow.cancel(), "ctx.flow.cancel", {}),
    "flow.restart_flow": (
        lambda c: c.flow.restart_flow("f", "r"),
        "ctx.flow.restartFlow",
        {"flowName": "f", "runId": "r"},
    ),
    "flow.is_running": (lambda c: c.flow.is_running(), "ctx.flow.isRunning", {}),
    "flow.is_running with options": (
        lambda c: c.flow.is_running("f", excludeRunIds=["r"]),
        "ctx.flow.isRunning",
        {"flowName": "f", "excludeRunIds": ["r"]},
    ),
    "flow.get_running_flows": (
        lambda c: c.flow.get_running_flows("f"),
        "ctx.flow.getRunningFlows",
        {"flowName": "f"},
    ),
    "flow.get_flow_stats": (
        lambda c: c.flow.get_flow_stats("f"),
        "ctx.flow.getFlowStats",
        {"flowName": "f"},
    ),
    "flow.get_all_flow_stats": (
        lambda c: c.flow.get_all_flow_stats(limit=5),
        "ctx.flow.getAllFlowStats",
        {"limit": 5},
    ),
    "flow.has_flow_stats": (
        lambda c: c.flow.has_flow_stats("f"),
        "ctx.flow.hasFlowStats",
        {"flowName": "f"},
    ),
}


@pytest.mark.parametrize(("make", "method", "params"), CALLS.values(), ids=CALLS)
def test_a_call_has_the_host_s_name_and_parameters(
    host: FakeHost,
    make: Callable[[RunContext], Any],
    method: str,
    params: dict[str, Any],
) -> None:
    """host-contract 2, and 7 rows 1, 3 and 27; a key that is not given is left out."""
    assert make(host.ctx) is None
    (said,) = host.said
    assert (said["method"], said["params"]) == (method, params)


@pytest.mark.parametrize(("make", "method", "params"), CALLS.values(), ids=CALLS)
async def test_a_call_in_a_coroutine_has_the_same(
    host: FakeHost,
    make: Callable[[RunContext], Any],
    method: str,
    params: dict[str, Any],
) -> None:
    assert await make(host.ctx) is None
    (said,) = host.said
    assert (said["method"], said["params"]) == (method, params)


BAD: dict[str, tuple[Callable[[RunContext], Any], type[Exception], str]] = {
    "a value with NaN": (
        lambda c: c.state.set("m", {"loss": [math.nan]}),
        ValuePathError,
        r"^state\['m'\]\.loss\[0\] is NaN",
    ),
    "a payload with an object": (
        lambda c: c.emit("a", {"x": object()}),
        ValuePathError,
        r"^payload\.x is of type object",
    ),
    "options with a set of sets": (
        lambda c: c.state.set("m", 1, {"ttl": 1j}),
        ValuePathError,
        r"the options of ctx\.state\.set\('m'\)\.ttl is a complex",
    ),
    "a key that is no string": (lambda c: c.state.get(5), TypeError, "a state key is a string"),  # type: ignore[arg-type]  # the mistake under test
    "an event without a name": (lambda c: c.emit({"type": "emit"}), TypeError, "an event is"),
    "an event with data that is none": (lambda c: c.emit({"data": 1}), TypeError, "an event is"),
    "an event with a name that is none": (
        lambda c: c.emit({"data": {"name": 5}}),
        TypeError,
        "an event is",
    ),
    "an event that is none": (lambda c: c.emit(5), TypeError, "an event is .* got 5"),
    "an empty name": (lambda c: c.flow.emit("", {}), TypeError, "not empty"),
    "a name that is none": (lambda c: c.flow.emit(None, {}), TypeError, "not None"),  # type: ignore[arg-type]  # the mistake under test
    "a payload that routes": (
        lambda c: c.emit("a", {"flowId": "other"}),
        ValueError,
        "must not hold 'flowId'",
    ),
    "a payload that routes by flow": (
        lambda c: c.emit("a", {"flowName": "other"}),
        ValueError,
        "must not hold 'flowName'",
    ),
    "a payload that routes by step": (
        lambda c: c.emit({"type": "emit", "data": {"name": "a", "stepName": "other"}}),
        ValueError,
        "must not hold 'stepName'",
    ),
}


@pytest.mark.parametrize(("make", "kind", "says"), BAD.values(), ids=BAD)
def test_a_mistake_is_raised_where_it_is_made_and_nothing_is_sent(
    host: FakeHost, make: Callable[[RunContext], Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        make(host.ctx)
    assert host.said == []


FIELDS = {
    "jobId": "j1",
    "queue": "q",
    "flowId": "f1",
    "flowName": "flow",
    "stepName": "step",
    "stepId": "f1__step__attempt-2",
    "attempt": 2,
    "trigger": {"a": 1},
    "awaitConfig": {"type": "event"},
}


def test_the_fields_have_python_s_names_and_the_host_s(host: FakeHost) -> None:
    """D9 and host-contract 7 row 16."""
    ctx = RunContext(host.calls, {**FIELDS, "later": {"x": 1}})

    for snake, camel in methods.CONTEXT_FIELDS.items():
        assert getattr(ctx, snake) == FIELDS[camel]
        assert getattr(ctx, camel) == FIELDS[camel]
    assert ctx.extra == {"later": {"x": 1}}
    assert ctx.cancelled is False
    assert repr(ctx) == "<RunContext job='j1' flow='flow'>"


def test_a_field_that_the_host_did_not_send_is_none(host: FakeHost) -> None:
    """The specification's own example sends three of seven."""
    ctx = RunContext(host.calls, {"flowId": "f1", "flowName": "f", "stepName": "s"})
    assert (ctx.job_id, ctx.queue, ctx.attempt, ctx.trigger) == (None, None, None, None)
    assert ctx.extra == {}


def test_an_attribute_that_there_is_not_names_those_that_are(host: FakeHost) -> None:
    with pytest.raises(AttributeError, match=r"no 'flow_nam'; it has job_id, queue, .* emit\(\)"):
        _ = host.ctx.flow_nam
    assert not hasattr(host.ctx, "__wrapped__")


@pytest.mark.parametrize("level", ["debug", "info", "warn", "error"])
def test_a_level_is_a_method_and_a_name(host: FakeHost, level: str) -> None:
    """host-contract 7 row 13."""
    getattr(host.ctx.logger, level)("text", {"a": 1})
    host.ctx.logger.log(level, "text", {"a": 1})
    assert host.logs == [{"level": level, "message": "text", "metadata": {"a": 1}}] * 2


@pytest.mark.parametrize(("given", "sent"), [("warning", "warn"), ("fatal", "info"), ("", "info")])
def test_an_unknown_level_is_info(host: FakeHost, given: str, sent: str) -> None:
    host.ctx.logger.log(given, "text")
    assert host.logs[0]["level"] == sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, {}),
        ({}, {}),
        ({"a": Path("x"), "b": np.float32(0.5)}, {"a": "x", "b": 0.5}),
        (5, {"value": 5}),
        ("text", {"value": "text"}),
        ([1, 2], {"value": [1, 2]}),
        (False, {"value": False}),
        ({"level": "debug", "message": "m"}, {"level_": "debug", "message_": "m"}),
        ({1: "a"}, {"1": "a"}),
    ],
    ids=repr,
)
def test_metadata_is_always_an_object_that_overwrites_nothing(
    host: FakeHost, given: Any, sent: dict[str, Any]
) -> None:
    """host-contract 2, logger."""
    host.ctx.logger.info("text", given)
    assert host.logs == [{"level": "info", "message": "text", "metadata": sent}]


@pytest.mark.parametrize("bad", [math.nan, object(), "\ud800"], ids=repr)
def test_metadata_that_json_cannot_hold_is_named_and_does_not_fail_the_job(
    host: FakeHost, bad: Any
) -> None:
    host.ctx.logger.info("text", {"loss": bad})
    (line,) = host.logs
    assert line["message"] == "text"
    assert line["metadata"]["metadataError"].startswith("metadata.loss ")


@pytest.mark.parametrize(
    ("message", "text"),
    [(5, "5"), (None, "None"), (["a"], "['a']"), ("a\ud800b", "a\\ud800b"), ("a\nb\x1b[0m", None)],
    ids=repr,
)
def test_any_message_is_text(host: FakeHost, message: Any, text: str | None) -> None:
    """Faults 99: one escaped line of JSON, whatever is in it."""
    host.ctx.logger.info(message)
    assert host.logs[0]["message"] == (message if text is None else text)
    assert "\n" not in json.dumps(host.said[0])


def test_an_exception_is_logged_with_its_traceback(host: FakeHost) -> None:
    try:
        raise KeyError("gone")  # noqa: TRY301 the case under test
    except KeyError:
        host.ctx.logger.exception("failed", {"a": 1})
    (line,) = host.logs
    assert line["level"] == "error"
    assert line["metadata"]["a"] == 1
    assert line["metadata"]["traceback"].rstrip().endswith("KeyError: 'gone'")


def test_a_child_logger_adds_to_each_line(host: FakeHost) -> None:
    child = host.ctx.logger.child({"fold": 1}).child({"epoch": 2})
    child.info("text", {"loss": 0.5})
    child.warning("text", {"fold": 9})
    host.ctx.logger.info("text")
    assert [line["metadata"] for line in host.logs] == [
        {"fold": 1, "epoch": 2, "loss": 0.5},
        {"fold": 9, "epoch": 2},
        {},
    ]
