"""The log lines of a job are kept with it, in order and up to a number, and go with it."""

from __future__ import annotations

from typing import Any

import pytest

from nuxt_queue.managers.job_logs import MAX_LOG_BYTES, MAX_TEXT, LogRecord
from nuxt_queue.services.context import JobContext
from tests.contract.conftest import Bench


class Talks:
    """A handler that logs what its job's data lists, and fails as often as that says."""

    def __init__(self) -> None:
        self.failures = 0

    async def __call__(self, job: dict[str, Any], context: JobContext) -> None:
        for level, message, metadata in job["data"]:
            await context.log(level, message, metadata)
        if self.failures:
            self.failures -= 1
            raise ValueError("bad")


async def seen(bench: Bench, job_id: str, start: int = 0, end: int = -1) -> list[str]:
    return [each.message for each in await bench.manager.get_job_logs("q", job_id, start, end)]


async def test_lines_are_kept_in_order_with_all_that_is_known_of_them(bench: Bench) -> None:
    await bench.manager.register_worker("q", "a", Talks())
    data = [
        ("info", "trained", {"rows": 3, "of": {"a": [1.5, None]}}),
        ("warn", "no GPU", {"stream": "stderr"}),
        ("debug", "two\nlines\tand a tab, \x1b[31mred\u202e \U0001f600", {}),
        ("error", "looks like metadata\t{}", None),
        ("info", "", {"stream": "elsewhere"}),
    ]
    before = bench.now_ms() if bench.manager.engine == "redis" else 0

    job = await bench.run("q", "a", data)
    found = await bench.manager.get_job_logs("q", job.id)

    assert [(each.level, each.message) for each in found] == [(x[0], x[1]) for x in data]
    assert [each.stream for each in found] == [None, "stderr", None, None, None]
    assert found[0].metadata == {"rows": 3, "of": {"a": [1.5, None]}}
    assert [each.metadata for each in found[1:]] == [{}, {}, {}, {"stream": "elsewhere"}]
    assert {each.attempt for each in found} == {1}
    ids = [each.id for each in found]
    assert ids == sorted(set(ids))
    assert ids[0] / 1000 >= before - 1


async def test_all_attempts_of_a_job_are_in_its_log(bench: Bench) -> None:
    handler = Talks()
    handler.failures = 1
    await bench.manager.register_worker("q", "a", handler)

    job = await bench.run("q", "a", [("info", "x", None)], attempts=2)

    found = await bench.manager.get_job_logs("q", job.id)
    assert [(each.attempt, each.message) for each in found] == [(1, "x"), (2, "x")]


async def test_a_part_of_the_log_is_asked_for_as_in_bullmq(bench: Bench) -> None:
    await bench.manager.register_worker("q", "a", Talks())
    job = await bench.run("q", "a", [("info", str(n), None) for n in range(5)])

    assert await seen(bench, job.id) == ["0", "1", "2", "3", "4"]
    assert await seen(bench, job.id, 1, 2) == ["1", "2"]
    assert await seen(bench, job.id, -2) == ["3", "4"]
    assert await seen(bench, job.id, -99, -4) == ["0", "1"]
    assert await seen(bench, job.id, 0, -9) == []
    assert await seen(bench, job.id, 3, 99) == ["3", "4"]
    assert await seen(bench, job.id, 7) == []
    assert await seen(bench, "nobody") == []


@pytest.mark.parametrize(("keep", "kept"), [(3, ["3", "4", "5"]), (0, [])])
async def test_the_newest_lines_are_kept_up_to_what_the_job_says(
    bench: Bench, keep: int, kept: list[str]
) -> None:
    handler = Talks()
    handler.failures = 1
    await bench.manager.register_worker("q", "a", handler)

    job = await bench.run(
        "q", "a", [("info", str(n), None) for n in range(6)], attempts=2, keepLogs=keep
    )

    assert await seen(bench, job.id) == kept
    assert job.opts.keep_logs == keep


async def test_a_thousand_lines_and_a_megabyte_are_kept_unless_the_job_says_otherwise(
    bench: Bench,
) -> None:
    await bench.manager.register_worker("q", "a", Talks())
    many = await bench.run("q", "a", [("info", str(n), None) for n in range(1_200)])
    assert await seen(bench, many.id) == [str(n) for n in range(200, 1_200)]

    large = await bench.run("q", "a", [("info", "x" * MAX_TEXT, None)] * 200)
    found = await bench.manager.get_job_logs("q", large.id)
    assert MAX_LOG_BYTES * 0.9 < sum(len(each.to_text()) for each in found) <= MAX_LOG_BYTES


async def test_a_line_that_is_too_long_is_shortened_and_says_so(bench: Bench) -> None:
    await bench.manager.register_worker("q", "a", Talks())
    job = await bench.run("q", "a", [("info", "y" * 10_000, {"z": "z" * 10_000})])

    (line,) = await bench.manager.get_job_logs("q", job.id)
    assert line.message == "y" * MAX_TEXT + "… 10000 characters"
    assert line.metadata == {"leftOut": "10008 characters of metadata"}


@pytest.mark.parametrize("option", ["removeOnComplete", "removeOnFail", "remove_job"])
async def test_the_log_goes_with_the_job(bench: Bench, option: str) -> None:
    handler = Talks()
    await bench.manager.register_worker("q", "a", handler)
    said = [("info", "said", None)]
    kept = await bench.manager.enqueue("q", "a", said, {"jobId": "kept"})
    await bench.until_gone_or_ended("q", kept)
    handler.failures = int(option == "removeOnFail")
    opts = {} if option == "remove_job" else {option: True}
    gone = await bench.manager.enqueue("q", "a", said, {"jobId": "gone", **opts})
    await bench.until_gone_or_ended("q", gone)
    if option == "remove_job":
        assert await seen(bench, gone) == ["said"]
        await bench.manager.remove_job("q", gone)

    assert await seen(bench, gone) == []
    assert await seen(bench, kept) == ["said"]
    again = await bench.run("q", "a", [("info", "anew", None)], jobId="gone")
    assert await seen(bench, again.id) == ["anew"]


async def test_surplus_jobs_take_their_logs_along(bench: Bench) -> None:
    await bench.manager.register_worker("q", "a", Talks())
    ids = [
        (await bench.run("q", "a", [("info", str(n), None)], removeOnComplete=2)).id
        for n in range(4)
    ]

    assert [await seen(bench, each) for each in ids] == [[], [], ["2"], ["3"]]


async def test_a_log_that_cannot_be_kept_fails_no_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bench.manager._logs, "_write", refuse)
    monkeypatch.setattr(type(bench.manager), "log_s", 0.01)
    await bench.manager.register_worker("q", "a", Talks())

    job = await bench.run("q", "a", [("info", "x", None)] * 3)

    assert (job.state, await seen(bench, job.id)) == ("completed", [])
    await bench.manager.close_all()
    assert [each.getMessage() for each in caplog.records] == [
        f"log lines of job {job.id} cannot be kept now: [Errno 28] No space left on device",
        f"log lines of job {job.id} of queue q are lost",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "written by job.log() in Node",
        "",
        "2026-11-27T16:55:25.123456Z #1 loud: no such level",
        "2026-13-27T16:55:25.123456Z #1 info: no such month",
        "2026-11-27T16:55:25.123456Z #1 info: x\t[1]",
        "2026-11-27T16:55:25.123456Z #1 info: x\t{",
    ],
)
def test_a_line_of_another_program_is_a_message(text: str) -> None:
    assert LogRecord.read(text) == LogRecord(text)
