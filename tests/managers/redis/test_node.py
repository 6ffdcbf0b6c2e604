"""One queue, Node's BullMQ on the one side and ours on the other (faults 67)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from nuxt_queue.managers.bullmq.records import record_of
from nuxt_queue.services.context import JobContext
from tests.managers.redis.conftest import WAIT_S, Fleet
from tests.managers.redis.node import node_produces, node_works, peer


async def test_what_node_produces_we_work_and_node_sees_what_became_of_it(fleet: Fleet) -> None:
    """Faults 67: results, reasons, attempts, delays; 1,000 in the soak."""
    await node_produces(fleet, 40, wait_s=WAIT_S)


async def test_what_we_produce_node_works_and_we_see_what_became_of_it(fleet: Fleet) -> None:
    """Faults 67: results, reasons, attempts, backoff, progress; 1,000 in the soak."""
    await node_works(fleet, 40, wait_s=WAIT_S)


async def test_node_works_in_the_order_of_our_priorities(fleet: Fleet) -> None:
    """Faults 67."""
    manager = fleet.manager()
    for n, opts in ((5, {"priority": 5}), (1, {"priority": 1}), (2, {}), (3, {"lifo": True})):
        await manager.enqueue("q", "a", {"n": n}, {"attempts": 1, **opts})

    assert await peer(fleet, "work", 4, wait_s=WAIT_S) == [3, 2, 1, 5]


async def test_a_scheduler_of_nodes_goes_on_when_we_work_its_jobs(fleet: Fleet) -> None:
    """Whoever takes a job that BullMQ repeats has to plan the next."""
    manager, runs = fleet.manager(), asyncio.Queue[Any]()

    async def note(job: dict[str, Any], _context: JobContext) -> None:
        runs.put_nowait(job["opts"].get("repeat"))

    await manager.register_worker("q", "a", note)
    await peer(fleet, "schedule", 3, wait_s=WAIT_S)

    async with asyncio.timeout(WAIT_S):
        assert [await runs.get() for _ in range(3)] == [None, None, None]


def test_options_that_only_node_has_are_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Faults 67: none of them keeps us from running the job."""
    caplog.set_level(logging.WARNING)
    opts = (
        '{"attempts":3,"backoff":{"type":"jittered","delay":7},"de":{"id":"x"},"kl":5,'
        '"removeOnComplete":{"age":60},"repeat":{"every":5,"count":1},"priority":"high"}'
    )
    fields = {"name": "a", "data": "{}", "opts": opts, "rjk": "tick", "atm": "1", "stc": "1"}

    job = record_of("q", "1", fields, "active")

    assert job.opts.to_wire() == {
        "attempts": 3,
        "backoff": {"type": "fixed", "delay": 7},
        "keepLogs": 5,
        "removeOnComplete": {"age": 60},
    }
    assert job.attempts_made == 2
    assert 'backoff "jittered" is unknown here' in caplog.text
    assert "job option \"priority\" is 'high'" in caplog.text
