"""FlowEngine: what starts when, and when a run is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pytest

from nuxt_queue.errors import (
    FlowCancelledError,
    QueueClosedError,
    QueueError,
    QueueStorageError,
    ValuePathError,
)
from nuxt_queue.services.awaits import Await
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.flow_runs import RunRecord
from nuxt_queue.services.flow_store import MemoryFlowStore
from nuxt_queue.services.flows import FlowDefinition, FlowEngine, Step
from nuxt_queue.services.scope import Scope


class Host:
    """An engine with a queue that only remembers, and jobs that the test plays."""

    def __init__(self, *steps: Step, name: str = "ml") -> None:
        self.bus = EventBus(clock=self.time)
        self.queued: list[tuple[str, str, Any, Mapping[str, Any]]] = []
        self.refuse: str | None = None
        self.away: Exception | None = None
        self.now = 1_700_000_000.0
        entry = Step("entry", "q0", "entry")
        definition = FlowDefinition(name, entry, {step.name: step for step in steps})
        self.flows = {name: definition}
        self.engine = FlowEngine(self.flows, self.bus, self.enqueue, clock=self.time)
        self.id = ""

    def time(self) -> float:
        return self.now

    async def enqueue(self, queue: str, job: str, data: Any, opts: dict[str, Any]) -> str:
        if self.away is not None:
            raise self.away
        if job == self.refuse:
            raise QueueError(f'queue "{queue}" is full')
        self.queued.append((queue, job, data, opts))
        return str(opts["jobId"])

    async def start(self, payload: Any = None) -> None:
        self.id = (await self.engine.start_flow("ml", payload))["flowId"]

    def scope(self, step: str, attempt: int = 1) -> Scope:
        return Scope(f"{self.id}__{step}", "q", self.id, "ml", step, attempt=attempt)

    async def begin(self, step: str, attempt: int = 1) -> None:
        await self.engine.step_started(self.scope(step, attempt))

    async def emit(self, step: str, name: str, payload: Any = None, attempt: int = 1) -> None:
        await self.engine.step_emitted(self.scope(step, attempt), name, payload)

    async def complete(self, step: str, result: Any = None, attempt: int = 1) -> None:
        await self.engine.step_completed(self.scope(step, attempt), result)

    async def retry(self, step: str) -> None:
        await self.engine.step_retried(self.scope(step))

    async def fail(self, step: str, error: str = "x", attempt: int = 1) -> None:
        await self.engine.step_failed(self.scope(step, attempt), error)

    async def play(self, step: str, **emits: Any) -> None:
        await self.begin(step)
        for name, payload in emits.items():
            await self.emit(step, name, payload)
        await self.complete(step)

    def started(self) -> dict[str, Any]:
        """Return the inputs of the steps that were enqueued, but for the entry."""
        return {job: data["input"] for _, job, data, _ in self.queued if job != "entry"}

    async def status(self) -> str:
        return (await self.engine.run(self.id)).status


def step(name: str, *subscribes: str, join: Literal["all", "any"] = "all") -> Step:
    return Step(name, f"q-{name}", name, subscribes, join=join)


async def test_starting_enqueues_the_entry_step_with_the_flows_identity() -> None:
    """host-contract 2 and 3: the result of startFlow, the job id, flow.start {input}."""
    host = Host()

    started = await host.engine.start_flow("ml", {"rows": 1})

    flow_id = started["flowId"]
    assert started == {
        "id": f"{flow_id}__entry",
        "queue": "q0",
        "step": "entry",
        "flowId": flow_id,
    }
    data = {"flowId": flow_id, "flowName": "ml", "input": {"rows": 1}}
    assert host.queued == [("q0", "entry", data, {"jobId": f"{flow_id}__entry"})]
    (event,) = await host.bus.read(flow_id)
    assert (event.type, event.data, event.step_name) == ("flow.start", {"input": {"rows": 1}}, None)


async def test_an_emit_starts_its_subscriber_when_the_emitting_step_completes() -> None:
    """D8, host-contract 3: evaluated only on step.completed; input keyed by event."""
    host = Host(step("train", "prepared"))
    await host.start()
    await host.begin("entry")
    await host.emit("entry", "prepared", {"rows": 9})
    assert host.started() == {}

    await host.complete("entry")

    assert host.started() == {"train": {"prepared": {"rows": 9}}}
    queue, job, data, opts = host.queued[-1]
    assert (queue, job, data["flowId"], data["flowName"]) == ("q-train", "train", host.id, "ml")
    assert opts == {"jobId": f"{host.id}__train"}


async def test_a_step_of_several_events_waits_for_all_of_them() -> None:
    """D8: AND over subscribes."""
    host = Host(step("a", "go"), step("b", "go"), step("both", "a.done", "b.done"))
    await host.start()
    await host.play("entry", go=1)
    await host.play("a", **{"a.done": "A"})
    assert "both" not in host.started()

    await host.play("b", **{"b.done": "B"})

    assert host.started()["both"] == {"a.done": "A", "b.done": "B"}


async def test_a_step_that_joins_any_starts_at_the_first_emit_and_once() -> None:
    """D8: the older host's way."""
    host = Host(step("any", "x", "y", join="any"))
    await host.start()
    await host.begin("entry")

    await host.emit("entry", "x", 1)
    assert host.started() == {"any": {"x": 1}}
    await host.emit("entry", "y", 2)
    await host.complete("entry")

    assert len(host.queued) == 2


