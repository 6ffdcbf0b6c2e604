"""Timelines, whatever engine keeps them."""

from __future__ import annotations

from typing import Any

from nuxt_queue.services.events import Event, EventBus
from nuxt_queue.services.scope import Scope
from tests.contract.conftest import Stores

STEP = Scope("f1__a", "q", "f1", "ml", "a", "f1__a__attempt-2", 2)
FLOW = Scope("f1", "q", "f1", "ml")
PLAIN = Scope("j1", "q", step_name="a", step_id="j1__a__attempt-1")


async def test_events_come_back_in_order_and_as_they_were(stores: Stores) -> None:
    """host-contract 3."""
    bus = EventBus(stores.events)
    data: dict[str, Any] = {"result": {"rows": [1, None, "ü"], "loss": 0.1}}

    published = [
        await bus.publish("flow.start", FLOW, {"input": {}}),
        *[await bus.publish("log", STEP, {"level": "info", "message": str(n)}) for n in range(50)],
        await bus.publish("step.completed", STEP, data),
    ]
    await bus.publish("log", PLAIN)

    assert await bus.read("f1") == published
    assert [event.id for event in published] == sorted({event.id for event in published})
    assert [event.step_name for event in await bus.read("j1")] == ["a"]
    assert await bus.read("unknown") == []


async def test_another_process_reads_the_same_timeline(stores: Stores) -> None:
    bus, other = EventBus(stores.events), EventBus((await stores.another()).events)
    first = await bus.publish("step.started", STEP)
    assert await bus.read("f1") == [first]

    second = await other.publish("step.completed", STEP)

    assert await other.read("f1") == [first, second]
    assert await bus.read("f1") == [first, second]


async def test_a_timeline_can_be_forgotten(stores: Stores) -> None:
    bus = EventBus(stores.events)
    await bus.publish("log", STEP)
    await bus.publish("log", PLAIN)

    await stores.events.drop("f1")

    assert await bus.read("f1") == []
    assert len(await bus.read("j1")) == 1


async def test_a_run_id_may_be_any_text(stores: Stores) -> None:
    """Faults 96."""
    for name in ("../x", "a\x00b", "'; --", "x" * 300, "{a}:*"):
        event = Event("log", name, None, None, None, None, {}, 1, 0.5)
        await stores.events.append(event)

        assert await stores.events.read(name) == [event]
