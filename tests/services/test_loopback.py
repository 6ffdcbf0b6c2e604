"""A handler in this process gets what it would get in a process of its own: the same bytes."""

from __future__ import annotations

import asyncio
import contextvars
import math
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nuxt_queue.errors import (
    HandlerError,
    InternalError,
    InvalidParamsError,
    NotSupportedByHost,
    PeerClosedError,
    ValuePathError,
)
from nuxt_queue.sdk.context import RunContext
from nuxt_queue.sdk.entry import CallFailedError
from nuxt_queue.sdk.job import Job
from nuxt_queue.services.context import ContextService, JobContext
from nuxt_queue.services.events import Event, EventBus
from nuxt_queue.services.loopback import connect, now, run_inprocess
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

WAIT_S = 10.0
SCOPE = Scope("job1", "q", "run1", "f", "train", "run1__train__attempt-2", attempt=2)

Handler = Callable[[Job, RunContext], Any]


class Bench:
    """A service and what its jobs published."""

    def __init__(self, state: MemoryStateStore | None = None) -> None:
        self.service = ContextService(state or MemoryStateStore(), EventBus())

    async def run(self, handler: Handler, data: Any = None, scope: Scope = SCOPE) -> Any:
        """Run a handler as a job."""
        job = {"id": scope.job_id, "name": "train", "data": data, "attemptsMade": 1, "opts": {}}
        async with asyncio.timeout(WAIT_S):
            return await run_inprocess(handler, job, self.service.for_job(scope))

    async def said(self, run_id: str = "run1") -> list[tuple[str, Any]]:
        """Return what was logged and emitted."""
        return [
            (event.type, event.data.get("message", event.data.get("name")))
            for event in await self.service.bus.read(run_id)
        ]


def plain(job: Job, ctx: RunContext) -> Any:
    ctx.logger.info("started", {"rows": np.int64(5)})
    ctx.state.set("model", {"path": Path("m.bin"), "at": (1, 2)})
    ctx.emit("trained", {"loss": np.float32(0.5)})
    return {"state": ctx.state.get("model"), "data": job["data"], "ids": [ctx.flow_id, ctx.attempt]}


async def coroutine(job: Job, ctx: RunContext) -> Any:
    ctx.logger.info("started", {"rows": np.int64(5)})
    await ctx.state.set("model", {"path": Path("m.bin"), "at": (1, 2)})
    await ctx.emit("trained", {"loss": np.float32(0.5)})
    state = await ctx.state.get("model")
    return {"state": state, "data": job["data"], "ids": [ctx.flow_id, ctx.attempt]}


class CallableObject:
    async def __call__(self, job: Job, ctx: RunContext) -> Any:
        return await coroutine(job, ctx)


def returns_an_awaitable(job: Job, ctx: RunContext) -> Any:
    return AwaitMe(job, ctx)


class AwaitMe:
    """Not a coroutine, and still awaited."""

    def __init__(self, job: Job, ctx: RunContext) -> None:
        self._coroutine = coroutine(job, ctx)

    def __await__(self) -> Any:
        return self._coroutine.__await__()


@pytest.mark.parametrize(
    "handler",
    [plain, coroutine, CallableObject(), returns_an_awaitable],
    ids=["plain", "coroutine", "object", "awaitable"],
)
async def test_a_handler_of_any_kind_sees_the_same(handler: Handler) -> None:
    """Faults 113: values come back as the wire has them, not as they were."""
    bench = Bench()

    result = await bench.run(handler, {"x": (1, 2), "p": Path("a")})

    assert result == {
        "state": {"path": "m.bin", "at": [1, 2]},
        "data": {"x": [1, 2], "p": "a"},
        "ids": ["run1", 2],
    }
    assert await bench.said() == [("log", "started"), ("emit", "trained")]


async def test_a_result_is_converted_and_copied() -> None:
    kept: list[int] = [1]
    result = await Bench().run(lambda _job, _ctx: {"a": kept, "t": (np.int8(1),), "n": None})
    assert result == {"a": [1], "t": [1], "n": None}
    assert result["a"] is not kept


async def test_the_job_is_a_copy_that_the_handler_may_change() -> None:
    data = {"rows": [1]}
    await Bench().run(lambda job, _ctx: job["data"]["rows"].append(2), data)
    assert data == {"rows": [1]}


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({"loss": [0.5, math.nan]}, r"^result\.loss\[1\] is NaN"),
        (object(), "^result is of type object"),
        ({1: "a", "1": "b"}, "two keys"),
    ],
    ids=["NaN", "object", "keys"],
)
async def test_what_json_cannot_hold_fails_here_as_it_would_there(result: Any, says: str) -> None:
    with pytest.raises(ValuePathError, match=says):
        await Bench().run(lambda _job, _ctx: result)


