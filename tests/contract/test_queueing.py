"""Queueing: order, concurrency, delay, pause, identity, queries, removal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuxt_queue.config.bounds import MAX_AGE_S, MAX_COUNT, MAX_MS, MAX_PRIORITY
from nuxt_queue.errors import QueueError, ValuePathError
from nuxt_queue.managers import JobOptions, QueueEvent
from nuxt_queue.services.context import JobContext
from tests.contract.conftest import WAIT_S, Bench


async def echo(job: dict[str, Any], _context: JobContext) -> Any:
    return job["data"]


class Gate:
    """A handler that waits until it is let go, and knows how many waited at once."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.running = self.most = 0
        self.order: list[Any] = []

    async def __call__(self, job: dict[str, Any], _context: JobContext) -> None:
        self.order.append(job["data"])
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            async with asyncio.timeout(WAIT_S):
                await self.open.wait()
        finally:
            self.running -= 1


async def test_jobs_run_in_the_order_of_enqueuing(bench: Bench) -> None:
    gate = Gate()
    gate.open.set()
    for n in range(5):
        await bench.manager.enqueue("q", "a", n)
    await bench.manager.register_worker("q", "a", gate)

    await bench.until(lambda: len(gate.order) == 5)

    assert gate.order == [0, 1, 2, 3, 4]


async def test_no_priority_runs_first_then_one_before_larger(bench: Bench) -> None:
    """BullMQ's order: 1 is the highest priority, and a job without one precedes them all."""
    gate = Gate()
    gate.open.set()
    for data, priority in (("p5", 5), ("p1", 1), ("none", None), ("p5b", 5), ("zero", 0)):
        await bench.manager.enqueue("q", "a", data, {"priority": priority})
    await bench.manager.enqueue("q", "a", "lifo", {"lifo": True})
    await bench.manager.register_worker("q", "a", gate)

    await bench.until(lambda: len(gate.order) == 6)

    assert gate.order == ["lifo", "none", "zero", "p1", "p5", "p5b"]


async def test_as_many_jobs_run_at_once_as_the_largest_registration_says(bench: Bench) -> None:
    """host-contract 5: concurrency is the maximum over a queue's handlers."""
    gate = Gate()
    await bench.manager.register_worker("q", "a", gate, {"concurrency": 3})
    await bench.manager.register_worker("q", "b", gate, {"concurrency": 2})
    ids = [await bench.manager.enqueue("q", "ab"[n % 2], n) for n in range(7)]

    await bench.until(lambda: gate.running == 3)
    assert (await bench.manager.get_job_counts("q"))["active"] == 3
    gate.open.set()
    for job_id in ids:
        await bench.ended("q", job_id)

    assert gate.most == 3


async def test_queues_do_not_wait_for_each_other(bench: Bench) -> None:
    gate = Gate()
    await bench.manager.register_worker("slow", "a", gate)
    await bench.manager.register_worker("fast", "a", echo)
    await bench.manager.enqueue("slow", "a")
    await bench.until(lambda: gate.running == 1)

    assert (await bench.run("fast", "a", 1)).returnvalue == 1

    gate.open.set()


async def test_a_delayed_job_waits_for_its_time(bench: Bench) -> None:
    started: list[float] = []

    async def note(_job: dict[str, Any], _context: JobContext) -> None:
        started.append(bench.now_ms())

    await bench.manager.register_worker("q", "a", note)
    enqueued = bench.now_ms()
    soon = await bench.manager.enqueue("q", "a", 1, {"delay": 300})
    late = await bench.manager.enqueue("q", "a", 2, {"delay": 600_000})

    waiting = await bench.manager.get_job("q", late)
    assert waiting is not None
    assert waiting.state == "delayed"
    assert (await bench.manager.get_job_counts("q"))["delayed"] == 2
    await bench.pass_time(300)
    assert (await bench.ended("q", soon)).state == "completed"
    assert started[0] - enqueued >= 299  # queues keep whole milliseconds
    assert (await bench.manager.get_job_counts("q"))["delayed"] == 1


async def test_a_second_job_of_the_same_id_is_not_made(bench: Bench) -> None:
    """Faults 81, host-contract 5: the id that is there is returned; ids belong to a queue."""
    await bench.manager.register_worker("q", "a", echo)

    first = await bench.manager.enqueue("q", "a", 1, {"jobId": "mine"})
    second = await bench.manager.enqueue("q", "a", 2, {"jobId": "mine"})
    await bench.ended("q", "mine")
    third = await bench.manager.enqueue("q", "a", 3, {"jobId": "mine"})

    assert (first, second, third) == ("mine", "mine", "mine")
    assert [job.returnvalue for job in await bench.manager.get_jobs("q")] == [1]
    assert await bench.manager.get_job("p", "mine") is None


