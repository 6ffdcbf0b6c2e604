"""The emulator: a handler in a notebook meets production's own context."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest

from nbtools import LocalRunContext, run_local
from nuxt_queue import RunContext
from nuxt_queue.errors import NuxtQueueError, ValuePathError
from nuxt_queue.sdk.entry import CallFailedError


async def greet(job: dict[str, Any], ctx: RunContext) -> dict[str, Any]:
    ctx.logger.info("greeting", {"name": job["data"]["name"]})
    await ctx.state.set("seen", [job["data"]["name"]])
    await ctx.flow.emit("greeted", {"name": job["data"]["name"]})
    return {"text": f"Hello {job['data']['name']}"}


def greet_plainly(job: dict[str, Any], ctx: RunContext) -> dict[str, Any]:
    ctx.state.set("seen", [job["data"]["name"]])
    return {"seen": ctx.state.get("seen"), "missing": ctx.state.get("missing")}


async def test_a_run_keeps_the_result_the_logs_the_events_and_the_state() -> None:
    run = await run_local(greet, {"name": "Ada"})
    assert run.result == {"text": "Hello Ada"}
    assert [(line.level, line.message, line.metadata) for line in run.logs] == [
        ("info", "greeting", {"name": "Ada"})
    ]
    assert [(event.name, event.payload) for event in run.emitted] == [("greeted", {"name": "Ada"})]
    assert run.state == {"seen": ["Ada"]}


async def test_calls_simply_return_in_a_plain_function() -> None:
    run = await run_local(greet_plainly, {"name": "Ada"})
    assert run.result == {"seen": ["Ada"], "missing": None}


async def test_a_handler_can_be_called_directly_with_a_context() -> None:
    ctx = LocalRunContext(flow_name="greetings", step_name="greet")
    result = await greet({"data": {"name": "Ada"}}, ctx)
    assert result == {"text": "Hello Ada"}
    assert [line.message for line in ctx.logs] == ["greeting"]
    assert ctx.state.contents == {"seen": ["Ada"]}
    assert (ctx.flow_name, ctx.flowName, ctx.step_name) == ("greetings", "greetings", "greet")


async def test_earlier_state_is_there_and_later_state_is_kept_apart() -> None:
    async def count(_job: Any, ctx: RunContext) -> Any:
        return await ctx.state.incr("n")

    given = {"n": 4}
    assert (await run_local(count, state=given)).result == 5
    assert given == {"n": 4}
    assert (await run_local(count)).result == 1


async def test_what_json_cannot_hold_fails_in_the_notebook_as_in_production() -> None:
    async def lossy(_job: Any, _ctx: RunContext) -> Any:
        return {"losses": [0.5, float("nan")]}

    with pytest.raises(ValuePathError, match=r"result\.losses\[1\] is NaN"):
        await run_local(lossy)


async def test_a_forgotten_await_still_counts_and_its_failure_is_named() -> None:
    async def forgets(_job: Any, ctx: RunContext) -> None:
        ctx.state.set("kept", 1)
        ctx.emit({"type": "emit", "data": {"name": "done", "n": 1}})

    run = await run_local(forgets)
    assert run.state == {"kept": 1}
    assert [(event.name, event.payload) for event in run.emitted] == [("done", {"n": 1})]

    async def fails(_job: Any, ctx: RunContext) -> None:
        ctx.state.set("text", "not a number")
        ctx.state.incr("text")

    with pytest.raises(CallFailedError, match=r"ctx\.state\.incr\('text'\) was not awaited"):
        await run_local(fails)


async def test_what_the_handler_raises_is_raised_here() -> None:
    async def breaks(job: dict[str, Any], _ctx: RunContext) -> Any:
        return job["data"]["missing"]

    with pytest.raises(KeyError, match="missing"):
        await run_local(breaks, {})


async def test_names_come_from_the_config_and_a_keyed_input_is_unwrapped() -> None:
    """Decision D4: the payload of the subscribed event is `job['data']`."""

    async def names(job: Any, ctx: RunContext) -> Any:
        return [ctx.flow_name, ctx.step_name, ctx.queue, job["data"], job.inputs]

    config = {
        "queue": "train",
        "flow": {"name": ["ml"], "step": "train_model", "subscribes": ["data.prepared"]},
    }
    run = await run_local(names, {"data.prepared": {"n": 1}}, config=config)
    assert run.result == ["ml", "train_model", "train", {"n": 1}, {"data.prepared": {"n": 1}}]


async def test_threads_of_a_handler_may_use_the_context() -> None:
    async def threads(_job: Any, ctx: RunContext) -> Any:
        await asyncio.gather(*(asyncio.to_thread(ctx.state.incr, "n") for _ in range(16)))
        return await ctx.state.get("n")

    assert (await run_local(threads)).result == 16


async def test_starting_a_flow_is_noted_and_not_run() -> None:
    async def starts(_job: Any, ctx: RunContext) -> Any:
        started = await ctx.flow.start_flow("report", {"n": 1})
        return [started["flowId"], await ctx.flow.is_running("report")]

    run = await run_local(starts)
    assert run.result == ["local-report-1", True]
    assert [(flow.name, flow.payload) for flow in run.ctx.flows.started] == [("report", {"n": 1})]


async def test_the_plain_display_has_nothing_that_changes_from_run_to_run() -> None:
    """Exporter R25: what nbval compares must be the same in each run."""
    first, second = [await run_local(greet, {"name": "Ada"}) for _ in range(2)]
    assert repr(first) == repr(second)
    assert first._repr_html_() == second._repr_html_()
    assert repr(first) == "\n".join(
        [
            "greet completed",
            '  result   {"text": "Hello Ada"}',
            '  state    seen = ["Ada"]',
            '  emitted  greeted  {"name": "Ada"}',
            "  logs     info   greeting  name='Ada'",
        ]
    )


async def test_the_display_escapes_what_a_user_logged_and_stays_short() -> None:
    async def nasty(_job: Any, ctx: RunContext) -> Any:
        ctx.logger.warn("<script>alert(1)</script>")
        return {"rows": list(range(1000)), "third": 1 / 3, "long": "x" * 5000}

    run = await run_local(nasty)
    assert "<script>" not in run._repr_html_()
    assert "… 1000 in all" in repr(run)
    assert "0.333333" in repr(run)
    assert len(repr(run)) < 1000
    assert run.result["third"] == 1 / 3


async def test_a_handler_that_does_not_take_two_arguments_is_refused_with_its_place() -> None:
    def wrong(_job: Any) -> None: ...

    with pytest.raises(TypeError, match=r"wrong .*test_run_local\.py:\d+.* exactly two arguments"):
        await run_local(wrong)


async def test_an_unawaited_answer_says_what_to_write() -> None:
    ctx = LocalRunContext()
    call = ctx.state.get("key")
    assert "await ctx.state.get('key')" in repr(call)
    assert await call is None


async def test_state_given_twice_is_refused() -> None:
    with pytest.raises(TypeError, match="not to both"):
        await run_local(greet, {"name": "Ada"}, ctx=LocalRunContext(), state={"a": 1})


def test_errors_of_the_emulator_are_errors_of_the_kit() -> None:
    assert issubclass(ValuePathError, NuxtQueueError)


def _files(error: BaseException) -> list[str]:
    """Return the function of each frame below the test's own."""
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)][1:]


async def test_a_failure_shows_the_handler_and_not_the_way_to_it() -> None:
    async def divide(job: dict[str, Any], _ctx: RunContext) -> float:
        return inverse(job["data"])

    def inverse(number: int) -> float:
        return 1 / number

    def forget(_job: dict[str, Any], ctx: RunContext) -> None:
        ctx.state.set("loss", float("nan"))

    with pytest.raises(ZeroDivisionError) as failed:
        await run_local(divide, 0)
    assert _files(failed.value) == ["divide", "inverse"]
    with pytest.raises(ValuePathError) as refused:
        await run_local(forget)
    assert _files(refused.value) == ["forget"]


async def test_a_fault_of_ours_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from nuxt_queue.services import loopback

    def broken(*_: object) -> None:
        raise KeyError("ours")

    # As if the function stood in our own file.
    code = broken.__code__.replace(co_filename=loopback.__file__)
    broken.__code__ = code
    monkeypatch.setattr(loopback, "_is_coroutine_function", broken)
    with pytest.raises(KeyError) as failed:
        await run_local(greet, {"name": "Ada"})
    assert _files(failed.value) == ["run_local", "run_handler", "broken"]
