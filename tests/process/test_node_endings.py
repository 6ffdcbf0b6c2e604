"""How a process of Node ends: by an error, a crash, too late, cancelled, or not by itself."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.errors import (
    HandlerError,
    WorkerCancelledError,
    WorkerCrashedError,
    WorkerTimeoutError,
)
from nuxt_queue.runner import Limits
from tests.process.conftest import QUICK, SCOPE, WAIT_S, WORKERS, Host, is_alive

ISOLATED: dict[str, Any] = {"runtime": "node-isolated"}
THROWS = WORKERS / "node" / "throws.mjs"

FORMS: dict[str, tuple[str, str]] = {
    "plain": ("TypeError", "no such thing"),
    "rejects": ("RangeError", "too far"),
    "own class": ("Gone", "not there"),
    "own name": ("ValidationError", "bad field"),
    "cause": ("Error", "outer"),
    "several": ("AggregateError", "both"),
    "text": ("NonError", "'just text' was thrown"),
    "nothing": ("NonError", "undefined was thrown"),
    "object": ("NonError", "{ code: 7 } was thrown"),
    "cycle": ("Error", "round"),
    "no stack": ("Error", "stackless"),
    "bad message": ("Error", "<reading it threw Error>"),
    "surrogate": ("Error", "half \ufffd"),
    "recursion": ("RangeError", "Maximum call stack size exceeded"),
    "deep frames": ("ReferenceError", "nowhere is not defined"),
    "timer": ("TypeError", "from a timer"),
    "floating": ("TypeError", "nobody waits"),
    "for good": ("UnrecoverableError", "never again"),
}


@pytest.mark.parametrize("way", FORMS)
async def test_an_error_arrives_with_type_message_and_place(host: Host, way: str) -> None:
    """Faults 4: whatever is thrown, wherever; our own frames are left out."""
    with pytest.raises(HandlerError) as caught:
        await host.run(THROWS, way, **ISOLATED)
    error = caught.value
    assert (error.type, error.text) == FORMS[way]
    assert str(error) == ": ".join(FORMS[way])
    assert error.phase == "run"
    assert error.data["retryable"] is (way not in ("own class", "for good"))
    assert "nuxt_queue" not in error.traceback
    assert "node:internal" not in error.traceback
    if way not in ("text", "nothing", "object", "no stack", "bad message", "recursion"):
        place = error.data["location"]
        source = THROWS.read_text().splitlines()
        assert place["file"] == str(THROWS)
        words = "nowhere" if way == "deep frames" else FORMS[way][1][:4]
        assert words in source[place["line"] - 1]


async def test_causes_and_parts_of_an_error_arrive_too(host: Host) -> None:
    """Faults 4."""
    with pytest.raises(HandlerError) as caught:
        await host.run(THROWS, "cause", **ISOLATED)
    assert caught.value.data["cause"] == {"type": "Error", "message": "inner"}
    assert "[cause]: Error: inner" in caught.value.traceback
    with pytest.raises(HandlerError) as caught:
        await host.run(THROWS, "several", **ISOLATED)
    assert "[errors][1]: Error: two" in caught.value.traceback


async def test_a_huge_message_is_shortened_in_the_middle(host: Host) -> None:
    """Faults 4."""
    with pytest.raises(HandlerError) as caught:
        await host.run(THROWS, "huge", **ISOLATED)
    assert "characters left out" in caught.value.text
    assert len(caught.value.text) < 70_000


async def test_an_error_that_nobody_caught_ends_the_process(host: Host) -> None:
    """What it holds is not to be trusted, and a process that is used again is thrown away."""
    runner = host.runner(THROWS, runtime="node")
    with pytest.raises(HandlerError, match="nobody waits"):
        await runner.execute({"id": "1", "data": "floating"}, host.service.for_job(SCOPE))
    assert not is_alive(await host.pid())
    assert await host.logs() == ["the worker exited with code 1 after its answer"]
    await runner.close()


NO_HANDLER = (
    "w.mjs has no function as its default export; write"
    " `export default defineQueueWorker(async (job, ctx) => …)`"
)
BROKEN: dict[str, tuple[str, str, str, int | None]] = {
    "no default export": ("export const a = 1", "WorkerFileError", NO_HANDLER, None),
    "no function": ("export default { a: 1 }", "WorkerFileError", NO_HANDLER, None),
    "defined as no function": (
        "\nexport default defineQueueWorker({ a: 1 })",
        "TypeError",
        "a worker is a function (job, ctx), not a object",
        2,
    ),
    "throws": ("\n\nthrow new RangeError('at import')", "RangeError", "at import", 3),
    "rejects": ("\nawait Promise.reject(new Error('later'))", "Error", "later", 2),
    "syntax": ("export default () => 1\n\nlet a = ;", "SyntaxError", "Unexpected token ';'", 3),
    "no package": (
        "import x from 'no-such-package'\nexport default () => 1",
        "Error",
        "Cannot find package 'no-such-package' imported from ",
        None,
    ),
    "no name": (
        "import { nothing } from 'node:fs'\nexport default () => 1",
        "SyntaxError",
        "The requested module 'node:fs' does not provide an export named 'nothing'",
        1,
    ),
    "auto import": (
        "const config = useRuntimeConfig()\nexport default () => 1",
        "ReferenceError",
        "useRuntimeConfig is not defined",
        1,
    ),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_file_that_cannot_be_run_says_why_and_where(host: Host, case: str) -> None:
    """Faults 8 and 88."""
    source, kind, text, line = BROKEN[case]
    worker = host.folder / "w.mjs"
    worker.write_text(source)
    with pytest.raises(HandlerError) as caught:
        await host.run(worker, **ISOLATED)
    error = caught.value
    assert error.phase == "import"
    assert error.type == kind
    assert error.text.startswith(text)
    place = error.data["location"]
    assert (place and (place["file"], place["line"])) == (line and (str(worker), line))
    hints = {
        "no package": "no-such-package is not installed where the worker is:"
        " npm install no-such-package",
        "auto import": "useRuntimeConfig is an auto-import of the host's;"
        " import it from the package that has it",
    }
    assert error.data.get("hint") == hints.get(case)


@pytest.mark.parametrize(
    ("source", "kind", "line"),
    [
        ("const a: number = 1\n\nlet b = ;\n", "SyntaxError", 3),
        ("const a: number = 1\n\nthrow new Error(`${a}`)\n", "Error", 3),
        ("enum A { B }\n\nexport default () => {\n  null.x\n}\n", "TypeError", 4),
    ],
)
async def test_a_place_in_typescript_is_one_of_its_source(
    host: Host, node_project: Path, source: str, kind: str, line: int
) -> None:
    """Faults 88."""
    worker = node_project / "w.ts"
    worker.write_text(source)
    with pytest.raises(HandlerError) as caught:
        await host.run(worker, **ISOLATED)
    assert caught.value.type == kind
    assert caught.value.data["location"]["file"] == str(worker)
    assert caught.value.data["location"]["line"] == line


async def test_a_module_that_exits_while_it_is_imported_is_a_crash_of_the_import(
    host: Host,
) -> None:
    """Faults 88."""
    worker = host.folder / "w.mjs"
    worker.write_text("process.exit(3)")
    with pytest.raises(WorkerCrashedError) as caught:
        await host.run(worker, **ISOLATED)
    assert caught.value.phase == "import"
    assert str(caught.value) == (
        "worker process exited with code 3 without a result while its file was imported"
    )


@pytest.mark.parametrize(("when", "code"), [("now", 0), ("before", 7), ("killed", -9)])
async def test_an_end_without_an_answer_is_a_failure(host: Host, when: str, code: int) -> None:
    """Faults 2, 3 and 7."""
    with pytest.raises(WorkerCrashedError) as caught:
        await host.run("node/exits.mjs", {"when": when, "code": code}, **ISOLATED)
    assert caught.value.returncode == code


@pytest.mark.parametrize("way", ["timer", "server", "at exit", "busy later"])
async def test_what_lingers_after_the_answer_is_killed_and_the_job_has_completed(
    host: Host, way: str
) -> None:
    """Faults 15."""
    result = await host.run("node/lingers.mjs", way, timeouts=QUICK, **ISOLATED)
    assert result == "answered"
    warning = "the worker did not exit within 0.3 s of its answer and was killed"
    assert (await host.events("log"))[-1] == {"level": "warn", "message": warning}
    assert not is_alive(await host.pid())


@pytest.mark.parametrize("way", ["ignores", "blocks"])
async def test_a_job_that_takes_too_long_is_ended(host: Host, way: str) -> None:
    """Faults 10."""
    with pytest.raises(WorkerTimeoutError):
        await host.run(
            "node/waits_to_be_cancelled.mjs", way, timeout_ms=600, timeouts=QUICK, **ISOLATED
        )
    assert not is_alive(await host.pid())


async def _cancelled(host: Host, way: str) -> Any:
    ready = asyncio.Event()
    host.on("log", lambda _data: ready.set())
    runner = host.runner("node/waits_to_be_cancelled.mjs", timeouts=QUICK, **ISOLATED)
    job = runner.start({"id": "1", "data": way}, host.service.for_job(SCOPE))
    async with asyncio.timeout(WAIT_S):
        await ready.wait()
        job.cancel()
        return await job


async def test_a_handler_is_told_of_its_cancellation(host: Host) -> None:
    """Faults 17: the signal is aborted, and what the handler answers in time counts."""
    assert await _cancelled(host, "stops") == {"cancelled": True, "reason": "AbortError"}
    assert (await host.events("log"))[0]["before"] is False


async def test_a_handler_may_throw_what_aborted_it(host: Host) -> None:
    """Faults 17."""
    with pytest.raises(HandlerError, match="AbortError: the job was cancelled"):
        await _cancelled(host, "throws")


@pytest.mark.parametrize("way", ["ignores", "blocks"])
async def test_a_handler_that_does_not_listen_is_ended(host: Host, way: str) -> None:
    """Faults 17."""
    with pytest.raises(WorkerCancelledError):
        await _cancelled(host, way)
    assert not is_alive(await host.pid())


async def test_node_s_memory_is_its_heap(host: Host) -> None:
    """Faults 6: address space would not do, which it reserves by the gigabyte."""
    worker = host.folder / "grows.mjs"
    worker.write_text("export default () => { const a = []; for (;;) a.push(new Array(1e5)) }")
    limits = Limits(memory_mb=64)
    assert await host.run("node/echo.mjs", 1, limits=limits, **ISOLATED) == 1
    with pytest.raises(WorkerCrashedError) as caught:
        await host.run(worker, limits=limits, **ISOLATED)
    assert caught.value.returncode == -6
    assert "heap out of memory" in caught.value.stderr_tail


async def test_a_worker_found_by_a_link_is_named_by_its_own_path(
    host: Host, tmp_path: Path
) -> None:
    """Faults 91."""
    shutil.copy(THROWS, tmp_path / "real.mjs")
    (tmp_path / "link.mjs").symlink_to(tmp_path / "real.mjs")
    with pytest.raises(HandlerError) as caught:
        await host.run(tmp_path / "link.mjs", "plain", **ISOLATED)
    assert caught.value.data["location"]["file"] == str(tmp_path / "real.mjs")