async def test_jobs_without_an_id_get_different_ones(bench: Bench) -> None:
    ids = {await bench.manager.enqueue("q", "a") for _ in range(100)}

    assert len(ids) == 100


async def test_a_paused_queue_runs_nothing_until_it_is_resumed(bench: Bench) -> None:
    """host-contract 5, the host's trap: a job enqueued while paused must run after resume."""
    gate = Gate()
    await bench.manager.register_worker("q", "a", gate)
    await bench.manager.enqueue("q", "a", "before")
    await bench.until(lambda: gate.running == 1)

    await bench.manager.pause("q")
    during = await bench.manager.enqueue("q", "a", "during")
    gate.open.set()
    await bench.until(lambda: gate.running == 0)
    await bench.until(lambda: bench.events[-1].type == "step.completed")
    paused = await bench.manager.get_job("q", during)
    counts = await bench.manager.get_job_counts("q")
    assert await bench.manager.is_paused("q")
    await bench.manager.resume("q")

    assert paused is not None
    assert paused.state == "paused"
    assert (counts["paused"], counts["waiting"]) == (1, 0)
    assert (await bench.ended("q", during)).state == "completed"
    assert not await bench.manager.is_paused("q")
    assert gate.order == ["before", "during"]


async def test_a_queue_can_be_paused_before_it_has_a_worker(bench: Bench) -> None:
    await bench.manager.pause("q")
    job_id = await bench.manager.enqueue("q", "a", 1)
    await bench.manager.register_worker("q", "a", echo)
    await bench.manager.resume("q")

    assert (await bench.ended("q", job_id)).state == "completed"


async def test_a_queue_without_autorun_rests_until_it_is_started(bench: Bench) -> None:
    await bench.manager.register_worker("q", "a", echo, {"autorun": False})
    job_id = await bench.manager.enqueue("q", "a", 1)
    for _ in range(5):
        await asyncio.sleep(0)
    assert (await bench.manager.get_job_counts("q"))["waiting"] == 1

    await bench.manager.start_queue("q")

    assert (await bench.ended("q", job_id)).state == "completed"


async def test_counts_have_the_six_states_also_for_an_unknown_queue(bench: Bench) -> None:
    """host-contract 5: JobCounts."""
    zero = dict.fromkeys(("waiting", "active", "completed", "failed", "delayed", "paused"), 0)
    assert await bench.manager.get_job_counts("nowhere") == zero

    await bench.manager.register_worker("q", "a", echo)
    await bench.run("q", "a")
    await bench.run("q", "unknown")
    await bench.manager.enqueue("q", "a", 1, {"delay": 10_000})

    assert await bench.manager.get_job_counts("q") == zero | {
        "completed": 1,
        "failed": 1,
        "delayed": 1,
    }


async def test_jobs_are_listed_by_state_and_by_page(bench: Bench) -> None:
    await bench.manager.register_worker("q", "a", echo)
    for n in range(5):
        await bench.run("q", "a", n)
    await bench.manager.enqueue("q", "a", "later", {"delay": 10_000})

    done = await bench.manager.get_jobs("q", ["completed"], limit=2, offset=1)
    delayed = await bench.manager.get_jobs("q", ["delayed", "failed"])

    assert [job.data for job in done] == [1, 2]
    assert [job.data for job in delayed] == ["later"]
    assert len(await bench.manager.get_jobs("q")) == 6
    assert await bench.manager.get_jobs("nowhere") == []
    with pytest.raises(QueueError, match='unknown job state "done"; known: waiting'):
        await bench.manager.get_jobs("q", ["done"])  # type: ignore[list-item]  # a wrong state is the point
    for limit, offset in ((-1, 0), (1, -1), (2**70, 0)):
        with pytest.raises(QueueError, match="expected a whole number from 0 to"):
            await bench.manager.get_jobs("q", None, limit, offset)


async def test_the_largest_numbers_that_may_be_asked_for_are_held(bench: Bench) -> None:
    keep = {"age": MAX_AGE_S, "count": MAX_COUNT}
    largest = {
        "attempts": MAX_COUNT,
        "backoff": {"type": "exponential", "delay": MAX_MS},
        "priority": MAX_PRIORITY,
        "timeout": MAX_MS,
        "removeOnComplete": keep,
        "removeOnFail": keep,
    }
    await bench.manager.register_worker(
        "q",
        "a",
        echo,
        {"concurrency": 2, "limiter": {"max": MAX_COUNT, "duration": MAX_MS}},
    )

    done = await bench.run("q", "a", 1, **largest)
    later = await bench.manager.enqueue("q", "a", 2, {**largest, "delay": MAX_MS})
    coming = await bench.manager.enqueue(
        "q", "a", 3, {"repeat": {"every": MAX_MS, "limit": MAX_COUNT}}
    )

    assert done.state == "completed"
    assert done.opts.to_wire() == largest
    for job_id in (later, coming):
        assert (await bench.until_state("q", job_id, "delayed")).id == job_id
    assert len(await bench.manager.get_jobs("q", None, MAX_COUNT, 0)) == 3
    assert await bench.manager.get_jobs("q", None, MAX_COUNT, MAX_COUNT) == []


