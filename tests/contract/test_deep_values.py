"""A value may have 512 levels wherever it enters; one more is refused where it enters."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nbtools.emulator.run import run_local
from nuxt_queue.cli.output import print_json
from nuxt_queue.errors import ValuePathError
from nuxt_queue.managers import WorkerOptions
from nuxt_queue.rpc.codec import MAX_DEPTH
from nuxt_queue.timeline import brief, event_line
from tests.contract.conftest import Bench

LISTS, OBJECTS = "lists", "objects"


def nested(kind: str, levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if kind == LISTS else {"a": value}
    return value


@pytest.mark.parametrize("kind", [LISTS, OBJECTS])
async def test_the_deepest_value_passes_queue_state_log_event_and_result(
    bench: Bench, kind: str
) -> None:
    deepest = nested(kind, MAX_DEPTH)

    def handler(job: Any, ctx: Any) -> Any:
        ctx.state.set("k", job["data"])
        metadata = job["data"] if kind == OBJECTS else {}
        ctx.logger.info("deep", metadata)
        ctx.emit("e", metadata)
        return ctx.state.get("k")

    options = WorkerOptions(runtime="inprocess")
    await bench.manager.register_worker("q", "j", handler, options)
    job = await bench.ended("q", await bench.manager.enqueue("q", "j", deepest))

    assert job.failed_reason is None
    assert job.returnvalue == job.data == deepest
    assert job.to_wire()["returnvalue"] == deepest
    for event in bench.events:
        assert event.to_wire()["data"] == event.data
        event_line(event)


@pytest.mark.parametrize("kind", [LISTS, OBJECTS])
async def test_one_level_more_is_refused_at_the_call(bench: Bench, kind: str) -> None:
    too_deep = nested(kind, MAX_DEPTH + 1)
    refused: list[str] = []

    def handler(_job: Any, ctx: Any) -> Any:
        for call, *arguments in ((ctx.state.set, "k"), (ctx.emit, "e")):
            with pytest.raises(ValuePathError) as caught:
                call(*arguments, too_deep)
            refused.append(str(caught.value))
        return too_deep

    options = WorkerOptions(runtime="inprocess")
    await bench.manager.register_worker("q", "j", handler, options)
    with pytest.raises(ValuePathError, match=r"^data.* is nested deeper than 512 levels"):
        await bench.manager.enqueue("q", "j", too_deep)
    job = await bench.ended("q", await bench.manager.enqueue("q", "j", 1))

    assert [text.partition("[")[0].partition(".")[0] for text in refused] == ["state", "payload"]
    assert "result" in str(job.failed_reason)
    assert "nested deeper than 512 levels" in str(job.failed_reason)


@pytest.mark.parametrize("kind", [LISTS, OBJECTS])
def test_the_deepest_value_can_be_shown(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    deepest = nested(kind, MAX_DEPTH)
    print_json(deepest)
    assert capsys.readouterr().out.count("\n") == 2 * MAX_DEPTH + 1
    assert len(brief(deepest)) < 300

    def handler(job: Any, ctx: Any) -> Any:
        ctx.state.set("k", job["data"])
        return job["data"]

    run = asyncio.run(run_local(handler, deepest))
    assert run.result == deepest
    assert "…" in repr(run)
    assert "…" in run._repr_html_()