async def test_the_first_emit_of_a_name_wins() -> None:
    """host-contract 3."""
    host = Host(step("train", "prepared"))
    await host.start()
    await host.begin("entry")
    await host.emit("entry", "prepared", 1)
    await host.emit("entry", "prepared", 2)

    await host.complete("entry")

    assert host.started() == {"train": {"prepared": 1}}


async def test_what_a_failed_attempt_emitted_does_not_count() -> None:
    host = Host(step("train", "prepared"), step("other", "only.first"))
    await host.start()
    await host.begin("entry")
    await host.emit("entry", "prepared", "first attempt")
    await host.emit("entry", "only.first")
    await host.retry("entry")
    assert (await host.engine.run(host.id)).steps == {"entry": "retrying"}

    await host.play("entry", prepared="second attempt")

    assert host.started() == {"train": {"prepared": "second attempt"}}


async def test_a_step_may_subscribe_to_the_completion_of_a_step() -> None:
    """host-contract 3: `step:<name>` tokens."""
    host = Host(step("after", "step:entry"))
    await host.start()
    await host.begin("entry")

    await host.complete("entry", {"n": 1})

    assert host.started() == {"after": {"step:entry": {"n": 1}}}


async def test_event_names_that_nest_by_dots_do_not_collide() -> None:
    """host-contract 3, a trap of the host: `a` and `a.b`."""
    host = Host(step("one", "a", "a.b"))
    await host.start()

    await host.play("entry", a=1, **{"a.b": 2})

    assert host.started() == {"one": {"a": 1, "a.b": 2}}


async def test_a_run_is_completed_when_nothing_is_queued_or_running() -> None:
    host = Host(step("train", "prepared"), step("never", "unheard"))
    await host.start()
    await host.play("entry", prepared=1, nobody=2)
    assert await host.status() == "running"
    host.now += 5

    await host.play("train")

    run = await host.engine.wait(host.id, 5)
    assert (run.status, run.error) == ("completed", None)
    assert run.steps == {"entry": "completed", "train": "completed"}
    assert run.finished_at == run.started_at + 5
    assert (await host.bus.read(host.id))[-1].type == "flow.completed"


async def test_a_run_waits_for_its_slowest_branch() -> None:
    host = Host(step("a", "go"), step("b", "go"))
    await host.start()
    await host.play("entry", go=1)
    await host.play("a")
    assert await host.status() == "running"

    await host.play("b")

    assert await host.status() == "completed"


