"""Calls of the context over a real pipe: order, numbers, and what happens to forgotten ones."""

from __future__ import annotations

import pytest

from nuxt_queue.errors import HandlerError
from tests.process.conftest import BOTH_WAYS, Host

HOSTS = BOTH_WAYS


@pytest.mark.parametrize("in_a_coroutine", [False, True], ids=["plain", "coroutine"])
async def test_ten_thousand_log_lines_arrive_in_order_before_the_result(
    host: Host,
    in_a_coroutine: bool,  # noqa: FBT001 pytest fills it in
) -> None:
    """Faults 27, and host-contract 7 row 12: from a handler that never yields."""
    assert await host.run("logs_many.py", {"lines": 10_000, "async": in_a_coroutine}) == 10_000
    lines = await host.events("log")
    assert [line["n"] for line in lines] == list(range(10_000))


@pytest.mark.parametrize("how", ["gather", "threads"])
async def test_a_thousand_calls_at_once_get_their_own_answers(host: Host, how: str) -> None:
    """Faults 49: in one loop, and from 16 threads."""
    for n in range(1_000):
        await host.state.set("run1", f"k{n}", n)
    assert await host.run("calls_at_once.py", {"how": how, "count": 1_000}) is True
    if how == "threads":
        lines = await host.logs()
        assert len(lines) == 1_000
        for thread in range(16):
            own = [line for line in lines if line.startswith(f"{thread} ")]
            assert own == [f"{thread} {n}" for n in range(thread, 1_000, 16)]


async def test_calls_are_made_in_program_order(host: Host) -> None:
    """Faults 50: set, log, emit, none of them awaited, and the result behind them all."""
    assert await host.run("keeps_order.py", 300) == "result"

    timeline = [
        (event.type, event.data.get("message", event.data.get("name")))
        for event in await host.service.bus.read("run1")
        if event.type in ("log", "emit")
    ]
    expected = [(kind, f"{word} {n}") for n in range(300) for kind, word in WORDS]
    assert timeline == expected
    assert await host.state.get("run1", "n") == 299


WORDS = (("log", "log"), ("emit", "event"))


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (
            "set",
            "CallFailedError: ctx.state.set('k') was not awaited and failed: state 'k': the ttl",
        ),
        (
            "emit",
            "CallFailedError: ctx.flow.startFlow() was not awaited and failed: this host runs",
        ),
        ("raise", "ValueError: the handler's own"),
    ],
)
async def test_a_forgotten_call_that_fails_fails_the_job(host: Host, what: str, says: str) -> None:
    """D2 and host-contract 7 row 2; an error of the handler's own goes first."""
    with pytest.raises(HandlerError) as caught:
        await host.run("forgets_await.py", what)
    assert str(caught.value).startswith(says)


async def test_a_log_line_never_fails_the_job(host: Host) -> None:
    """D2."""
    assert await host.run("forgets_await.py", "log") == "result"
    (line,) = await host.events("log")
    assert line["metadataError"].startswith("metadata.bad is of type object")
