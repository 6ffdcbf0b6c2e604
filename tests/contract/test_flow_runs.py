"""Flows over a manager: emits of one step start the next, on whatever queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from nuxt_queue.rpc import methods
from nuxt_queue.services.context import JobContext
from nuxt_queue.services.flows import FlowDefinition, FlowEngine, Step
from tests.contract.conftest import WAIT_S, Bench

ML = FlowDefinition(
    "ml",
    Step("prepare", "data", "prepare"),
    {
        "train": Step("train", "gpu", "train", ("data.prepared",)),
        "report": Step("report", "cpu", "report", ("data.prepared", "model.trained")),
    },
)


async def emit(context: JobContext, name: str, payload: Any) -> None:
    await context.call(methods.FLOW_EMIT, {"trigger": name, "payload": payload})


async def prepare(job: dict[str, Any], context: JobContext) -> int:
    await emit(context, "data.prepared", {"rows": job["data"]["rows"]})
    return 1


async def train(job: dict[str, Any], context: JobContext) -> None:
    if job["attemptsMade"] == 0:
        await emit(context, "model.trained", {"accuracy": 0})
        raise ValueError("out of memory")
    await emit(context, "model.trained", {"accuracy": job["data"]["rows"] / 1000})


def engine(
    bench: Bench, flow: FlowDefinition = ML, clock: Callable[[], float] = time.time
) -> FlowEngine:
    enqueue, store = bench.manager.enqueue, bench.flow_store
    made = FlowEngine({"ml": flow}, bench.bus, enqueue, store=store, clock=clock)
    bench.contexts.flows = bench.contexts.steps = made
    return made


async def register(bench: Bench, report: Any) -> None:
    steps = {"prepare": prepare, "train": train, "report": report}
    for name, handler in steps.items():
        step = ML.steps.get(name, ML.entry)
        opts = {"subscribes": step.subscribes, "defaultJobOptions": {"attempts": 2}}
        await bench.manager.register_worker(step.queue, name, handler, opts)


async def test_a_flow_runs_to_its_end_and_failed_attempts_emit_nothing(bench: Bench) -> None:
    """D8, D4; host-contract 3: the timeline of a run."""

    async def report(job: dict[str, Any], _context: JobContext) -> Any:
        return job["inputs"]

    flows = engine(bench)
    await register(bench, report)

    started = await flows.start_flow("ml", {"rows": 569})
    run = await flows.wait(started["flowId"], WAIT_S)

    assert (started["queue"], started["step"]) == ("data", "prepare")
    assert started["id"] == f"{run.id}__prepare"
    assert run.status == "completed"
    assert run.steps == {"prepare": "completed", "train": "completed", "report": "completed"}
    job = await bench.ended("cpu", f"{run.id}__report")
    assert job.returnvalue == {"data.prepared": {"rows": 569}, "model.trained": {"accuracy": 0.569}}
    timeline = [(event.type, event.step_name) for event in await bench.bus.read(run.id)]
    assert timeline == [
        ("flow.start", None),
        ("step.started", "prepare"),
        ("emit", "prepare"),
        ("step.completed", "prepare"),
        ("step.started", "train"),
        ("emit", "train"),
        ("step.retry", "train"),
        ("step.started", "train"),
        ("emit", "train"),
        ("step.completed", "train"),
        ("step.started", "report"),
        ("step.completed", "report"),
        ("flow.completed", None),
    ]


async def test_a_step_that_fails_for_good_fails_the_run(bench: Bench) -> None:
    async def report(_job: dict[str, Any], _context: JobContext) -> None:
        raise KeyError("accuracy")

    flows = engine(bench)
    await register(bench, report)

    started = await flows.start_flow("ml", {"rows": 1})
    run = await flows.wait(started["flowId"], WAIT_S)

    assert (run.status, run.steps["report"]) == ("failed", "failed")
    assert run.error == "step report: KeyError: 'accuracy'"


async def test_a_job_can_cancel_its_own_flow(bench: Bench) -> None:
    """host-contract 2: ctx.flow.cancel()."""

    async def report(_job: dict[str, Any], context: JobContext) -> Any:
        return await context.call(methods.FLOW_CANCEL_OWN, {})

    flows = engine(bench)
    await register(bench, report)

    started = await flows.start_flow("ml", {"rows": 1})
    run = await flows.wait(started["flowId"], WAIT_S)
    await bench.ended("cpu", f"{run.id}__report")

    assert run.status == "cancelled"


async def test_a_waiting_step_of_a_cancelled_run_never_runs(bench: Bench) -> None:
    """Faults 74: also when its job could not be taken out of its queue."""
    ran: list[str] = []

    async def report(_job: dict[str, Any], _context: JobContext) -> None:
        ran.append("report")

    flows = engine(bench)  # without `remove`, as when the queue is away while it is cancelled
    await register(bench, report)
    await bench.manager.pause("cpu")
    started = await flows.start_flow("ml", {"rows": 1})
    job_id = f"{started['flowId']}__report"
    await bench.until_state("cpu", job_id, "paused")

    await flows.cancel_flow("ml", started["flowId"])
    await bench.manager.resume("cpu")

    job = await bench.ended("cpu", job_id)
    assert (job.state, job.attempts_made, ran) == ("failed", 1, [])
    assert (
        job.failed_reason == f"flow run {started['flowId']} was cancelled, so the step was not run"
    )
    assert (await flows.run(started["flowId"])).status == "cancelled"


async def test_a_step_that_takes_longer_than_its_flow_allows_fails_the_run(bench: Bench) -> None:
    """host-contract 3: stepTimeout."""
    began = asyncio.Event()

    async def hang(_job: dict[str, Any], _context: JobContext) -> None:
        began.set()
        await asyncio.sleep(WAIT_S * 2)

    entry = Step("slow", "slow", "slow", timeout_ms=80)
    flows = engine(bench, FlowDefinition("ml", entry))
    await bench.manager.register_worker("slow", "slow", hang)
    started = await flows.start_flow("ml")
    await asyncio.wait_for(began.wait(), WAIT_S)
    await bench.pass_time(100)

    run = await flows.wait(started["flowId"], WAIT_S)

    assert (run.status, run.error) == ("failed", "step slow: Worker timeout after 80ms")


AWAITS: list[tuple[dict[str, Any], str]] = [
    ({"type": "time", "delay": 60_000}, "time"),
    ({"type": "schedule", "cron": "* * * * *"}, "time"),
    ({"type": "event", "event": "approved"}, "event"),
    ({"type": "webhook"}, "call"),
]


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize(("config", "ended_by"), AWAITS, ids=[str(c["type"]) for c, _ in AWAITS])
async def test_a_step_waits_for_what_it_is_told_to_and_then_the_flow_goes_on(
    bench: Bench, config: dict[str, Any], ended_by: str, where: str
) -> None:
    """host-contract 3: awaitBefore and awaitAfter of each type, on each engine."""
    triggers: list[Any] = []

    async def note(job: dict[str, Any], context: JobContext) -> Any:
        triggers.append(context.scope.trigger)
        return job["inputs"]

    position: Any = {"await_before": config} if where == "before" else {"await_after": config}
    definition = FlowDefinition(
        "ml",
        Step("prepare", "data", "prepare"),
        {
            "held": Step("held", "gpu", "held", ("data.prepared",), **position),
            "last": Step("last", "cpu", "last", ("step:held",)),
        },
    )
    now = [1_700_000_000.0]
    flows = engine(bench, definition, clock=lambda: now[0])
    await bench.manager.register_worker("data", "prepare", prepare)
    for name, queue in (("held", "gpu"), ("last", "cpu")):
        opts = {"subscribes": definition.steps[name].subscribes}
        await bench.manager.register_worker(queue, name, note, opts)
    run_id = (await flows.start_flow("ml", {"rows": 1}))["flowId"]

    async def is_waiting() -> bool:
        return (await flows.run(run_id)).steps.get("held") == "awaiting"

    await bench.until(is_waiting)
    await flows.look_after()
    assert await is_waiting()
    if ended_by == "time":
        now[0] += 60
        await flows.look_after()
    elif ended_by == "event":
        assert await flows.emit("approved", {"by": "Ada"}) == [run_id]
    else:
        await flows.resolve_await(run_id, "held", {"by": "Ada"})

    run = await flows.wait(run_id, WAIT_S)

    assert run.steps == {"prepare": "completed", "held": "completed", "last": "completed"}
    said = None if ended_by == "time" else {"by": "Ada"}
    assert triggers == ([said, None] if where == "before" else [None, None])
    job = await bench.ended("cpu", f"{run_id}__last")
    assert job.returnvalue == {"step:held": {"data.prepared": {"rows": 1}}}
