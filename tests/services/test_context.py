"""What each call of `ctx` means, and what is refused: the one table of the parent's side."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuxt_queue.errors import InvalidParamsError, MethodNotFoundError, ValuePathError
from nuxt_queue.rpc import methods
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore


class Flows:
    """Says what it was asked."""

    async def start_flow(self, name: str, payload: Any = None) -> dict[str, Any]:
        return {"id": "j", "queue": "q", "step": "s", "flowId": "new", "was": [name, payload]}

    async def cancel_flow(self, name: str, run_id: str) -> Any:
        return ["cancelled", name, run_id]

    async def restart_flow(self, name: str, run_id: str) -> Any:
        return ["restarted", name, run_id]

    async def is_running(
        self,
        name: str | None = None,
        run_id: str | None = None,
        *,
        exclude_run_ids: tuple[str, ...] = (),
    ) -> bool:
        return (name, run_id, exclude_run_ids) == ("f", None, ("run1",))

    async def get_running_flows(
        self, name: str | None = None, *, exclude_run_ids: tuple[str, ...] = ()
    ) -> list[dict[str, Any]]:
        return [{"name": name, "excluded": list(exclude_run_ids)}]

    async def get_flow_stats(self, name: str) -> dict[str, Any] | None:
        return {"name": name}

    async def get_all_flow_stats(
        self, *, offset: int = 0, limit: int | None = None
    ) -> list[dict[str, Any]]:
        return [{"offset": offset, "limit": limit}]

    async def has_flow_stats(self, name: str) -> bool:
        return name == "f"


STEP = Scope("job1", "q", "run1", "f", "train", "run1__train__attempt-1")


def step(scope: Scope = STEP, flows: Flows | None = None) -> JobContext:
    """Make the context of a job, with a store and bus of its own."""
    service = ContextService(MemoryStateStore(), EventBus(), flows or Flows())
    return service.for_job(scope)


async def said(context: JobContext) -> list[tuple[str, dict[str, Any]]]:
    """Return type and data of everything that the job has published."""
    events = await context.service.bus.read(context.scope.run_id)
    return [(event.type, event.data) for event in events]


# method, parameters by name, the same by position, the answer
CALLS: list[tuple[str, dict[str, Any], list[Any], Any]] = [
    ("ctx.state.get", {"key": "k"}, ["k"], None),
    ("ctx.state.set", {"key": "k", "value": 1}, ["k", 1], None),
    (
        "ctx.state.set",
        {"key": "k", "value": None, "opts": {"ttl": 5}},
        ["k", None, {"ttl": 5}],
        None,
    ),
    ("ctx.state.set", {"key": "k", "value": 1, "opts": None}, ["k", 1, None], None),
    ("ctx.state.delete", {"key": "k"}, ["k"], False),
    ("ctx.state.incr", {"key": "n"}, ["n"], 1),
    ("ctx.state.incr", {"key": "n", "by": 2.5}, ["n", 2.5], 2.5),
    ("ctx.logger.log", {"level": "info", "message": "m"}, ["info", "m"], None),
    ("ctx.logger.log", {"level": "info", "message": "m", "metadata": {}}, ["info", "m", {}], None),
    ("ctx.flow.emit", {"trigger": "a", "payload": {"x": 1}}, ["a", {"x": 1}], []),
    ("ctx.flow.emit", {"trigger": "a"}, ["a"], []),
    ("ctx.emit", {"event": {"type": "emit", "data": {"name": "a"}}}, [{"data": {"name": "a"}}], []),
    (
        "ctx.flow.startFlow",
        {"flowName": "g", "payload": {"x": 1}},
        ["g", {"x": 1}],
        {"id": "j", "queue": "q", "step": "s", "flowId": "new", "was": ["g", {"x": 1}]},
    ),
    ("ctx.flow.cancelFlow", {"flowName": "g", "runId": "r"}, ["g", "r"], ["cancelled", "g", "r"]),
    ("ctx.flow.cancel", {}, [], ["cancelled", "f", "run1"]),
    ("ctx.flow.restartFlow", {"flowName": "g", "runId": "r"}, ["g", "r"], ["restarted", "g", "r"]),
    ("ctx.flow.isRunning", {"flowName": "f"}, ["f"], True),
    ("ctx.flow.getRunningFlows", {}, [], [{"name": None, "excluded": ["run1"]}]),
    (
        "ctx.flow.getRunningFlows",
        {"flowName": "g", "excludeRunIds": ["a"]},
        ["g", ["a"]],
        [{"name": "g", "excluded": ["a"]}],
    ),
    ("ctx.flow.getFlowStats", {"flowName": "g"}, ["g"], {"name": "g"}),
    ("ctx.flow.getAllFlowStats", {}, [], [{"offset": 0, "limit": None}]),
    ("ctx.flow.hasFlowStats", {"flowName": "f"}, ["f"], True),
]
IDS = [f"{method} {params}" for method, params, _, _ in CALLS]


@pytest.mark.parametrize(("method", "by_name", "by_position", "answer"), CALLS, ids=IDS)
async def test_a_call_is_answered_by_name_and_by_position(
    method: str, by_name: dict[str, Any], by_position: list[Any], answer: Any
) -> None:
    """Clauses 7 and 8 of the specification, and host-contract 2."""
    assert await step().call(method, by_name) == answer
    assert await step().call(method, by_position) == answer


def test_every_method_of_the_wire_is_answered() -> None:
    names = {v for k, v in vars(methods).items() if isinstance(v, str) and v.startswith("ctx.")}
    assert {method for method, *_ in CALLS} == names


@pytest.mark.parametrize(
    "method",
    [
        "execute",
        "cancel",
        "ctx",
        "ctx.",
        "ctx.state",
        "ctx.state.",
        "ctx.state.GET",
        "ctx.state.get ",
        "ctx.state.__class__",
        "ctx.state.get.__call__",
        "ctx.call",
        "ctx.scope",
        "ctx.service",
        "ctx.log",
        "ctx.logger.info",
        "ctx._set",
        "_set",
        "call",
        "__proto__",
        "__class__",
        "__init__",
        "__dict__",
        "constructor",
        "toString",
        "rpc.x",
        "rpc.discover",
        "",
        " ",
        "ctx.state.get\0",
        "ctx.flow.setState",
    ],
    ids=repr,
)
async def test_a_name_that_is_no_method_reaches_nothing(method: str) -> None:
    """Faults 46: 30 names, no attribute is ever looked up by a name from the wire."""
    with pytest.raises(MethodNotFoundError, match="this host has no method"):
        await step().call(method, {})


BAD: list[tuple[str, dict[str, Any] | list[Any], str]] = [
    ("ctx.state.get", {}, "needs key"),
    ("ctx.state.get", [], "needs key"),
    ("ctx.state.get", {"Key": "k"}, "needs key"),
    ("ctx.state.get", {"key": 5}, "key must be a string, not int"),
    ("ctx.state.get", {"key": None}, "key must be a string, not NoneType"),
    ("ctx.state.get", {"key": ["k"]}, "key must be a string, not list"),
    ("ctx.state.get", ["k", 1], "takes 1 parameters, not 2"),
    ("ctx.state.get", {"key": "k", "flowId": "other"}, "has no flowId; it takes key"),
    ("ctx.state.set", {"key": "k"}, "needs value"),
    ("ctx.state.set", {"key": "k", "value": 1, "opts": {"TTL": 5}}, "the only option"),
    ("ctx.state.set", {"key": "k", "value": 1, "opts": [5]}, "the only option"),
    ("ctx.state.set", {"key": "k", "value": 1, "opts": {"ttl": 0}}, "ttl"),
    ("ctx.state.set", {"key": "k", "value": 1, "opts": {"ttl": "5"}}, "ttl"),
    ("ctx.state.set", {"key": "k", "value": 1, "ttl": 5}, "has no ttl; it takes key, value, opts"),
    ("ctx.state.incr", {"key": "k", "by": "1"}, "not a number"),
    ("ctx.logger.log", {"level": "info"}, "needs message"),
    ("ctx.flow.emit", {"payload": {}}, "needs trigger"),
    ("ctx.flow.emit", {"trigger": None}, "trigger must be a string"),
    ("ctx.emit", {"event": {"data": {}}}, "an event is"),
    ("ctx.emit", {"event": "a"}, "an event is"),
    ("ctx.flow.startFlow", {"flowName": 5}, "flowName must be a string"),
    ("ctx.flow.cancel", {"runId": "r"}, "has no runId; it takes no parameters"),
    ("ctx.flow.cancelFlow", ["f"], "needs runId"),
    ("ctx.flow.getAllFlowStats", {"sortBy": "name"}, "sortBy"),
    ("ctx.flow.getAllFlowStats", {"offset": "a"}, "offset must be a whole number"),
    ("ctx.flow.isRunning", {"excludeRunIds": "abc"}, "excludeRunIds must be a list of strings"),
    ("ctx.state.get", {"key": "\ud800"}, "holds a lone surrogate"),
]


@pytest.mark.parametrize(("method", "params", "says"), BAD, ids=[f"{m} {p}" for m, p, _ in BAD])
async def test_wrong_parameters_are_refused_and_nothing_happens(
    method: str, params: dict[str, Any] | list[Any], says: str
) -> None:
    """Faults 46."""
    context = step()
    with pytest.raises(InvalidParamsError) as caught:
        await context.call(method, params)
    assert says in str(caught.value)
    assert await said(context) == []
    assert await context.service.state.all("run1") == {}


async def test_state_belongs_to_the_run_of_the_flow() -> None:
    """Faults 98: the scope is bound by the parent, whatever a worker sends."""
    mine = step()
    service = mine.service
    same_run = service.for_job(Scope("job2", "q2", "run1", "f", "evaluate"))
    other_run = service.for_job(Scope("job3", "q", "run2", "f", "train"))
    no_flow = service.for_job(Scope("job4", "q"))

    await mine.call("ctx.state.set", {"key": "k", "value": {"a": [0, False, ""]}})

    assert await same_run.call("ctx.state.get", {"key": "k"}) == {"a": [0, False, ""]}
    for other in (other_run, no_flow):
        assert await other.call("ctx.state.get", {"key": "k"}) is None
        assert await other.call("ctx.state.delete", {"key": "k"}) is False
    await no_flow.call("ctx.state.set", {"key": "k", "value": 5})
    assert await service.for_job(Scope("job5", "q")).call("ctx.state.get", {"key": "k"}) == 5


@pytest.mark.parametrize("value", [0, False, "", None, [], {}, 0.0], ids=repr)
async def test_what_is_false_comes_back_as_what_it_is(value: Any) -> None:
    """host-contract 2: the newer host turns them into null."""
    context = step()
    await context.call("ctx.state.set", {"key": "k", "value": value})
    assert repr(await context.call("ctx.state.get", {"key": "k"})) == repr(value)


async def test_counting_from_50_jobs_at_once_loses_nothing() -> None:
    """Faults 51."""
    service = step().service

    async def count(job: int) -> None:
        context = service.for_job(Scope(f"job{job}", "q", "run1", "f"))
        for _ in range(20):
            await context.call("ctx.state.incr", {"key": "n"})
            await asyncio.sleep(0)

    await asyncio.gather(*(count(job) for job in range(50)))
    assert await service.state.get("run1", "n") == 1_000


async def test_a_log_line_becomes_an_event_of_the_run() -> None:
    """host-contract 2: level and message win over the metadata."""
    context = step()
    await context.call(
        "ctx.logger.log",
        {"level": "warn", "message": "m", "metadata": {"loss": 0.5, "level": "x", "message": "y"}},
    )
    await context.call("ctx.logger.log", {"level": "fatal", "message": 5, "metadata": [1]})

    assert await said(context) == [
        ("log", {"level": "warn", "message": "m", "loss": 0.5}),
        ("log", {"level": "info", "message": "5", "value": [1]}),
    ]


async def test_an_event_is_published_with_its_name_and_payload() -> None:
    """host-contract 3, and D1: both spellings are one."""
    context = step()
    await context.call("ctx.flow.emit", {"trigger": "a", "payload": {"name": "kept", "x": 1}})
    await context.call("ctx.emit", {"event": {"type": "emit", "data": {"name": "b", "x": 2}}})
    await context.call("ctx.flow.emit", {"trigger": "c", "payload": 5})
    await context.call("ctx.flow.emit", {"trigger": "d", "payload": None})

    assert await said(context) == [
        ("emit", {"name": "a", "payload": {"name": "kept", "x": 1}}),
        ("emit", {"name": "b", "payload": {"x": 2}}),
        ("emit", {"name": "c", "payload": {"value": 5}}),
        ("emit", {"name": "d", "payload": {}}),
    ]


async def test_a_job_in_no_flow_has_no_run_to_cancel() -> None:
    context = step(Scope("job1", "q"))
    with pytest.raises(InvalidParamsError, match="in no flow: there is nothing to cancel"):
        await context.call("ctx.flow.cancel", {})
    assert await context.call("ctx.flow.getRunningFlows", {}) == [{"name": None, "excluded": []}]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("ctx.flow.startFlow", {"flowName": "f"}),
        ("ctx.flow.isRunning", {}),
        ("ctx.flow.getFlowStats", {"flowName": "f"}),
        ("ctx.flow.cancel", {}),
    ],
)
async def test_a_host_without_flows_says_that_it_has_none(
    method: str, params: dict[str, Any]
) -> None:
    context = ContextService(MemoryStateStore(), EventBus()).for_job(STEP)
    with pytest.raises(MethodNotFoundError, match="this host runs no flows"):
        await context.call(method, params)
    assert await context.call("ctx.flow.emit", {"trigger": "a"}) == []


async def test_a_value_that_no_store_can_hold_is_refused() -> None:
    """A Python caller can hand over what the wire cannot."""
    with pytest.raises(ValuePathError, match=r"^state\['k'\]\.a is of type object"):
        await step().call("ctx.state.set", {"key": "k", "value": {"a": object()}})
