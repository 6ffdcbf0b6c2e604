"""Registration and dispatch: which code a job reaches, and what it gets."""

from __future__ import annotations

from typing import Any

import pytest

from nuxt_queue.errors import QueueError
from nuxt_queue.services.context import JobContext
from tests.contract.conftest import Bench


async def echo(job: dict[str, Any], _context: JobContext) -> Any:
    return job["data"]


async def test_one_worker_of_a_queue_dispatches_by_job_name(bench: Bench) -> None:
    """host-contract 5: one worker per queue, dispatcher by job name."""

    async def other(_job: dict[str, Any], _context: JobContext) -> str:
        return "other"

    await bench.manager.register_worker("q", "echo", echo)
    await bench.manager.register_worker("q", "other", other)

    assert (await bench.run("q", "echo", {"x": 1})).returnvalue == {"x": 1}
    assert (await bench.run("q", "other")).returnvalue == "other"


async def test_an_unknown_job_name_fails_at_once_with_the_names_there_are(bench: Bench) -> None:
    """host-contract 5: the exact message; no attempt can cure it, so there is one."""
    await bench.manager.register_worker("q", "b", echo)
    await bench.manager.register_worker("q", "a", echo)

    job = await bench.run("q", "x", attempts=3)

    assert job.state == "failed"
    assert job.failed_reason == 'No handler for job "x" on queue "q". Available: a, b'
    assert job.attempts_made == 1
    assert (await bench.run("q", "a", 1)).state == "completed"


async def test_a_registered_worker_can_be_looked_up(bench: Bench) -> None:
    """host-contract 6: WorkerInfo."""
    await bench.manager.register_worker("q", "a", echo, {"concurrency": 3})

    info = bench.manager.get_worker("q", "a")

    assert info is not None
    assert (info.queue_name, info.job_name, info.runtime) == ("q", "a", "inprocess")
    assert (info.concurrency, info.autorun) == (3, True)
    assert bench.manager.get_worker("q", "b") is None
    assert bench.manager.get_worker("p", "a") is None


async def test_registering_again_replaces_the_handler(bench: Bench) -> None:
    """Faults 57: double registration."""

    async def newer(_job: dict[str, Any], _context: JobContext) -> str:
        return "newer"

    await bench.manager.register_worker("q", "a", echo)
    await bench.manager.register_worker("q", "a", newer)

    assert (await bench.run("q", "a", "data")).returnvalue == "newer"


async def test_a_worker_that_is_unregistered_lets_its_jobs_wait_for_the_next(bench: Bench) -> None:
    await bench.manager.register_worker("q", "a", echo)
    assert (await bench.run("q", "a", 1)).returnvalue == 1
    assert await bench.manager.unregister_worker("q", "a") is True
    assert await bench.manager.unregister_worker("q", "a") is False
    assert bench.manager.get_worker("q", "a") is None

    waits = await bench.manager.enqueue("q", "a", 2)
    await bench.pass_time(50)
    await bench.manager.register_worker("q", "a", echo)
    await bench.pass_time(int(bench.manager.unkept_retry_ms))  # of one who was about to take it

    job = await bench.ended("q", waits)
    assert (job.state, job.returnvalue, job.attempts_made) == ("completed", 2, 1)


async def test_what_a_replaced_worker_keeps_ready_is_let_go_at_once(bench: Bench) -> None:
    class Kept:
        closed = False

        async def __call__(self, job: dict[str, Any], _context: JobContext) -> Any:
            return job["data"]

        async def close(self) -> None:
            self.closed = True

    first, second, options = Kept(), Kept(), {"path": "/w/train.py"}
    bench.manager._runtimes = lambda _options: first
    await bench.manager.register_worker("q", "a", None, options)
    bench.manager._runtimes = lambda _options: second
    await bench.manager.register_worker("q", "a", None, options)
    assert (first.closed, second.closed) == (True, False)
    assert (await bench.run("q", "a", 1)).returnvalue == 1
    await bench.manager.unregister_worker("q", "a")
    assert second.closed


async def test_a_callable_of_the_inprocess_runtime_gets_a_run_context(bench: Bench) -> None:
    async def handler(job: Any, ctx: Any) -> Any:
        await ctx.state.set("seen", job["data"])
        return [ctx.step_name, await ctx.state.get("seen")]

    await bench.manager.register_worker("q", "a", handler, {"runtime": "inprocess"})

    assert (await bench.run("q", "a", {"n": 1})).returnvalue == ["a", {"n": 1}]


async def test_a_worker_file_is_registered_with_the_same_call(bench: Bench) -> None:
    options = {"runtime": "python", "path": "/w/train.py"}
    await bench.manager.register_worker("q", "train", None, options)

    job = await bench.run("q", "train", [1])

    assert job.returnvalue == {"ran": "/w/train.py", "data": [1], "step": "train"}
    info = bench.manager.get_worker("q", "train")
    assert info is not None
    assert info.runtime == "python"


