"""Attempts: step events, retries, backoff, timeouts, and what can go wrong in a handler."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from typing import Any

import pytest

from nuxt_queue.errors import HandlerError, QueueError, WorkerStartError
from nuxt_queue.services.context import JobContext
from nuxt_queue.services.events import Event
from tests.contract.conftest import WAIT_S, Bench


async def echo(job: dict[str, Any], _context: JobContext) -> Any:
    return job["data"]


class Failing:
    """A handler that fails a number of times, and returns how often it was called after that."""

    def __init__(self, times: int, error: Exception | None = None) -> None:
        self.times, self.calls, self.error = times, 0, error or ValueError("bad")

    async def __call__(self, job: dict[str, Any], _context: JobContext) -> int:
        assert job["attemptsMade"] == self.calls
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return self.calls


async def test_a_job_that_completes_says_started_and_completed(bench: Bench) -> None:
    """host-contract 3: order and data of the events."""
    await bench.manager.register_worker("q", "a", echo)

    job = await bench.run("q", "a", {"x": 1})

    assert bench.said(job.id) == [
        ("step.started", {"jobId": job.id, "name": "a", "queue": "q"}),
        ("step.completed", {"result": {"x": 1}}),
    ]
    event = bench.events[0]
    assert (event.step_name, event.step_id, event.attempt) == ("a", f"{job.id}__a__attempt-1", 1)


async def test_an_attempt_that_fails_says_retry_until_the_last_says_failed(bench: Bench) -> None:
    """host-contract 3: step.retry below maxAttempts, step.failed on the final attempt only."""
    await bench.manager.register_worker("q", "a", Failing(2))

    job = await bench.run("q", "a", attempts=2)

    retry, failed = (data for kind, data in bench.said(job.id) if kind != "step.started")
    stack = retry.pop("stack")
    assert retry == {
        "stepName": "a",
        "queue": "q",
        "attempt": 1,
        "maxAttempts": 2,
        "nextAttempt": 2,
        "error": "ValueError: bad",
    }
    assert "raise self.error" in stack
    assert failed["error"] == "ValueError: bad"
    kinds = [event.type for event in bench.events]
    assert kinds == ["step.started", "step.retry", "step.started", "step.failed"]
    assert [event.attempt for event in bench.events] == [1, 1, 2, 2]
    assert (job.state, job.failed_reason, job.attempts_made) == ("failed", "ValueError: bad", 2)
    assert len(job.stacktrace) == 2


async def test_a_job_without_attempts_is_tried_once(bench: Bench) -> None:
    """host-contract 3: maxAttempts = attempts || 1."""
    failing = Failing(9)
    await bench.manager.register_worker("q", "a", failing)

    await bench.run("q", "a")
    failing.calls = 0
    await bench.run("q", "a", attempts=0)

    assert failing.calls == 1


async def test_a_job_that_succeeds_in_the_end_shows_no_failure(bench: Bench) -> None:
    await bench.manager.register_worker("q", "a", Failing(2))

    job = await bench.run("q", "a", attempts=5)

    assert (job.state, job.returnvalue, job.attempts_made) == ("completed", 3, 3)
    assert job.failed_reason is None
    assert "failedReason" not in job.to_wire()


@pytest.mark.parametrize(
    ("backoff", "waits_ms"),
    [
        (100, [100, 100, 100]),
        ({"type": "fixed", "delay": 100}, [100, 100, 100]),
        ({"type": "exponential", "delay": 100}, [100, 200, 400]),
    ],
)
async def test_backoff_delays_the_next_attempt(
    bench: Bench, backoff: Any, waits_ms: list[int]
) -> None:
    """host-contract 5: fixed delay, or delay * 2^(n-1)."""
    started: list[float] = []
    failing = Failing(3)

    async def handler(job: dict[str, Any], context: JobContext) -> int:
        started.append(bench.now_ms())
        return await failing(job, context)

    await bench.manager.register_worker("q", "a", handler)
    failed: list[float] = []

    def listen(event: Event) -> None:
        if event.type == "step.retry":
            failed.append(bench.now_ms())

    bench.bus.subscribe(listen)
    job_id = await bench.manager.enqueue("q", "a", None, {"attempts": 4, "backoff": backoff})

    for attempt, wait_ms in enumerate(waits_ms, 1):
        await bench.until(lambda expected=attempt: len(failed) == expected)  # type: ignore[misc]  # a default binds the loop's value
        await bench.until_state("q", job_id, "delayed")
        await bench.pass_time(wait_ms)

    assert (await bench.ended("q", job_id)).returnvalue == 4
    waited = [after - before for before, after in zip(failed, started[1:], strict=True)]
    # A millisecond of tolerance: queues keep whole ones.
    assert all(took >= wait - 1 for took, wait in zip(waited, waits_ms, strict=True)), waited


async def test_an_error_that_says_so_is_not_tried_again(bench: Bench) -> None:
    error = HandlerError("1", "ValueError", "bad row", {"retryable": False, "traceback": "tb"})
    await bench.manager.register_worker("q", "a", Failing(9, error))

    job = await bench.run("q", "a", attempts=5)

    assert (job.failed_reason, job.attempts_made) == ("ValueError: bad row", 1)
    assert bench.said(job.id)[-1] == (
        "step.failed",
        {"error": "ValueError: bad row", "stack": "tb"},
    )


async def test_an_attempt_that_takes_too_long_fails_with_its_limit(bench: Bench) -> None:
    """The smaller of the job's and the worker's limit counts, for a handler of this process."""
    cancelled = Counter[str]()

    async def slow(job: dict[str, Any], _context: JobContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled[job["id"]] += 1

    await bench.manager.register_worker("q", "a", slow, {"timeout": 500})
    for opts, limit_ms in (({}, 500), ({"timeout": 200}, 200), ({"timeout": 900}, 500)):
        seen = len(bench.events)
        job_id = await bench.manager.enqueue("q", "a", None, opts)
        await bench.until(lambda seen=seen: len(bench.events) > seen)  # type: ignore[misc]  # a default binds the loop's value
        started = bench.now_ms()
        await bench.pass_time(limit_ms)

        job = await bench.ended("q", job_id)
        assert job.failed_reason == f"Worker timeout after {limit_ms}ms"
        assert bench.now_ms() - started >= limit_ms - 1
        assert cancelled[job_id] == 1


async def test_a_handler_that_swallows_its_timeout_has_timed_out(bench: Bench) -> None:
    running = asyncio.Event()

    async def stubborn(_job: dict[str, Any], _context: JobContext) -> str:
        running.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "late"

    await bench.manager.register_worker("q", "a", stubborn)
    job_id = await bench.manager.enqueue("q", "a", None, {"timeout": 100})
    async with asyncio.timeout(WAIT_S):
        await running.wait()
    await bench.pass_time(100)

    assert (await bench.ended("q", job_id)).failed_reason == "Worker timeout after 100ms"


async def test_a_handler_that_cancels_itself_fails_and_the_queue_goes_on(bench: Bench) -> None:
    async def leaks(_job: dict[str, Any], _context: JobContext) -> None:
        raise asyncio.CancelledError

    await bench.manager.register_worker("q", "leaks", leaks)
    await bench.manager.register_worker("q", "echo", echo)

    job = await bench.run("q", "leaks")

    assert job.state == "failed"
    assert job.failed_reason == "CancelledError: the handler was cancelled, not by its manager"
    assert (await bench.run("q", "echo", 1)).state == "completed"


async def test_a_result_that_json_cannot_hold_fails_the_job_and_names_the_place(
    bench: Bench,
) -> None:
    async def bad(_job: dict[str, Any], _context: JobContext) -> Any:
        return {"model": object()}

    await bench.manager.register_worker("q", "a", bad)

    job = await bench.run("q", "a")

    assert job.failed_reason is not None
    assert job.failed_reason.startswith("result.model is of type object")


async def test_a_plain_function_as_job_handler_says_what_to_do(bench: Bench) -> None:
    await bench.manager.register_worker("q", "a", lambda _job, _context: 3)

    job = await bench.run("q", "a")

    assert job.failed_reason is not None
    assert 'register a plain function with runtime "inprocess"' in job.failed_reason


async def test_a_listener_of_the_bus_that_fails_breaks_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Faults 56."""

    def broken(_event: Event) -> None:
        raise RuntimeError("listener")

    bench.bus.subscribe(broken)
    await bench.manager.register_worker("q", "a", echo)

    assert (await bench.run("q", "a", 1)).state == "completed"
    assert "a listener failed on event step.started" in caplog.text