async def test_a_step_that_failed_for_good_ends_the_run_and_starts_nothing_more() -> None:
    host = Host(step("a", "go"), step("b", "go"), step("after", "b.done"))
    await host.start()
    await host.play("entry", go=1)
    await host.begin("b")

    await host.fail("a", "ValueError: bad")
    await host.emit("b", "b.done")
    await host.complete("b")

    run = await host.engine.run(host.id)
    assert (run.status, run.error) == ("failed", "step a: ValueError: bad")
    assert run.steps == {"entry": "completed", "a": "failed", "b": "completed"}
    events = [e for e in await host.bus.read(host.id) if e.type.startswith("flow.")]
    assert [e.type for e in events] == ["flow.start", "flow.failed"]
    assert events[-1].data == {"step": "a", "error": "ValueError: bad"}


async def test_a_step_that_cannot_be_enqueued_fails_the_run() -> None:
    host = Host(step("train", "prepared"))
    host.refuse = "train"
    await host.start()

    await host.play("entry", prepared=1)

    run = await host.engine.run(host.id)
    assert (run.status, run.steps["train"]) == ("failed", "failed")
    assert run.error == 'step train: cannot be enqueued: queue "q-train" is full'


async def test_an_entry_that_cannot_be_enqueued_is_the_callers_error() -> None:
    host = Host()
    host.refuse = "entry"

    with pytest.raises(QueueError, match="is full"):
        await host.engine.start_flow("ml")

    assert not await host.engine.is_running()


async def test_an_unknown_flow_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(QueueError, match=r'Flow not found: "nope"\. Available: ml'):
        await Host().engine.start_flow("nope")


async def test_a_payload_that_json_cannot_hold_starts_nothing() -> None:
    host = Host()

    with pytest.raises(ValuePathError, match=r"payload\.x is NaN"):
        await host.engine.start_flow("ml", {"x": float("nan")})

    assert host.queued == []
    assert not await host.engine.is_running()


async def test_a_cancelled_run_starts_nothing_more() -> None:
    """host-contract 3: flow.cancel {canceledAt, previousStatus}."""
    host = Host(step("train", "prepared"))
    await host.start()
    await host.begin("entry")

    seen = await host.engine.cancel_flow("ml", host.id)
    await host.emit("entry", "prepared")
    await host.complete("entry")
    again = await host.engine.cancel_flow("ml", host.id)

    assert (seen["id"], seen["status"], again["status"]) == (host.id, "cancelled", "cancelled")
    assert host.started() == {}
    ends = [e for e in await host.bus.read(host.id) if e.type == "flow.cancel"]
    assert [e.data for e in ends] == [
        {"canceledAt": "2023-11-14T22:13:20.000Z", "previousStatus": "running"}
    ]
    assert (await host.engine.wait(host.id, 5)).status == "cancelled"


async def test_steps_of_a_cancelled_run_that_only_wait_are_taken_out_of_their_queues() -> None:
    host = Host(step("a", "go"), step("b", "go"), step("c", "go"))
    removed: list[tuple[str, str]] = []

    async def remove(queue: str, job_id: str) -> bool:
        removed.append((queue, job_id))
        if job_id.endswith("__a"):
            raise QueueError("it runs by now")
        return True

    host.engine._remove = remove
    await host.start()
    await host.play("entry", go=1)
    await host.begin("b")

    await host.engine.cancel_flow("ml", host.id)

    assert [each for each in removed if not each[1].endswith("__resumed")] == [
        ("q-a", f"{host.id}__a"),
        ("q-c", f"{host.id}__c"),
    ]


async def test_a_restart_is_a_new_run_with_the_same_input() -> None:
    host = Host()
    await host.start({"rows": 7})

    again = await host.engine.restart_flow("ml", host.id)

    assert again["flowId"] != host.id
    assert host.queued[-1][2]["input"] == {"rows": 7}


