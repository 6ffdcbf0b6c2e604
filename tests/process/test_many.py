"""Many jobs: each is settled once and nothing of them is left (figures of the faults)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from nuxt_queue.errors import HandlerError, WorkerCrashedError, WorkerTimeoutError
from nuxt_queue.managers import MemoryWorkerManager
from nuxt_queue.services.scope import Scope
from tests.process.conftest import QUICK, Host, children, descriptors, is_alive, settled
from tests.soak.crash_mix import check, run_mix

MANY_S = 50.0  # for the whole of a test; pytest's own limit is a minute


async def at_once(jobs: list[Callable[[], Awaitable[Any]]], limit: int = 6) -> list[Any]:
    """Run jobs, a few at a time, and return their outcomes."""
    free = asyncio.Semaphore(limit)

    async def one(job: Callable[[], Awaitable[Any]]) -> Any:
        async with free:
            return await settled(job())

    async with asyncio.timeout(MANY_S):
        return await asyncio.gather(*map(one, jobs))


def scope(n: int) -> Scope:
    """Return the scope of one of many jobs."""
    return Scope(f"job{n}", "q", f"run{n}", "f", "s")


async def test_two_hundred_random_kills_are_two_hundred_settled_jobs(host: Host) -> None:
    """Faults 7: killed from outside while it starts, works and writes its result; 0 hang."""
    chance = random.Random(7)
    runner = host.runner("takes_its_time.py")

    def kill_later(data: dict[str, Any]) -> None:
        def kill() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(data["pid"], signal.SIGKILL)

        asyncio.get_running_loop().call_later(chance.random() * 0.12, kill)

    host.on("process.started", kill_later)

    def job(n: int) -> Callable[[], Awaitable[Any]]:
        return lambda: runner.execute({"id": "1", "data": None}, host.service.for_job(scope(n)))

    outcomes = await at_once([job(n) for n in range(200)])

    assert len(outcomes) == 200
    killed = [o for o in outcomes if isinstance(o, WorkerCrashedError)]
    assert {o.reason for o in killed} == {"was killed by SIGKILL (9)"}
    assert {o.phase for o in killed} == {"import", "run"}
    rest = [o for o in outcomes if not isinstance(o, WorkerCrashedError)]
    assert rest == [["result"] * 20_000] * len(rest)


async def test_a_hundred_exits_without_a_result_are_a_hundred_failures(host: Host) -> None:
    """Faults 2: 100 of 100, none left as if it had started."""
    worker = host.folder / "worker.py"
    worker.write_text("import os\ndef handler(job, ctx): os._exit(0)\n")
    outcomes = await at_once([lambda: host.run(worker)] * 100)
    assert Counter(map(str, outcomes)) == {
        "worker process exited with code 0 without a result": 100
    }


async def test_twenty_of_twenty_leave_no_process_behind(host: Host) -> None:
    """Faults 12: after success, failure, crash and timeout, with processes that left the group."""
    endings = {"return": str, "fail": HandlerError, "die": WorkerCrashedError}
    ways = [*endings, "hang"] * 20

    def job(n: int, ending: str) -> Callable[[], Awaitable[Any]]:
        timeout_ms = 2_500 if ending == "hang" else 15_000
        return lambda: host.run(
            "lets_processes_escape.py",
            ending,
            scope=scope(n),
            timeout_ms=timeout_ms,
            timeouts=QUICK,
        )

    outcomes = await at_once([job(n, ending) for n, ending in enumerate(ways)], limit=10)
    assert [type(o) for o in outcomes] == [endings.get(e, WorkerTimeoutError) for e in ways]
    for n in range(len(ways)):
        escaped = await host.state.all(f"run{n}")
        assert len(escaped) == 3
        assert not any(map(is_alive, escaped.values()))


async def test_a_thousand_jobs_leave_nothing_behind(host: Host) -> None:
    """Faults 20: no zombie, no process, no descriptor."""
    runner = host.runner("echo.py")

    def job(n: int) -> Callable[[], Awaitable[Any]]:
        return lambda: runner.execute({"id": "1", "data": n}, host.service.for_job(scope(n)))

    assert await at_once([job(0)]) == [0]
    before = descriptors()
    assert await at_once([job(n) for n in range(1_000)]) == list(range(1_000))
    async with asyncio.timeout(MANY_S):
        while descriptors() != before or children():  # noqa: ASYNC110 transports close turns later
            await asyncio.sleep(0.01)


async def test_jobs_that_crash_in_five_ways_are_each_accounted_for(host: Host) -> None:
    """S1 of the faults, small; `make soak` runs 10,000."""
    async with asyncio.timeout(MANY_S), MemoryWorkerManager(host.service) as manager:
        check(await run_mix(manager, 150), 150)