async def test_a_job_that_json_cannot_hold_never_starts() -> None:
    with pytest.raises(ValuePathError, match=r"^job\.data\.x is NaN"):
        await Bench().run(lambda _job, _ctx: pytest.fail("it started"), {"x": math.nan})


async def test_a_log_line_just_before_the_end_is_kept() -> None:
    """Faults 27: all lines, in order, before the result."""
    bench = Bench()

    async def handler(_job: Job, ctx: RunContext) -> None:
        for n in range(1_000):
            ctx.logger.info(str(n))

    await bench.run(handler)
    assert await bench.said() == [("log", str(n)) for n in range(1_000)]


async def test_a_log_line_just_before_a_failure_is_kept() -> None:
    bench = Bench()

    async def handler(_job: Job, ctx: RunContext) -> None:
        ctx.logger.error("last words")
        raise KeyError("x")

    with pytest.raises(KeyError):
        await bench.run(handler)
    assert await bench.said() == [("log", "last words")]


async def test_program_order_is_kept() -> None:
    """Faults 50: state, log, emit, result."""
    bench = Bench()

    async def handler(_job: Job, ctx: RunContext) -> None:
        for n in range(100):
            ctx.state.set("n", n)
            ctx.logger.info(f"log {n}")
            ctx.emit(f"event {n}", {})

    await bench.run(handler)
    expected = [(kind, f"{word} {n}") for n in range(100) for kind, word in KINDS]
    assert await bench.said() == expected
    assert await bench.service.state.get("run1", "n") == 99


KINDS = (("log", "log"), ("emit", "event"))


class FailingStore(MemoryStateStore):
    """A store whose disk is full."""

    async def set(
        self, scope_key: str, key: str, value: Any, *, ttl_s: float | None = None
    ) -> None:
        del scope_key, value, ttl_s
        raise OSError(28, "No space left on device", key)


async def test_a_store_that_fails_reaches_the_handler_as_a_typed_error() -> None:
    """Faults 47."""

    async def handler(_job: Job, ctx: RunContext) -> str:
        try:
            await ctx.state.set("k", 1)
        except InternalError as error:
            return str(error)
        return "no error"

    said = await Bench(FailingStore()).run(handler)
    assert said == "ctx.state.set: OSError: [Errno 28] No space left on device: 'k'"


async def test_a_forgotten_call_that_fails_fails_the_job() -> None:
    """D2: set and emit."""

    async def handler(_job: Job, ctx: RunContext) -> None:
        ctx.state.set("k", 1)

    with pytest.raises(CallFailedError, match=r"ctx\.state\.set\('k'\) was not awaited and failed"):
        await Bench(FailingStore()).run(handler)


async def test_an_error_of_the_host_is_raised_in_a_plain_function() -> None:
    def handler(_job: Job, ctx: RunContext) -> None:
        with pytest.raises(InvalidParamsError, match="ttl"):
            ctx.state.set("k", 1, ttl=-1)
        with pytest.raises(NotSupportedByHost, match=r"ctx\.flow\.startFlow"):
            ctx.flow.start_flow("f")

    await Bench().run(handler)


async def test_a_plain_function_does_not_hold_up_other_jobs() -> None:
    bench = Bench()
    inside, go = threading.Event(), threading.Event()

    def slow(_job: Job, _ctx: RunContext) -> str:
        inside.set()
        assert go.wait(WAIT_S)
        return "slow"

    first = asyncio.create_task(bench.run(slow))
    assert await asyncio.to_thread(inside.wait, WAIT_S)
    assert await bench.run(lambda _job, _ctx: "quick") == "quick"
    go.set()
    assert await first == "slow"


async def test_two_jobs_at_once_share_nothing() -> None:
    bench = Bench()
    met = asyncio.Barrier(2)

    async def handler(job: Job, ctx: RunContext) -> Any:
        await ctx.state.set("mine", job["data"])
        await met.wait()
        ctx.logger.info(f"job {job['data']}")
        await met.wait()
        return [await ctx.state.get("mine"), ctx.job_id]

    one, two = (Scope(f"job{n}", "q", f"run{n}", "f", "train") for n in (1, 2))
    results = await asyncio.gather(bench.run(handler, 1, one), bench.run(handler, 2, two))
    assert list(results) == [[1, "job1"], [2, "job2"]]
    assert await bench.said("run1") == [("log", "job 1")]
    assert await bench.said("run2") == [("log", "job 2")]