async def test_running_flows_are_listed_in_the_hosts_form() -> None:
    """host-contract 2: RunningFlow, excludeRunIds."""
    host = Host(step("train", "prepared"))
    await host.start()
    await host.play("entry", prepared=1)
    engine = host.engine

    (running,) = await engine.get_running_flows("ml")

    assert running == {
        "id": host.id,
        "flowName": "ml",
        "status": "running",
        "startedAt": "2023-11-14T22:13:20.000Z",
        "stepCount": 2,
        "completedSteps": 1,
        "finishedAt": None,
        "steps": {"entry": "completed", "train": "queued"},
        "error": None,
    }
    assert await engine.is_running()
    assert await engine.is_running("ml", host.id)
    assert not await engine.is_running("other")
    assert not await engine.is_running("ml", "other")
    assert not await engine.is_running("ml", exclude_run_ids=[host.id])
    assert await engine.get_running_flows(exclude_run_ids=[host.id]) == []
    await host.play("train")
    assert not await engine.is_running("ml", host.id)


async def test_statistics_count_runs_by_how_they_ended() -> None:
    """host-contract 2: FlowStats."""
    host = Host()
    await host.start()
    await host.complete("entry")
    await host.start()
    await host.fail("entry")
    await host.start()
    await host.engine.cancel_flow("ml", host.id)
    await host.start()

    stats = await host.engine.get_flow_stats("ml")

    assert stats == {
        "name": "ml",
        "displayName": "ml",
        "registeredAt": "2023-11-14T22:13:20.000Z",
        "lastRunAt": "2023-11-14T22:13:20.000Z",
        "lastCompletedAt": "2023-11-14T22:13:20.000Z",
        "stats": {
            "total": 4,
            "success": 1,
            "failure": 1,
            "cancel": 1,
            "running": 1,
            "awaiting": 0,
        },
        "version": 1,
    }
    assert await host.engine.get_all_flow_stats(limit=1) == [stats]
    assert await host.engine.get_all_flow_stats(offset=1) == []
    assert await host.engine.has_flow_stats("ml")
    assert not await host.engine.has_flow_stats("other")
    with pytest.raises(QueueError, match="Flow not found"):
        await host.engine.get_flow_stats("other")


async def test_a_wait_that_ends_too_early_names_the_steps() -> None:
    host = Host()
    await host.start()

    with pytest.raises(TimeoutError, match="still runs after 0 s: entry queued"):
        await host.engine.wait(host.id, 0)


async def test_an_unknown_run_is_refused() -> None:
    host = Host()
    await host.start()

    with pytest.raises(QueueError, match='Flow run not found: "x"'):
        await host.engine.run("x")
    with pytest.raises(QueueError, match=f'Flow run not found: "{host.id}" of flow "other"'):
        await host.engine.cancel_flow("other", host.id)


async def test_steps_of_other_runs_are_none_of_its_business() -> None:
    host = Host(step("train", "prepared"))
    host.id = "from-elsewhere"

    await host.play("entry", prepared=1)

    assert host.queued == []


async def test_a_job_of_no_flow_is_none_of_its_business() -> None:
    host = Host()
    plain = Scope("j1", "q", step_name="entry")

    await host.engine.step_started(plain)
    await host.engine.step_emitted(plain, "x", {})
    await host.engine.step_retried(plain)
    await host.engine.step_failed(plain, "x")
    await host.engine.step_completed(plain, 1)

    assert host.queued == []


async def test_a_step_that_completes_twice_counts_once() -> None:
    """Faults 74: after a crash between the flow and the queue, the job runs again."""
    host = Host(step("train", "prepared"))
    await host.start()
    await host.play("entry", prepared=1)

    await host.play("entry", prepared=2)

    assert host.started() == {"train": {"prepared": 1}}
    assert len(host.queued) == 2
    assert (await host.engine.run(host.id)).steps == {"entry": "completed", "train": "queued"}


async def test_a_failed_step_that_runs_again_by_hand_opens_its_run_again() -> None:
    host = Host(step("train", "prepared"))
    await host.start()
    await host.begin("entry")
    await host.fail("entry")
    assert await host.status() == "failed"

    await host.play("entry", prepared=1)

    assert await host.status() == "running"
    assert host.started() == {"train": {"prepared": 1}}
    stats = (await host.engine.get_flow_stats("ml"))["stats"]
    assert (stats["total"], stats["failure"], stats["running"]) == (1, 0, 1)


