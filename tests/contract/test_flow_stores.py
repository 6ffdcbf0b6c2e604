"""Runs of flows, whatever engine keeps them, and engines that serve the same runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuxt_queue.services.events import EventBus
from nuxt_queue.services.flow_definition import FlowDefinition, Step
from nuxt_queue.services.flow_runs import RunRecord
from nuxt_queue.services.flows import FlowEngine
from nuxt_queue.services.scope import Scope
from tests.contract.conftest import WAIT_S, Stores

FLOW = FlowDefinition(
    "ml",
    Step("entry", "q0", "entry", emits=("go",)),
    {
        "train": Step("train", "q1", "train", ("go",), ("trained",), timeout_ms=1500),
        "wait": Step("wait", "q2", "wait", ("go",), await_before={"type": "time", "delay": 60_000}),
        "any": Step("any", "q3", "any", ("trained", "x"), join="any"),
    },
)
PAYLOAD: dict[str, Any] = {"rows": [1, None, "ü"], "loss": 0.1}


def begin(run_id: str, now: float = 1000.0, flow: FlowDefinition = FLOW) -> RunRecord:
    return RunRecord.begin(run_id, flow, PAYLOAD, now)


async def test_a_run_comes_back_as_it_was(stores: Stores) -> None:
    await stores.flows.create(begin("r1"))
    changed = await stores.flows.change(
        "r1", lambda run: run.step_completed("entry", 1, {"go": PAYLOAD}, 7, 1001.5)
    )

    found = await (await stores.another()).flows.get("r1")

    assert changed is not None
    assert found is not None
    assert found.to_json() == changed.to_json()
    assert (found.definition, found.payload) == (FLOW, PAYLOAD)
    assert found.steps == {"entry": "completed", "train": "queued", "wait": "awaiting"}
    assert found.signals == {"go": PAYLOAD}  # nobody hears `step:entry`: it is not carried along
    assert found.outbox["train"].job_id == "r1__train"
    assert (found.news, found.fresh) == ([], [])


async def test_a_change_says_what_it_decided_and_the_same_again_decides_nothing(
    stores: Stores,
) -> None:
    """Faults 74: told again, it only names what has not been delivered."""
    await stores.flows.create(begin("r1"))

    def complete(run: RunRecord) -> None:
        run.step_completed("entry", 1, {"go": {}}, None, 1001)

    first = await stores.flows.change("r1", complete)
    second = await (await stores.another()).flows.change("r1", complete)

    assert first is not None
    assert second is not None
    assert [each.step for each in first.fresh] == ["train"]
    assert [kind for kind, _ in first.news] == ["await.registered"]
    assert (second.fresh, second.news) == (first.fresh, [])
    await stores.flows.change("r1", lambda run: run.delivered(["train"]))
    third = await stores.flows.change("r1", complete)
    assert third is not None
    assert third.fresh == []


async def test_an_unknown_run_is_none(stores: Stores) -> None:
    assert await stores.flows.get("nobody") is None
    assert await stores.flows.change("nobody", lambda run: run.cancel(1)) is None


async def test_a_change_that_raises_changes_nothing(stores: Stores) -> None:
    await stores.flows.create(begin("r1"))

    def broken(run: RunRecord) -> None:
        run.cancel(1001)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stores.flows.change("r1", broken)

    found = await stores.flows.get("r1")
    assert found is not None
    assert found.status == "running"
    assert (await stores.flows.tally("ml")).cancel == 0


async def test_changes_of_many_at_once_are_all_kept(stores: Stores) -> None:
    await stores.flows.create(begin("r1"))
    other = await stores.another()

    def signal(number: int) -> Any:
        return lambda run: run.signals.__setitem__(f"n{number}", number)

    await asyncio.gather(*((stores, other)[n % 2].flows.change("r1", signal(n)) for n in range(40)))

    found = await stores.flows.get("r1")
    assert found is not None
    assert found.signals == {f"n{n}": n for n in range(40)}


async def test_running_runs_are_listed_by_flow_the_oldest_first(stores: Stores) -> None:
    other_flow = FlowDefinition("other", Step("entry", "q", "entry"))
    await stores.flows.create(begin("b", 1001))
    await stores.flows.create(begin("a", 1002))
    await stores.flows.create(begin("c", 1003, other_flow))
    await stores.flows.create(begin("gone", 1004))
    await stores.flows.change("gone", lambda run: run.cancel(1005))

    assert [run.id for run in await stores.flows.running()] == ["b", "a", "c"]
    assert [run.id for run in await stores.flows.running("ml")] == ["b", "a"]
    assert await stores.flows.running("nobody") == []


async def test_ended_runs_are_listed_the_latest_first(stores: Stores) -> None:
    for n, run_id in enumerate(("a", "b", "c", "d")):
        await stores.flows.create(begin(run_id, 1000 + n))
    for n, run_id in enumerate(("c", "a", "b")):
        await stores.flows.change(run_id, lambda run, n=n: run.cancel(2000 + n))  # type: ignore[misc]  # a default binds the loop's value
    other = (await stores.another()).flows

    assert [run.id for run in await other.ended(10)] == ["b", "a", "c"]
    assert [(run.id, run.status) for run in await other.ended(1)] == [("b", "cancelled")]


async def test_runs_are_due_when_something_is_left_undone(stores: Stores) -> None:
    await stores.flows.create(begin("r1", 1000))  # its entry is not known to be in its queue
    await stores.flows.create(begin("r2", 990))
    assert await stores.flows.due(994.9) == []
    assert await stores.flows.due(995) == ["r2"]
    assert await stores.flows.due(1005) == ["r2", "r1"]

    await stores.flows.change("r1", lambda run: run.delivered(["entry"]))
    await stores.flows.change("r2", lambda run: run.cancel(1001))
    assert await stores.flows.due(10**9) == []

    await stores.flows.change("r1", lambda run: run.step_completed("entry", 1, {"go": 1}, 1, 2000))
    await stores.flows.change("r1", lambda run: run.delivered(["train"]))
    assert await stores.flows.due(2059.9) == []
    assert await stores.flows.due(2060) == ["r1"]


async def test_a_tally_counts_how_runs_ended(stores: Stores) -> None:
    """host-contract 2: FlowStats."""
    for n, end in enumerate((None, "cancel", "fail", "complete")):
        run_id = f"r{n}"
        await stores.flows.create(begin(run_id, 1000 + n, FlowDefinition("f", FLOW.entry)))
        if end == "cancel":
            await stores.flows.change(run_id, lambda run: run.cancel(2000))
        elif end == "fail":
            await stores.flows.change(run_id, lambda run: run.step_failed("entry", 1, "x", 2001))
        elif end:
            await stores.flows.change(
                run_id, lambda run: run.step_completed("entry", 1, {}, None, 2002)
            )

    tally = await (await stores.another()).flows.tally("f")

    assert (tally.total, tally.success, tally.failure, tally.cancel) == (4, 1, 1, 1)
    assert (tally.last_run_at, tally.last_completed_at) == (1003, 2002)
    await stores.flows.change("r2", lambda run: run.step_started("entry", 1))
    assert (await stores.flows.tally("f")).failure == 0
    assert (await stores.flows.tally("nobody")).total == 0


async def test_ended_runs_are_forgotten_in_the_end_and_running_ones_are_not(
    stores: Stores,
) -> None:
    """Faults 79: what is kept is bounded."""
    await stores.flows.create(begin("old", 900))
    for n in range(5):
        await stores.flows.create(begin(f"r{n}", 1000 + n))
        await stores.flows.change(f"r{n}", lambda run, n=n: run.cancel(2000 + n))  # type: ignore[misc]  # a default binds the loop's value

    left = [n for n in range(5) if await stores.flows.get(f"r{n}") is not None]

    assert left == [2, 3, 4]
    assert await stores.flows.get("old") is not None
    assert (await stores.flows.tally("ml")).cancel == 5


class Site:
    """One machine: an engine over shared stores, with a queue that all of them share."""

    def __init__(self, stores: Stores, queued: dict[str, Any]) -> None:
        self.now = 1000.0
        self._queued = queued
        self.flows = FlowEngine(
            {"ml": FLOW},
            EventBus(stores.events),
            self._enqueue,
            store=stores.flows,
            clock=lambda: self.now,
        )

    async def _enqueue(self, _queue: str, step: str, data: Any, opts: dict[str, Any]) -> str:
        self._queued.setdefault(opts["jobId"], []).append((step, data))
        return str(opts["jobId"])

    async def play(self, run_id: str, step: str, **emits: Any) -> None:
        scope = Scope(f"{run_id}__{step}", "q", run_id, "ml", step)
        await self.flows.step_started(scope)
        for name, payload in emits.items():
            await self.flows.step_emitted(scope, name, payload)
        await self.flows.step_completed(scope, None)


async def test_the_steps_of_one_run_may_run_under_different_managers(stores: Stores) -> None:
    queued: dict[str, Any] = {}
    here, there = Site(stores, queued), Site(await stores.another(), queued)
    run_id = (await here.flows.start_flow("ml", {"n": 1}))["flowId"]

    await there.play(run_id, "entry", go={"m": 2})
    await here.play(run_id, "train", trained={})
    there.now += 60
    await there.flows.look_after()
    await there.play(run_id, "any")
    waiting = asyncio.create_task(here.flows.wait(run_id, WAIT_S))
    await there.play(run_id, "wait")

    assert (await waiting).status == "completed"
    assert {job: len(times) for job, times in queued.items()} == {
        f"{run_id}__entry": 1,
        f"{run_id}__train": 1,
        f"{run_id}__any": 1,
        f"{run_id}__wait__resumed": 1,
    }
    timeline = [event.type for event in await EventBus(stores.events).read(run_id)]
    assert timeline == ["flow.start", "await.registered", "await.resolved", "flow.completed"]


async def test_steps_that_complete_at_once_on_two_sites_start_what_joins_them_once(
    stores: Stores,
) -> None:
    join = FlowDefinition(
        "ml",
        Step("entry", "q", "entry"),
        {
            "a": Step("a", "q", "a", ("go",)),
            "b": Step("b", "q", "b", ("go",)),
            "both": Step("both", "q", "both", ("a.done", "b.done")),
        },
    )
    queued: dict[str, Any] = {}
    here, there = Site(stores, queued), Site(await stores.another(), queued)
    here.flows._flows = {"ml": join}
    for _ in range(10):
        run_id = (await here.flows.start_flow("ml"))["flowId"]
        await here.play(run_id, "entry", go={})

        await asyncio.gather(
            here.play(run_id, "a", **{"a.done": 1}), there.play(run_id, "b", **{"b.done": 2})
        )

        ((_, data),) = queued[f"{run_id}__both"]
        assert data["input"] == {"a.done": 1, "b.done": 2}


async def test_what_one_site_decided_and_did_not_do_another_does(stores: Stores) -> None:
    """Faults 74: a manager dies between the completion of a step and the enqueue of the next."""
    queued: dict[str, Any] = {}
    there = Site(await stores.another(), queued)
    await stores.flows.create(begin("r1", 1000))
    await stores.flows.change("r1", lambda run: run.step_started("entry", 1))
    await stores.flows.change("r1", lambda run: run.step_completed("entry", 1, {"go": 1}, 1, 1001))

    there.now = 1005
    await there.flows.look_after()
    assert queued == {}
    there.now = 1006
    await there.flows.look_after()
    there.now = 1020
    await there.flows.look_after()

    assert {job: len(times) for job, times in queued.items()} == {"r1__train": 1}


async def test_a_wait_that_was_over_while_nobody_served_is_ended_once_by_all_who_come(
    stores: Stores,
) -> None:
    """Faults 74: two managers that start at once, hours later, and know no flow."""
    queued: dict[str, Any] = {}
    first = Site(stores, queued)
    run_id = (await first.flows.start_flow("ml", {}))["flowId"]
    await first.play(run_id, "entry", go={})

    later = [Site(await stores.another(), queued) for _ in range(3)]
    for site in later:
        site.now += 7200
        site.flows._flows = {}
    await asyncio.gather(*(site.flows.look_after() for site in later))

    assert len(queued[f"{run_id}__wait__resumed"]) == 1
    events = await EventBus(stores.events).read(run_id)
    assert [event.type for event in events].count("await.resolved") == 1
