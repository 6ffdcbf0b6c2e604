"""EventBus: timelines, listeners, order."""

from __future__ import annotations

import asyncio

import pytest

from nuxt_queue.services.event_stream import MemoryEventStream
from nuxt_queue.services.events import Event, EventBus
from nuxt_queue.services.scope import Scope

STEP = Scope(
    job_id="f1__train",
    queue="q",
    flow_id="f1",
    flow_name="ml",
    step_name="train",
    step_id="f1__train__attempt-2",
    attempt=2,
)
PLAIN = Scope(job_id="j1", queue="q", step_name="a", step_id="j1__a__attempt-1")
FLOW = Scope(job_id="f1", queue="q", flow_id="f1", flow_name="ml")

WAIT_S = 5.0


async def test_an_event_has_the_identity_of_its_scope() -> None:
    """host-contract 3: type, runId, flowName, stepName, stepId, attempt, data, id, ts."""
    bus = EventBus(clock=lambda: 12.5)

    event = await bus.publish("step.completed", STEP, {"result": 1})

    assert event.to_wire() == {
        "id": 12_500_000,
        "ts": 12.5,
        "type": "step.completed",
        "runId": "f1",
        "flowName": "ml",
        "stepName": "train",
        "stepId": "f1__train__attempt-2",
        "attempt": 2,
        "data": {"result": 1},
    }


async def test_what_an_event_does_not_have_is_left_out_on_the_wire() -> None:
    bus = EventBus(clock=lambda: 0)

    plain = await bus.publish("log", PLAIN)
    flow = await bus.publish("flow.start", FLOW, {"input": {}})

    assert "flowName" not in plain.to_wire()
    assert plain.to_wire()["data"] == {}
    assert flow.to_wire().keys() == {"id", "ts", "type", "runId", "flowName", "data"}


async def test_a_run_has_a_timeline_of_its_own() -> None:
    bus = EventBus()
    for scope in (STEP, PLAIN, FLOW):
        await bus.publish("log", scope)

    assert [event.step_name for event in await bus.read("f1")] == ["train", None]
    assert len(await bus.read("j1")) == 1
    assert await bus.read("unknown") == []


async def test_the_id_of_an_event_is_never_used_twice() -> None:
    bus = EventBus(clock=lambda: 12.5)

    ids = [(await bus.publish("log", PLAIN)).id for _ in range(3)]

    assert ids == [12_500_000, 12_500_001, 12_500_002]


async def test_a_stream_that_is_away_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """host-contract 3: publishing is best effort."""

    class Away(MemoryEventStream):
        async def append(self, _event: Event) -> None:
            raise ConnectionError("gone")

    bus = EventBus(Away())
    heard: list[str] = []
    bus.subscribe(lambda event: heard.append(event.type))

    await bus.publish("log", PLAIN)

    assert heard == ["log"]
    assert "event log of run j1 could not be kept" in caplog.text


async def test_timelines_are_bounded_in_number_and_length() -> None:
    bus = EventBus(MemoryEventStream(max_runs=2, max_events=3))
    for run in ("a", "b", "c"):
        for n in range(5):
            await bus.publish("log", Scope(job_id=run, queue="q"), {"n": n})

    assert await bus.read("a") == []
    assert [event.data["n"] for event in await bus.read("b")] == [2, 3, 4]
    assert len(await bus.read("c")) == 3


async def test_data_is_a_copy() -> None:
    bus = EventBus()
    data = {"rows": [1]}

    event = await bus.publish("log", PLAIN, data)
    data["rows"].append(2)
    event.to_wire()["data"]["rows"].append(3)

    assert (await bus.read("j1"))[0].data == {"rows": [1]}


async def test_listeners_hear_all_runs_or_one_until_they_leave() -> None:
    bus = EventBus()
    everything: list[str] = []
    one: list[str] = []
    leave = bus.subscribe(lambda event: everything.append(event.run_id))
    bus.subscribe(lambda event: one.append(event.run_id), run_id="f1")

    await bus.publish("log", STEP)
    await bus.publish("log", PLAIN)
    leave()
    leave()
    await bus.publish("log", STEP)

    assert everything == ["f1", "j1"]
    assert one == ["f1", "f1"]


async def test_publishing_returns_when_every_listener_is_done() -> None:
    bus = EventBus()
    heard: list[str] = []

    async def slow(event: Event) -> None:
        await asyncio.sleep(0)
        heard.append(event.type)

    bus.subscribe(slow)
    await bus.publish("log", PLAIN)

    assert heard == ["log"]


async def test_a_listener_that_raises_is_logged_and_the_others_hear(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Faults 56."""
    bus = EventBus()
    heard: list[str] = []

    def broken(_event: Event) -> None:
        raise RuntimeError("plain")

    async def broken_later(_event: Event) -> None:
        raise RuntimeError("async")

    async def cancelled(_event: Event) -> None:
        raise asyncio.CancelledError

    for listener in (broken, broken_later, cancelled):
        bus.subscribe(listener)
    bus.subscribe(lambda event: heard.append(event.type))
    async with asyncio.timeout(WAIT_S):
        await bus.publish("log", PLAIN)

    assert heard == ["log"]
    assert caplog.text.count("Error: plain") == 1
    assert caplog.text.count("Error: async") == 1
    assert "a listener was cancelled" in caplog.text


async def test_events_that_a_listener_publishes_reach_all_after_the_one_it_heard() -> None:
    bus = EventBus()
    heard: list[str] = []

    async def answer(event: Event) -> None:
        if event.type == "step.completed":
            await bus.publish("flow.completed", FLOW)

    bus.subscribe(answer)
    bus.subscribe(lambda event: heard.append(event.type))
    async with asyncio.timeout(WAIT_S):
        await bus.publish("step.completed", STEP)
        await bus.publish("log", STEP)

    assert heard == ["step.completed", "flow.completed", "log"]


async def test_events_of_one_run_never_overtake_each_other() -> None:
    bus = EventBus()
    heard: list[int] = []
    first = asyncio.Event()

    async def uneven(event: Event) -> None:
        if event.data["n"] == 0:
            await first.wait()
        heard.append(event.data["n"])

    bus.subscribe(uneven)
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        for n in range(3):
            group.create_task(bus.publish("log", STEP, {"n": n}))
        await bus.publish("log", PLAIN, {"n": 9})  # another run does not wait
        first.set()

    assert heard == [9, 0, 1, 2]


async def test_a_publisher_that_is_cancelled_takes_no_event_with_it() -> None:
    bus = EventBus()
    heard: list[str] = []
    reached, go = asyncio.Event(), asyncio.Event()

    async def slow(event: Event) -> None:
        reached.set()
        await go.wait()
        heard.append(event.type)

    bus.subscribe(slow)
    publishing = asyncio.create_task(bus.publish("step.completed", STEP))
    async with asyncio.timeout(WAIT_S):
        await reached.wait()
        publishing.cancel()
        await asyncio.wait([publishing])
        go.set()
        await bus.publish("log", STEP)

    assert publishing.cancelled()
    assert heard == ["step.completed", "log"]


def test_publishing_to_plain_listeners_never_waits() -> None:
    """So that a call of ctx in a thread or a notebook can be answered where no loop runs."""
    bus = EventBus()
    heard: list[str] = []
    bus.subscribe(lambda event: heard.append(event.type))
    publishing = bus.publish("log", PLAIN)

    with pytest.raises(StopIteration):
        publishing.send(None)

    assert heard == ["log"]