async def test_a_run_goes_on_with_the_definition_it_was_started_with() -> None:
    """Another machine, or the next release, may know the flow otherwise or not at all."""
    host = Host(step("train", "prepared"))
    await host.start()
    host.flows.clear()

    await host.play("entry", prepared=1)

    assert host.started() == {"train": {"prepared": 1}}


async def test_a_step_has_the_time_that_its_flow_gives_it() -> None:
    """host-contract 3: stepTimeout goes into the job's options."""
    host = Host(Step("train", "q", "train", ("prepared",), timeout_ms=1500))
    await host.start()

    await host.play("entry", prepared=1)

    assert host.queued[-1][3] == {"jobId": f"{host.id}__train", "timeout": 1500}


async def test_an_event_from_outside_reaches_a_run() -> None:
    host = Host(step("train", "go"))
    await host.start()
    await host.begin("entry")

    assert await host.engine.emit("go", {"by": "hand"}, host.id) == [host.id]

    assert host.started() == {"train": {"go": {"by": "hand"}}}


async def test_a_queue_that_cannot_keep_a_step_now_gets_it_later() -> None:
    """Faults 75: a full disk is no reason to fail a run."""
    host = Host(step("train", "prepared"))
    await host.start()
    host.away = QueueStorageError("disk", "full")
    await host.play("entry", prepared=1)
    assert host.started() == {}
    assert await host.status() == "running"

    host.away = None
    await host.engine.look_after()
    assert host.started() == {}
    host.now += 5
    await host.engine.look_after()
    await host.engine.look_after()

    assert host.started() == {"train": {"prepared": 1}}
    assert len(host.queued) == 2


async def test_a_run_whose_two_steps_failed_goes_on_when_both_have_been_tried_again() -> None:
    host = Host(step("a", "go"), step("b", "go"), step("c", "step:a", "step:b"))
    await host.start()
    await host.play("entry", go=1)
    for name in "ab":
        await host.begin(name)
    for name in "ab":
        await host.fail(name, f"no {name}")
    assert (await host.engine.run(host.id)).error == "step a: no a"

    await host.play("a")

    run = await host.engine.run(host.id)
    assert (run.status, run.error) == ("failed", "step b: no b")
    await host.play("b")
    assert await host.status() == "running"
    assert set(host.started()) == {"a", "b", "c"}
    await host.play("c")
    assert await host.status() == "completed"
    stats = (await host.engine.get_flow_stats("ml"))["stats"]
    assert (stats["total"], stats["success"], stats["failure"]) == (1, 1, 0)


async def test_a_run_that_is_opened_again_goes_on_with_what_was_not_in_its_queue_yet() -> None:
    host = Host(step("a", "go"), step("b", "go"))
    await host.start()
    host.away = QueueStorageError("disk", "full")
    await host.play("entry", go=1)
    host.away = None
    await host.begin("a")  # it was delivered, and the answer was lost
    await host.fail("a")
    host.now += 60

    await host.begin("a", attempt=2)
    await host.engine.look_after()

    assert host.started() == {"b": {"go": 1}}
    await host.complete("a", attempt=2)
    await host.play("b")
    assert await host.status() == "completed"


async def test_a_step_of_a_cancelled_run_is_not_run_however_its_job_came_to_be() -> None:
    """Faults 74: its manager was killed, or it was on its way into its queue meanwhile."""
    host = Host(step("train", "prepared"))
    await host.start()
    await host.begin("entry")
    await host.engine.cancel_flow("ml", host.id)

    with pytest.raises(FlowCancelledError, match=f"flow run {host.id} was cancelled"):
        await host.begin("entry", attempt=2)

    await host.fail("entry", attempt=2)
    run = await host.engine.run(host.id)
    assert (run.status, run.error, run.steps) == ("cancelled", None, {"entry": "failed"})


