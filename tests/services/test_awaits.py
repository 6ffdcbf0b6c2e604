"""Steps that wait: for a time, a schedule, an event, a call from outside."""

from __future__ import annotations

from typing import Any

import pytest

from nuxt_queue.errors import QueueError
from nuxt_queue.services.awaits import check_await
from nuxt_queue.services.flows import Step
from tests.services.test_flows import Host, step

BEFORE: dict[str, dict[str, Any]] = {
    "time": {"type": "time", "delay": 60_000},
    "schedule": {"type": "schedule", "cron": "0 12 * * *", "timezone": "Europe/Vienna"},
    "event": {"type": "event", "event": "approved"},
    "webhook": {"type": "webhook", "method": "POST"},
}


def waiting(config: dict[str, Any], *, after: bool = False) -> Host:
    """Make a host whose step `train` waits before or after it runs."""
    where: dict[str, Any] = {"await_after" if after else "await_before": config}
    train = Step("train", "q", "train", ("prepared",), **where)
    return Host(train, step("report", "trained"))


async def begin(host: Host) -> None:
    await host.start({"order": 7})
    await host.play("entry", prepared={"rows": 1})


async def statuses(host: Host) -> dict[str, Any]:
    return dict((await host.engine.run(host.id)).steps)


async def told(host: Host) -> list[tuple[str, dict[str, Any]]]:
    events = await host.bus.read(host.id)
    return [(event.type, event.data) for event in events if event.type.startswith("await.")]


@pytest.mark.parametrize(
    ("kind", "seconds"), [("time", 60), ("schedule", 12 * 3600 + 46 * 60 + 40)]
)
async def test_a_step_waits_for_its_time(kind: str, seconds: int) -> None:
    """host-contract 3; 22:13:20 is 23:13:20 in Vienna, and noon is 12:46:40 away."""
    host = waiting(BEFORE[kind])
    await begin(host)
    assert host.started() == {}
    assert await statuses(host) == {"entry": "completed", "train": "awaiting"}

    host.now += seconds - 1
    await host.engine.look_after()
    assert host.started() == {}
    host.now += 1
    await host.engine.look_after()
    await host.engine.look_after()

    assert host.started() == {"train": {"prepared": {"rows": 1}}}


async def test_a_step_that_waited_runs_with_what_resumed_it() -> None:
    """host-contract 3: the data of a resumed job, and its id."""
    host = waiting(BEFORE["webhook"])
    await begin(host)

    await host.engine.resolve_await(host.id, "train", {"by": "Ada"})

    _, _, data, opts = host.queued[-1]
    assert opts == {"jobId": f"{host.id}__train__resumed"}
    assert data == {
        "flowId": host.id,
        "flowName": "ml",
        "input": {"prepared": {"rows": 1}},
        "awaitResolved": True,
        "awaitData": {"by": "Ada"},
        "awaitPosition": "before",
        "awaitConfig": BEFORE["webhook"],
    }
    about = {"stepName": "train", "awaitType": "webhook", "position": "before"}
    assert await told(host) == [
        ("await.registered", about | {"config": BEFORE["webhook"]}),
        ("await.resolved", about | {"triggerData": {"by": "Ada"}}),
    ]


async def test_a_call_that_nobody_waits_for_is_refused() -> None:
    host = waiting(BEFORE["webhook"])
    await begin(host)
    await host.engine.resolve_await(host.id, "train")

    with pytest.raises(QueueError, match=r'step "train" of flow run .* does not wait'):
        await host.engine.resolve_await(host.id, "train")
    with pytest.raises(QueueError, match="Flow run not found"):
        await host.engine.resolve_await("nobody", "train")
    assert len(host.queued) == 2


async def test_an_event_of_the_run_or_from_outside_ends_a_wait() -> None:
    host = waiting({"type": "event", "event": "approved", "filterKey": "order"})
    await begin(host)

    assert await host.engine.emit("approved", {"order": 8}) == []
    assert await host.engine.emit("other", {"order": 7}) == []
    assert host.started() == {}

    assert await host.engine.emit("approved", {"order": 7, "by": "Ada"}) == [host.id]

    assert host.queued[-1][2]["awaitData"] == {"order": 7, "by": "Ada"}