async def test_a_job_that_is_to_be_kept_for_no_time_is_not_kept(bench: Bench) -> None:
    await bench.manager.register_worker("q", "a", echo)
    last = await bench.run("q", "a", "stays")
    job_id = await bench.manager.enqueue("q", "a", 1, {"removeOnComplete": {"age": 0}})

    async def is_gone() -> bool:
        return await bench.manager.get_job("q", job_id) is None

    await bench.until(is_gone)
    assert last.state == "completed"


async def test_a_job_has_the_hosts_form(bench: Bench) -> None:
    """host-contract 5: Job."""
    await bench.manager.register_worker("q", "a", echo)

    job = await bench.run("q", "a", None, attempts=2, delay=0)

    wire = job.to_wire()
    assert wire["timestamp"] <= wire["processedOn"] <= wire["finishedOn"]
    for moment in ("timestamp", "processedOn", "finishedOn"):
        assert isinstance(wire.pop(moment), int)
    assert wire == {
        "id": job.id,
        "name": "a",
        "data": None,
        "opts": {"attempts": 2, "delay": 0},
        "state": "completed",
        "attemptsMade": 1,
        "returnvalue": None,
    }


async def test_what_a_caller_holds_is_not_what_the_queue_keeps(bench: Bench) -> None:
    data = {"rows": [1]}
    job_id = await bench.manager.enqueue("q", "a", data)

    data["rows"].append(2)
    first = await bench.manager.get_job("q", job_id)
    assert first is not None
    first.data["rows"].append(3)

    second = await bench.manager.get_job("q", job_id)
    assert second is not None
    assert second.data == {"rows": [1]}


async def test_data_that_json_cannot_hold_is_refused_with_its_place(bench: Bench) -> None:
    with pytest.raises(ValuePathError, match=r"data\.rows\[1\] is NaN"):
        await bench.manager.enqueue("q", "a", {"rows": [1, float("nan")]})

    assert (await bench.manager.get_job_counts("q"))["waiting"] == 0


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (True, []),
        (2, [3, 4]),
        (0, []),
        (False, [0, 1, 2, 3, 4]),
        ({"count": 2}, [3, 4]),
        ({"age": 3600}, [0, 1, 2, 3, 4]),
        ({"age": 3600, "count": 1}, [4]),
    ],
)
async def test_completed_jobs_are_removed_as_they_ask(
    bench: Bench, keep: Any, left: list[int]
) -> None:
    """host-contract 5: removeOnComplete is a boolean, how many to keep, or {age, count}."""
    await bench.manager.register_worker("q", "a", echo)
    done = asyncio.Queue[QueueEvent]()
    bench.manager.on("q", "completed", done.put_nowait)

    for n in range(5):
        await bench.manager.enqueue("q", "a", n, {"removeOnComplete": keep})
    async with asyncio.timeout(WAIT_S):
        results = [(await done.get()).returnvalue for _ in range(5)]

    assert results == [0, 1, 2, 3, 4]
    assert [job.data for job in await bench.manager.get_jobs("q")] == left


async def test_a_job_that_is_removed_takes_no_other_along(bench: Bench) -> None:
    """BullMQ's meaning: `true` is about the job itself, a number about all that ended."""
    await bench.manager.register_worker("q", "a", echo)
    done = asyncio.Queue[QueueEvent]()
    bench.manager.on("q", "completed", done.put_nowait)

    await bench.manager.enqueue("q", "a", "stays")
    await bench.manager.enqueue("q", "a", "goes", {"removeOnComplete": True})
    async with asyncio.timeout(WAIT_S):
        for _ in range(2):
            await done.get()

    assert [job.data for job in await bench.manager.get_jobs("q")] == ["stays"]


async def test_failed_jobs_are_removed_as_they_ask(bench: Bench) -> None:
    await bench.manager.register_worker("q", "a", echo)
    failed = asyncio.Queue[QueueEvent]()
    bench.manager.on("q", "failed", failed.put_nowait)

    await bench.run("q", "unknown")
    await bench.manager.enqueue("q", "unknown", "gone", {"removeOnFail": 1})
    async with asyncio.timeout(WAIT_S):
        await failed.get()
        await failed.get()

    assert [job.data for job in await bench.manager.get_jobs("q", ["failed"])] == ["gone"]