async def test_a_handler_that_changes_its_job_does_not_change_the_next_attempt(
    bench: Bench,
) -> None:
    async def greedy(job: dict[str, Any], _context: JobContext) -> Any:
        job["data"]["rows"].pop()
        if job["attemptsMade"] == 0:
            raise ValueError("again")
        return job["data"]

    await bench.manager.register_worker("q", "a", greedy)

    job = await bench.run("q", "a", {"rows": [1, 2]}, attempts=2)

    assert job.returnvalue == {"rows": [1]}
    assert job.data == {"rows": [1, 2]}


async def test_a_failure_that_names_a_file_that_is_no_utf_8_is_a_failure(bench: Bench) -> None:
    """Faults 4: the text of an error is whatever the system gave it."""
    name = os.fsdecode(b"/data/f\xe4lle.csv")
    await bench.manager.register_worker("q", "a", Failing(9, ValueError(f"no rows in {name}")))

    job = await bench.run("q", "a", attempts=2)

    assert job.state == "failed"
    assert "f\\udce4lle.csv" in (job.failed_reason or "")


async def test_a_job_that_is_tried_again_at_once_waits_behind_the_others(bench: Bench) -> None:
    """One that fails again and again does not hold up its queue."""
    order: list[Any] = []

    async def note(job: dict[str, Any], _context: JobContext) -> None:
        order.append(job["data"])
        if job["data"] == "bad":
            raise ValueError("bad")

    for data in ("bad", "b", "c"):
        await bench.manager.enqueue("q", "a", data, {"attempts": 3, "jobId": f"j-{data}"})
    await bench.manager.register_worker("q", "a", note)
    await bench.ended("q", "j-bad")

    assert order == ["bad", "b", "c", "bad", "bad"]


async def test_names_that_no_engine_could_keep_are_refused(bench: Bench) -> None:
    with pytest.raises(QueueError, match="a queue name is text of whole characters"):
        await bench.manager.enqueue("q\ud800", "a")
    with pytest.raises(QueueError, match="a job name is text of whole characters"):
        await bench.manager.enqueue("q", "\udce9")


async def test_a_job_that_cannot_begin_for_a_shortage_waits_and_has_used_no_attempt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nuxt_queue.managers.attempt.SHORTAGE_S", 0)
    short, begun = 3, list[int]()

    async def handler(job: dict[str, Any], context: JobContext) -> int:
        nonlocal short
        begun.append(context.scope.attempt)
        if short:
            short -= 1
            raise WorkerStartError(job["id"], ["python"], "no more", is_shortage=True)
        return 1

    await bench.manager.register_worker("q", "a", handler)
    job = await bench.run("q", "a")

    assert (job.state, job.attempts_made, begun) == ("completed", 1, [1, 1, 1, 1])
    assert job.failed_reason is None
    said = {each.getMessage() for each in caplog.records}
    assert said == {"jobs are put back and wait: cannot start python: no more"}