@pytest.mark.parametrize("end", ["fail", "complete", "retry"])
async def test_what_an_attempt_says_that_was_given_up_counts_no_more(end: str) -> None:
    """Faults 63 and 74: a machine that slept wakes up, and another has the job by now."""
    host = Host(step("train", "prepared"))
    await host.start()
    await host.begin("entry")
    await host.emit("entry", "prepared", "late")
    await host.begin("entry", attempt=2)

    if end == "fail":
        await host.fail("entry", "timeout")
    elif end == "complete":
        await host.complete("entry")
    else:
        await host.retry("entry")

    run = await host.engine.run(host.id)
    assert (run.status, run.steps) == ("running", {"entry": "running"})
    await host.emit("entry", "prepared", "in time", attempt=2)
    await host.complete("entry", attempt=2)
    assert host.started() == {"train": {"prepared": "in time"}}


async def test_whoever_enqueues_a_step_knows_what_its_worker_says_of_its_jobs() -> None:
    options = {"attempts": 3, "backoff": {"type": "fixed", "delay": 5}}
    host = Host(Step("train", "q", "train", ("prepared",), timeout_ms=9, job_options=options))
    await host.start()
    host.flows.clear()  # as on a machine that has not scanned its workers yet, or has others

    await host.play("entry", prepared=1)

    assert host.queued[-1][3] == {**options, "jobId": f"{host.id}__train", "timeout": 9}


async def test_a_step_that_a_closed_queue_does_not_take_waits_for_another_manager() -> None:
    host = Host(step("train", "prepared"))
    await host.start()
    host.away = QueueClosedError("the manager is closed")

    await host.play("entry", prepared=1)

    assert await host.status() == "running"
    host.away = None
    host.now += 5
    await host.engine.look_after()
    assert host.started() == {"train": {"prepared": 1}}


async def test_a_run_that_is_kept_has_been_started_though_its_queue_is_away() -> None:
    """Who is told otherwise starts it again, and there are two."""
    host = Host()
    host.away = QueueStorageError("disk", "full")

    await host.start()

    host.away = None
    host.now += 5
    await host.engine.look_after()
    assert [job for _, job, _, _ in host.queued] == ["entry"]


async def test_a_run_that_cannot_be_looked_after_does_not_hold_up_the_others() -> None:
    host = Host(step("train", "prepared"))
    store = host.engine._store
    host.away = QueueStorageError("disk", "full")
    await host.start()
    await host.start()
    host.away = None
    assert isinstance(store, MemoryFlowStore)
    store._running[next(iter(store._running))] = b"{}"
    host.now += 5

    await host.engine.look_after()

    assert [data["flowId"] for _, _, data, _ in host.queued] == [host.id]


async def test_an_event_from_outside_does_not_reach_a_run_that_has_ended() -> None:
    host = Host(step("train", "go"))
    await host.start()
    await host.engine.cancel_flow("ml", host.id)

    assert await host.engine.emit("go", {}, host.id) == []


def test_a_run_that_a_newer_release_has_written_can_be_read() -> None:
    before = Await.begin("train", "before", {"type": "webhook"}, 1000, None)
    flow = FlowDefinition("ml", Step("entry", "q0", "entry"), {"train": step("train", "go")})
    run = RunRecord.begin("r1", flow, {}, 1000)
    run.awaits["train"] = before
    kept = run.to_json()
    for part in (
        kept,
        kept["definition"],
        kept["definition"]["entry"],
        kept["definition"]["steps"]["train"],
        kept["outbox"]["entry"],
        kept["awaits"]["train"],
    ):
        part["of a newer release"] = True

    found = RunRecord.read(kept)

    run.fresh, run.news = [], []
    assert found == run


async def test_a_step_of_a_run_that_was_cancelled_meanwhile_does_not_begin() -> None:
    """Between the notice that an attempt starts and the start of its handler."""
    host = Host(step("train", "prepared"))
    await host.start()
    await host.begin("entry")
    await host.engine.step_begins(host.scope("entry"))
    await host.engine.cancel_flow("ml", host.id)
    with pytest.raises(FlowCancelledError):
        await host.engine.step_begins(host.scope("entry"))
    await host.engine.step_begins(Scope("j1", "q", step_name="entry"))
