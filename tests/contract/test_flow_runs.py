"""Flows over a manager: emits of one step start the next, on whatever queue."""

from __future__ import annotations

from typing import Any

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


def engine(bench: Bench) -> FlowEngine:
    made = FlowEngine({"ml": ML}, bench.bus, bench.manager.enqueue, store=bench.flow_store)
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