async def test_a_job_that_ends_does_not_end_the_jobs_that_began_after_it() -> None:
    """The loop is shared: whose a task is cannot be told from when it began."""
    bench = Bench()
    go = asyncio.Event()

    async def first(_job: Job, _ctx: RunContext) -> str:
        await go.wait()
        return "first"

    async def second(_job: Job, ctx: RunContext) -> Any:
        go.set()
        for _ in range(20):
            await ctx.state.get("k")
        return "second"

    jobs = [asyncio.create_task(bench.run(first))]
    await asyncio.sleep(0)
    jobs.append(asyncio.create_task(bench.run(second)))
    assert await asyncio.gather(*jobs) == ["first", "second"]


async def test_context_variables_reach_the_handler() -> None:
    """Faults 84."""
    request = contextvars.ContextVar("request", default="none")
    request.set("r1")
    assert await Bench().run(lambda _job, _ctx: request.get()) == "r1"


async def test_threads_of_a_handler_may_call_the_context() -> None:
    """Faults 84: 16 threads."""
    bench = Bench()

    def handler(_job: Job, ctx: RunContext) -> list[Any]:
        def work(thread: int) -> None:
            for n in range(20):
                ctx.logger.info(f"{thread} {n}")
                ctx.state.incr("n")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        return [ctx.state.get("n")]

    assert await bench.run(handler) == [320]
    lines = [text for _, text in await bench.said()]
    for thread in range(16):
        own = [line for line in lines if line.startswith(f"{thread} ")]
        assert own == [f"{thread} {n}" for n in range(20)]


async def test_a_call_after_the_end_is_refused() -> None:
    """Faults 47: whoever kept the context cannot write into a run that is over."""
    bench = Bench()
    kept: list[RunContext] = []
    await bench.run(lambda _job, ctx: kept.append(ctx))

    late: list[Callable[[RunContext], Any]] = [
        lambda ctx: ctx.state.set("k", 1),
        lambda ctx: ctx.logger.info("late"),
        lambda ctx: ctx.emit("late", {}),
    ]
    for call in late:
        with pytest.raises(PeerClosedError, match="the job has ended"):
            call(kept[0])
    assert await bench.said() == []


@pytest.mark.parametrize(
    "kind",
    [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, asyncio.CancelledError],
)
async def test_a_plain_function_that_raises_anything_ends_its_job_only(
    kind: type[BaseException],
) -> None:
    """Faults 5: failed, never silent, and the other jobs of the process go on."""

    def handler(_job: Job, _ctx: RunContext) -> None:
        raise kind("why")

    with pytest.raises(HandlerError) as caught:
        await Bench().run(handler)
    assert str(caught.value) == f"{kind.__name__}: why"


async def test_a_coroutine_that_calls_exit_ends_its_job_only() -> None:
    async def handler(_job: Job, _ctx: RunContext) -> None:
        sys.exit(3)

    with pytest.raises(HandlerError, match="SystemExit: 3"):
        await asyncio.create_task(Bench().run(handler))


async def test_a_call_that_hangs_does_not_outlive_its_cancelled_job() -> None:
    """Faults 48."""
    asked = asyncio.Event()

    class Hanging(MemoryStateStore):
        async def read(self, scope_key: str, key: str) -> Any:
            del scope_key, key
            asked.set()
            await asyncio.Event().wait()

    async def handler(_job: Job, ctx: RunContext) -> None:
        ctx.state.get("first")
        ctx.logger.info("never reached")
        await ctx.state.get("second")

    job = asyncio.create_task(Bench(Hanging()).run(handler))
    await asyncio.wait_for(asked.wait(), WAIT_S)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(job, WAIT_S)


async def test_a_listener_that_waits_gets_every_line() -> None:
    bench = Bench()
    seen: list[str] = []

    async def listener(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(event.data["message"])

    bench.service.bus.subscribe(listener)

    async def handler(_job: Job, ctx: RunContext) -> None:
        for n in range(50):
            ctx.logger.info(str(n))

    await bench.run(handler)
    assert seen == [str(n) for n in range(50)]


class Never:
    """Waits for something that does not come."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def context() -> JobContext:
    return Bench().service.for_job(SCOPE)


def test_calls_are_answered_at_once_where_no_loop_runs() -> None:
    """What a notebook uses: the value comes back from the call itself."""
    job_context = context()
    ctx = RunContext(connect(job_context, now), {})

    assert ctx.state.set("k", {"a": (1,)}) is None
    assert ctx.state.get("k") == {"a": [1]}
    ctx.logger.info("text")
    assert [e.type for e in now(job_context.service.bus.read("run1"))] == ["log"]


def test_a_service_that_waits_cannot_be_used_where_no_loop_runs() -> None:
    async def waits() -> None:
        await Never()

    async def returns() -> int:
        return 5

    assert now(returns()) == 5
    with pytest.raises(InternalError, match="answered outside an event loop"):
        now(waits())