async def test_listeners_hear_what_happens_to_the_jobs_of_their_queue(bench: Bench) -> None:
    """host-contract 5: events of a queue."""
    heard: list[tuple[str, str | None]] = []
    names = ("waiting", "active", "completed", "failed", "delayed", "paused", "resumed")
    stops = [
        bench.manager.on("q", name, lambda event: heard.append((event.type, event.job_id)))
        for name in names
    ]
    await bench.manager.register_worker("q", "a", echo)
    await bench.manager.register_worker("p", "a", echo)

    job = await bench.run("q", "a")
    await bench.run("p", "a")
    later = await bench.manager.enqueue("q", "a", None, {"delay": 10_000})
    await bench.manager.pause("q")
    await bench.manager.resume("q")
    await bench.until(lambda: len(heard) == 6)
    for stop in stops:
        stop()
        stop()
    await bench.run("q", "a")

    assert heard == [
        ("waiting", job.id),
        ("active", job.id),
        ("completed", job.id),
        ("delayed", later),
        ("paused", None),
        ("resumed", None),
    ]
    with pytest.raises(QueueError, match='unknown queue event "done"; known: waiting'):
        bench.manager.on("q", "done", heard.append)  # type: ignore[arg-type]  # never called


async def test_a_listener_of_the_queue_that_fails_breaks_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Faults 56: also one that is a coroutine."""

    def broken(_event: QueueEvent) -> None:
        raise RuntimeError("plain listener")

    async def broken_later(_event: QueueEvent) -> None:
        raise RuntimeError("async listener")

    bench.manager.on("q", "active", broken)
    bench.manager.on("q", "active", broken_later)
    await bench.manager.register_worker("q", "a", echo)

    assert (await bench.run("q", "a", 1)).state == "completed"
    await bench.until(lambda: "async listener" in caplog.text)
    assert "plain listener" in caplog.text


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        ({"attemps": 3}, 'unknown job option "attemps"; did you mean "attempts"?'),
        ({"attempts": "3"}, "job option \"attempts\" is '3'"),
        ({"attempts": True}, 'job option "attempts" is True'),
        ({"delay": -1}, 'job option "delay" is -1'),
        ({"backoff": -1}, 'job option "backoff.delay" is -1'),
        ({"backoff": {"type": "linear"}}, "job option \"backoff.type\" is 'linear'"),
        ({"backoff": {"jitter": 1}}, 'job option "backoff.jitter" is 1'),
        ({"removeOnComplete": "yes"}, "job option \"removeOnComplete\" is 'yes'"),
        ({"removeOnFail": {"age": -1}}, 'job option "removeOnFail.age" is -1'),
        ({"repeat": {}}, "needs either a cron pattern or every"),
        ({"repeat": {"every": 5, "cron": "* * * * *"}}, "needs either a cron pattern or every"),
        ({"repeat": {"cron": "five o'clock"}}, '"five o\'clock" is no cron pattern'),
        ({"repeat": {"cron": "0 0 30 2 *"}}, 'repeat "0 0 30 2 *" never comes round'),
        ({"repeat": {"cron": "0 0 * * *", "tz": "Mars/Base"}}, 'no time zone "Mars/Base"'),
        ({"repeat": {"every": 0}}, 'job option "repeat.every" is 0'),
        ({"repeat": {"every": 5}, "jobId": "x"}, "a repeated job gets its ids from its times"),
        ({"jobId": "a:b"}, 'a job id must not contain ":"'),
    ],
)
async def test_an_option_that_is_wrong_or_unknown_is_refused_by_name(
    bench: Bench, opts: dict[str, Any], message: str
) -> None:
    with pytest.raises(QueueError) as caught:
        await bench.manager.enqueue("q", "a", None, opts)

    assert message in str(caught.value)
    assert (await bench.manager.get_job_counts("q"))["waiting"] == 0


async def test_options_have_both_spellings_and_none_means_not_given(bench: Bench) -> None:
    spelled = JobOptions(delay_ms=5, job_id="x", remove_on_fail=True)
    camel = {"delay": 5, "jobId": "y", "removeOnFail": True, "attempts": None}

    await bench.manager.enqueue("q", "a", None, spelled)
    await bench.manager.enqueue("q", "a", None, camel)

    x, y = await bench.manager.get_jobs("q")
    assert x.opts.to_wire() == {"delay": 5, "jobId": "x", "removeOnFail": True}
    assert y.opts.to_wire() == {"delay": 5, "jobId": "y", "removeOnFail": True}


async def test_a_registration_gives_its_jobs_their_default_options(bench: Bench) -> None:
    defaults = {"attempts": 4, "removeOnFail": True}
    await bench.manager.register_worker("q", "a", echo, {"defaultJobOptions": defaults})

    await bench.run("q", "a", 1)
    await bench.run("q", "a", 2, attempts=2)

    assert [job.opts.to_wire() for job in await bench.manager.get_jobs("q")] == [
        {"attempts": 4, "removeOnFail": True},
        {"attempts": 2, "removeOnFail": True},
    ]
