"""What a worker does as a whole, and at its limits, under the specification's host.

Row by row, host-contract section 7 is in test_section_seven.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.process.conftest import WAIT_S
from tests.process.seed_letter_host import CONTEXT, JobFailedError, SeedLetterHost


@pytest.fixture
async def host() -> AsyncIterator[SeedLetterHost]:
    """A host for one job, which finds every line whole."""
    made = SeedLetterHost()
    yield made
    assert made.lost == []


async def test_a_worker_runs_unchanged(host: SeedLetterHost) -> None:
    """Rows 1 to 3, 9, 15 and 16: emits, forgotten awaits, prints, bare data, the context."""
    result = await host.execute("shows_off_under_any_host.py", {"samples": [1, 2]}, CONTEXT)

    assert result == {"version": "1.0", "samples": [1, 2], "ids": ["j1", "ml-flow", 1, None]}
    assert host.state == {"model_version": "1.0"}
    assert host.emitted == [
        {"trigger": "model.trained", "payload": {"accuracy": 0.95}},
        {"trigger": "model.tested", "payload": {"accuracy": 0.9}},
    ]
    assert host.logs == [{"level": "info", "message": "Training model", "metadata": {"samples": 2}}]
    assert "no newline, and no message" in "".join(host.console)


async def test_a_context_of_three_fields_is_enough(host: SeedLetterHost) -> None:
    """Row 16: the specification's own example."""
    context = {"flowId": "abc-123", "flowName": "ml-flow", "stepName": "train_model"}
    result = await host.execute("shows_off_under_any_host.py", {"samples": []}, context)
    assert result["ids"] == [None, "ml-flow", None, None]


@pytest.mark.parametrize("data", [None, 0, "text", [1], {}, {"a": {"b": None}}], ids=repr)
async def test_any_payload_comes_back(host: SeedLetterHost, data: Any) -> None:
    """Rows 10 and 15: null is sent as null."""
    assert await host.execute("async_echo.py", data) == data
    assert "result" in host.answers[-1]


async def test_a_worker_may_end_in_asyncio_run(host: SeedLetterHost) -> None:
    """Row 4."""
    assert await host.execute("asyncio_run.py", {"x": 1}) == {"seen": {"x": 1}}


async def test_a_burst_of_log_lines_arrives_whole(host: SeedLetterHost) -> None:
    """Rows 8 and 12: 400 small ones, and large ones, none of them lost to a chunk's end."""
    sizes = [10] * 400 + [1_000, 20_000, 60_000, 65_000] * 5 + [30_000] * 10
    await host.execute("sends_sizes.py", {"logs": sizes, "states": [], "result": 5})
    assert [line["message"].split()[0] for line in host.logs] == [str(n) for n in range(len(sizes))]
    assert all(set(line["message"].split()[1]) <= {"x"} for line in host.logs)


async def test_values_that_just_fit_arrive_whole(host: SeedLetterHost) -> None:
    """Row 8: text outside ASCII takes six bytes a character."""
    await host.execute("sends_sizes.py", {"logs": [], "states": [10, 5_000, 10_800], "result": 1})
    assert [len(host.state[str(n)]) for n in range(3)] == [10, 5_000, 10_800]


@pytest.mark.parametrize("size", [65_499, 65_500, 65_501, 65_536, 200_000])
async def test_a_result_that_the_host_would_lose_is_an_error_that_says_so(
    host: SeedLetterHost, size: int
) -> None:
    """Row 8 and D5: no silence until the timeout."""
    job = host.execute("sends_sizes.py", {"logs": [], "states": [], "result": size})
    line = len('{"jsonrpc":"2.0","result":"","id":1}\n') + size
    if line <= 65_536:
        assert await job == "x" * size
        return
    with pytest.raises(JobFailedError) as caught:
        await job
    assert f"the answer is a line of {line} bytes" in str(caught.value)
    assert "path to a file" in str(caught.value)


async def test_a_log_line_that_the_host_would_lose_is_shortened(host: SeedLetterHost) -> None:
    await host.execute("sends_sizes.py", {"logs": [100_000], "states": [], "result": 1})
    (line,) = host.logs
    assert line["message"].endswith("…")
    assert len(line["message"]) == 2_001


async def test_a_value_that_the_host_would_lose_fails_the_job(host: SeedLetterHost) -> None:
    with pytest.raises(JobFailedError, match=r"ctx\.state\.set\('0'\) is a message of 300\d\d\d b"):
        await host.execute("sends_sizes.py", {"logs": [], "states": [50_000], "result": 1})


async def test_an_error_that_the_host_would_lose_is_shortened(host: SeedLetterHost) -> None:
    """The message has to stand alone: the host looks at nothing else."""
    job = host.execute("sends_sizes.py", {"logs": [], "states": [], "result": 1, "raise": 500_000})
    with pytest.raises(JobFailedError, match=r"^ValueError: xxx"):
        await job


@pytest.mark.parametrize("form", ["plain", "cause", "group", "KeyboardInterrupt", "deep"])
async def test_an_exception_is_told_in_the_message(host: SeedLetterHost, form: str) -> None:
    """Row 24: `Type: message`, code -32000 and data."""
    with pytest.raises(JobFailedError) as caught:
        await host.execute("raises_under_any_host.py", {"form": form, "async": False})
    error = host.answers[-1]["error"]
    assert error["code"] == -32000
    assert error["message"].startswith(error["data"]["type"])
    assert str(caught.value) == error["message"]


async def test_an_event_reaches_a_host_that_knows_only_the_old_name(host: SeedLetterHost) -> None:
    """Row 1: tried once, then remembered."""
    asked: list[str] = []
    del host.methods["ctx.flow.emit"]
    host.methods["ctx.emit"] = lambda p: asked.append(p["event"]["data"]["name"])
    await host.execute("uses_what_the_host_lacks.py", "emit")
    assert asked == ["a", "b"]


async def test_a_method_that_the_host_lacks_is_named(host: SeedLetterHost) -> None:
    """Row 27."""
    with pytest.raises(
        JobFailedError, match=r"NotSupportedByHost: this host has no ctx\.state\.incr"
    ):
        await host.execute("uses_what_the_host_lacks.py", "incr")


async def test_a_worker_has_one_job_and_knows_one_method(host: SeedLetterHost) -> None:
    """Rows 23 and 25: its ids and the host's are apart."""
    await host.spawn("ends_with_its_host.py")
    execute = {"jsonrpc": "2.0", "method": "execute", "params": {"job": 1}, "id": 1}
    for message in (execute, {**execute, "id": 2}, {**execute, "method": "other", "id": 3}):
        host.send(message)
    await host.until(lambda: len(host.answers) == 2)
    codes = {answer["id"]: answer["error"]["code"] for answer in host.answers}
    assert codes == {2: -32001, 3: -32601}
    await host.cleanup()


async def test_a_worker_ends_with_its_host(host: SeedLetterHost) -> None:
    """Row 25: the end of stdin, also in the middle of the work."""
    await host.spawn("ends_with_its_host.py")
    host.send({"jsonrpc": "2.0", "method": "execute", "params": {"job": 1}, "id": 1})
    await host.until(lambda: host.logs)
    host.stdin.close()
    assert await asyncio.wait_for(host.exited, WAIT_S) == 0
    await host.cleanup()


async def test_a_worker_that_never_gets_a_job_ends_in_peace(host: SeedLetterHost) -> None:
    """Row 25."""
    await host.spawn("ends_with_its_host.py")
    host.stdin.close()
    assert await asyncio.wait_for(host.exited, WAIT_S) == 0
    await host.cleanup()
