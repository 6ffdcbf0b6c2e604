"""S1 of the faults: 10,000 jobs, each tenth of which crashes, and what is left of them."""

from __future__ import annotations

import time

import pytest

from nuxt_queue.managers import MemoryWorkerManager
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.event_stream import MemoryEventStream
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.state import MemoryStateStore
from tests.soak.crash_mix import ATTEMPTS, WAYS, check, footprint, run_mix

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3_000)]


async def test_ten_thousand_jobs_of_which_a_tenth_crashes_are_all_accounted_for() -> None:
    """S1 and faults 20: and nothing of them is left."""
    manager = MemoryWorkerManager(
        ContextService(MemoryStateStore(), EventBus(MemoryEventStream(max_runs=100)))
    )
    async with manager:
        await run_mix(manager, 1_000)
        before = footprint()
    manager = MemoryWorkerManager(
        ContextService(MemoryStateStore(), EventBus(MemoryEventStream(max_runs=100)))
    )
    started = time.perf_counter()
    async with manager:
        account = await run_mix(manager, 10_000)
        after = footprint()
    seconds = time.perf_counter() - started
    check(account, 10_000)
    by_way = {
        way: sum(r.startswith(said) for r in account.reasons.values() if r)
        for way, said in WAYS.items()
    }
    print(
        f"\n10,000 jobs in {seconds:.0f} s: {len(account.results)} completed at the first attempt,"
    )
    print(f"  {len(account.reasons)} failed after {ATTEMPTS}: {by_way}")
    print(
        f"  descriptors {before[0]} -> {after[0]}, children {before[1]} -> {after[1]},"
        f" resident {before[2]} -> {after[2]} MiB"
    )
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 20
