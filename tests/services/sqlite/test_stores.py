"""What is kept in the file beside the queues, and what goes with what."""

from __future__ import annotations

from pathlib import Path

from nuxt_queue.services.events import EventBus
from nuxt_queue.services.flow_definition import FlowDefinition, Step
from nuxt_queue.services.flow_runs import RunRecord
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.sqlite import (
    Database,
    SqliteEventStream,
    SqliteFlowStore,
    SqliteStateStore,
)

FLOW = FlowDefinition("ml", Step("prepare", "prepare", "prepare"))


async def test_the_state_and_the_timeline_of_a_run_are_forgotten_with_it(tmp_path: Path) -> None:
    left = {}
    async with Database(tmp_path) as database:
        runs = SqliteFlowStore(database, keep_ended=1)
        state, bus = SqliteStateStore(database), EventBus(SqliteEventStream(database))
        for run_id in ("first", "second"):
            run = RunRecord.begin(run_id, FLOW, None, 1000)
            await runs.create(run)
            await state.set(run_id, "key", run_id)
            await bus.publish("log", Scope(job_id="j", queue="q", flow_id=run_id))
            await runs.change(run_id, lambda run: run.cancel(2000))
        for run_id in ("first", "second"):
            left[run_id] = await state.get(run_id, "key"), len(await bus.read(run_id))

    assert left == {"first": (None, 0), "second": ("second", 1)}