@pytest.mark.parametrize(
    ("handler", "options", "message"),
    [
        (echo, {"runtime": "python"}, 'runtime "python" runs a worker file: give opts.path'),
        (echo, {"path": "/w.py"}, "give a handler or a worker file, not both: /w.py"),
        ("echo", {}, "the handler is a str, not a callable"),
        (echo, {"concurency": 2}, 'unknown worker option "concurency"; did you mean "concurrency"'),
        (echo, {"concurrency": 0}, 'worker option "concurrency" is 0'),
        (echo, {"limiter": {"max": 0, "duration": 5}}, 'worker option "limiter.max" is 0'),
        (echo, {"limiter": {"max": 1}}, 'worker option "limiter.duration"'),
        (
            echo,
            {"limiter": {"max": 1, "duration": 5, "groupKey": "user"}},
            "worker option \"limiter.groupKey\" is 'user'",
        ),
    ],
)
async def test_a_registration_that_cannot_work_is_refused_by_name(
    bench: Bench, handler: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(QueueError) as caught:
        await bench.manager.register_worker("q", "a", handler, options)

    assert message in str(caught.value)
    assert bench.manager.get_worker("q", "a") is None


@pytest.mark.parametrize(("queue", "job"), [("", "a"), ("q", ""), ("a:b", "a")])
async def test_a_name_that_some_queue_could_not_hold_is_refused(
    bench: Bench, queue: str, job: str
) -> None:
    """BullMQ's keys are built with ":"."""
    with pytest.raises(QueueError):
        await bench.manager.register_worker(queue, job, echo)
    with pytest.raises(QueueError):
        await bench.manager.enqueue(queue, job)


async def test_the_handler_gets_the_job_and_nothing_more(bench: Bench) -> None:
    """D4: a dict with id, name, data, attemptsMade, opts."""

    async def whole(job: dict[str, Any], _context: JobContext) -> Any:
        return job

    await bench.manager.register_worker("q", "a", whole)

    job = await bench.run("q", "a", {"x": [1]}, attempts=2)

    assert job.returnvalue == {
        "id": job.id,
        "name": "a",
        "data": {"x": [1]},
        "attemptsMade": 0,
        "opts": {"attempts": 2},
    }


async def test_a_plain_job_has_a_scope_without_a_flow(bench: Bench) -> None:
    """host-contract 2: ids."""

    async def scope(_job: dict[str, Any], context: JobContext) -> Any:
        return context.scope.to_wire()

    await bench.manager.register_worker("q", "a", scope)

    job = await bench.run("q", "a")

    assert job.returnvalue == {
        "jobId": job.id,
        "queue": "q",
        "flowId": None,
        "flowName": None,
        "stepName": "a",
        "stepId": f"{job.id}__a__attempt-1",
        "attempt": 1,
    }


@pytest.mark.parametrize(
    ("given", "subscribes", "data", "inputs"),
    [
        ({"input": {"n": 1}}, [], {"n": 1}, None),
        ({"n": 1, "m": 2}, [], {"n": 1, "m": 2}, None),  # the host's entry step
        ({"input": {"a.b": {"n": 1}}}, ["a.b"], {"n": 1}, {"a.b": {"n": 1}}),
        ({"input": {"x": 1, "y": 2}}, ["x", "y"], {"x": 1, "y": 2}, {"x": 1, "y": 2}),
        ({"input": {"n": 1}}, ["a.b"], {"n": 1}, None),  # not keyed by event
    ],
)
async def test_a_flow_job_gets_its_payload_and_its_scope(
    bench: Bench, given: Any, subscribes: list[str], data: Any, inputs: Any
) -> None:
    """D4 and host-contract 2: identity from job.data, input keyed by event."""

    async def whole(job: dict[str, Any], context: JobContext) -> Any:
        scope = context.scope
        return {"job": job, "scope": [scope.flow_id, scope.flow_name, scope.step_id]}

    await bench.manager.register_worker("q", "train", whole, {"subscribes": subscribes})

    job = await bench.run("q", "train", {"flowId": "f1", "flowName": "ml", **given})

    assert job.returnvalue["job"]["data"] == data
    assert job.returnvalue["job"].get("inputs") == inputs
    assert job.returnvalue["scope"] == ["f1", "ml", "f1__train__attempt-1"]


async def test_a_step_that_waited_learns_what_resumed_it(bench: Bench) -> None:
    """host-contract 2: trigger and awaitConfig."""

    async def whole(job: dict[str, Any], context: JobContext) -> Any:
        return [job["data"], context.scope.trigger, context.scope.await_config]

    await bench.manager.register_worker("q", "train", whole, {"subscribes": ["a.b"]})
    resumed = {"awaitResolved": True, "awaitData": {"by": "Ada"}, "awaitPosition": "before"}
    data = {"flowId": "f1", "flowName": "ml", "input": {"a.b": 1}, **resumed}

    job = await bench.run("q", "train", data | {"awaitConfig": {"type": "webhook"}})

    assert job.returnvalue == [1, {"by": "Ada"}, {"type": "webhook"}]