async def test_an_event_of_the_run_that_came_before_the_wait_ends_it() -> None:
    """Else the step that emits both would keep the other waiting for a day."""
    host = waiting({"type": "event", "event": "approved", "filterKey": "order"})
    await host.start({"order": 7})

    await host.play("entry", prepared={"rows": 1}, approved={"order": 7})

    assert host.started() == {"train": {"prepared": {"rows": 1}}}
    assert host.queued[-1][2]["awaitData"] == {"order": 7}
    assert [kind for kind, _ in await told(host)] == ["await.registered", "await.resolved"]


async def test_what_comes_after_a_step_waits_until_its_wait_is_over() -> None:
    host = waiting({"type": "time", "delay": 1000}, after=True)
    await begin(host)
    await host.play("train", trained={"accuracy": 1})
    assert await statuses(host) == {"entry": "completed", "train": "awaiting"}
    assert "report" not in host.started()
    stats = (await host.engine.get_flow_stats("ml"))["stats"]
    assert (stats["running"], stats["awaiting"]) == (1, 1)

    host.now += 1
    await host.engine.look_after()

    assert host.started()["report"] == {"trained": {"accuracy": 1}}
    await host.play("report")
    assert await host.status() == "completed"


async def test_a_wait_that_nobody_ends_fails_the_run_after_a_day() -> None:
    """host-contract 3: 24 hours, action fail."""
    host = waiting(BEFORE["event"])
    await begin(host)
    host.now += 24 * 3600 - 1
    await host.engine.look_after()
    assert await host.status() == "running"

    host.now += 1
    await host.engine.look_after()

    run = await host.engine.run(host.id)
    assert run.error == "step train: nothing came for its event await in time"
    assert [kind for kind, _ in await told(host)] == ["await.registered", "await.timeout"]


async def test_a_wait_may_go_on_without_an_answer() -> None:
    host = waiting({"type": "webhook", "timeout": 5000, "timeoutAction": "continue"})
    await begin(host)

    host.now += 5
    await host.engine.look_after()

    assert host.started() == {"train": {"prepared": {"rows": 1}}}
    assert host.queued[-1][2]["awaitData"] is None


async def test_a_cancelled_run_waits_for_nothing() -> None:
    host = waiting(BEFORE["time"])
    await begin(host)
    await host.engine.cancel_flow("ml", host.id)

    host.now += 3600
    await host.engine.look_after()

    assert host.started() == {}
    with pytest.raises(QueueError, match="does not wait"):
        await host.engine.resolve_await(host.id, "train")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "x.type is None; known: time, schedule, event, webhook"),
        ({"type": "sleep"}, "x.type is 'sleep'"),
        ({"type": "time"}, "x.delay is missing; expected whole milliseconds"),
        ({"type": "time", "delay": "5"}, "x.delay is '5'"),
        ({"type": "event"}, "x.event is missing"),
        ({"type": "event", "event": "e", "delay": 5}, "x.delay is not for event; it takes event,"),
        ({"type": "schedule", "cron": "noon"}, '"noon" is no cron pattern'),
        ({"type": "schedule", "cron": "0 0 30 2 *"}, "never comes round"),
        ({"type": "schedule", "cron": "0 0 * * *", "timezone": "Mars"}, 'no time zone "Mars"'),
        ({"type": "webhook", "timeout": 0}, "x.timeout is 0"),
        ({"type": "webhook", "timeoutAction": "retry"}, 'expected "fail" or "continue"'),
    ],
)
async def test_a_wait_that_could_never_be_is_refused_before_the_flow_starts(
    config: dict[str, Any], says: str
) -> None:
    """host-contract 3: `retry` is in the host's types, and does nothing there."""
    with pytest.raises(QueueError) as caught:
        check_await(config, "x")
    assert says in str(caught.value)

    host = waiting(config)
    with pytest.raises(QueueError, match='step "train": awaitBefore' if "x." in says else None):
        await host.start()
    assert host.queued == []
