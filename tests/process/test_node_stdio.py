"""What a worker of Node prints never touches the wire, and nothing of it is lost (faults A3)."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import pytest

from nuxt_queue.errors import HandlerError, WorkerCrashedError
from tests.process.conftest import QUICK, SCOPE, Host

ISOLATED: dict[str, Any] = {"runtime": "node-isolated"}


async def test_everything_that_is_printed_is_a_log_line_and_nothing_else(host: Host) -> None:
    """Faults 21: console, the streams, the descriptor, a shell, a subprocess, a thread."""
    assert await host.run("node/prints_everywhere.mjs", **ISOLATED) == "answered"
    assert sorted(await host.printed()) == sorted(
        [
            "at import",
            "console.log 1 { a: 1 }",
            "console.info",
            "┌─────────┬───┐",
            "│ (index) │ a │",
            "├─────────┼───┤",
            "│ 0       │ 1 │",
            "└─────────┴───┘",
            "no newline",
            "with a callback",
            "fs.writeSync",
            "/dev/stdout",
            "a shell",
            "a subprocess",
            "another node",
            "a thread",
            "b\\xff\\xfe",
            "é😀",
            "at exit",
        ]
    )
    assert await host.printed("stderr") == ["process.stderr"]
    levels = {line["message"]: line["level"] for line in await host.events("log")}
    assert {name: levels[name] for name in levels if name.startswith("console.")} == {
        "console.log 1 { a: 1 }": "info",
        "console.info": "info",
        "console.debug": "debug",
        "console.warn": "warn",
        "console.error": "error",
    }
    assert levels["process.stderr"] == "info"


@pytest.mark.parametrize("runtime", ["node", "node-isolated"])
async def test_what_console_writes_is_one_line_with_its_level(host: Host, runtime: str) -> None:
    worker = host.folder / "worker.mjs"
    worker.write_text(
        "console.warn('at import')\n"
        "export default () => {\n"
        "  console.error(new Error('two\\nlines'))\n"
        "  console.warn('%d of %s', 1, 'x', { a: 1 })\n"
        "  console.debug('half \\ud800')\n"
        "  console.assert(false, 'asserted')\n"
        "}\n"
    )
    runner = host.runner(worker, runtime=runtime)
    for n in ("1", "2"):
        job = {"id": n, "name": "n", "data": None}
        await runner.execute(job, host.service.for_job(SCOPE))
    await runner.close()
    lines = await host.events("log")
    at_import = [line for line in lines if line["message"] == "at import"]
    assert {line["level"] for line in at_import} == {"warn"}
    assert len(at_import) == {"node": 1, "node-isolated": 2}[runtime]
    rest = [line for line in lines if line not in at_import]
    for one in (rest[:4], rest[4:]):
        assert [line["level"] for line in one] == ["error", "warn", "debug", "warn"]
        assert one[0]["message"].startswith("Error: two\nlines\n    at ")
        assert [line["message"] for line in one[1:]] == [
            "1 of x { a: 1 }",
            "half \ufffd",
            "Assertion failed: asserted",
        ]


@pytest.mark.parametrize("runtime", ["node", "node-isolated"])
async def test_a_printed_message_is_never_believed(host: Host, runtime: str) -> None:
    """Faults 22: 0 of 1,000 forged results, calls and log lines, by each of four ways."""
    runner = host.runner("node/forges_messages.mjs", runtime=runtime)
    job = {"id": "1", "name": "n", "data": 250}
    assert await runner.execute(job, host.service.for_job(SCOPE)) == {"k": None}
    await runner.close()
    assert await host.state.all("run1") == {}
    assert len(await host.printed()) == 750
    assert len(await host.printed("stderr")) == 250
    assert "FORGED" not in await host.logs()


@pytest.mark.parametrize("when", ["next tick", "next turn"])
async def test_a_large_result_is_whole_when_the_process_exits_right_behind_it(
    host: Host, when: str
) -> None:
    """Faults 34: 3 MB, of which a pipe holds 64 KiB."""
    size = 3_000_000
    data = {"when": when, "code": 0, "size": size}
    for _ in range(5):
        assert await host.run("node/exits.mjs", data, **ISOLATED) == "x" * size
    assert await host.logs() == []


@pytest.mark.parametrize("code", [0, 7])
async def test_what_was_printed_before_an_exit_is_whole_and_the_exit_a_failure(
    host: Host, code: int
) -> None:
    """Faults 2, 3 and 34: 500 KB in lines, then `process.exit`."""
    with pytest.raises(WorkerCrashedError) as caught:
        await host.run("node/exits.mjs", {"when": "now", "code": code, "lines": 500}, **ISOLATED)
    assert str(caught.value) == f"worker process exited with code {code} without a result"
    assert caught.value.phase == "run"
    assert await host.printed() == [f"{n} {'x' * 1000}" for n in range(500)]


async def test_a_subprocess_does_not_inherit_the_wire(host: Host) -> None:
    """Faults 95: also when the descriptors have high numbers, as in a parent with many open."""
    with contextlib.ExitStack() as opened:
        for _ in range(60):
            opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        assert await host.run("node/inherits.mjs", **ISOLATED) == []


async def test_stdin_is_at_its_end(host: Host) -> None:
    """Faults 29."""
    worker = host.folder / "reads.mjs"
    worker.write_text(
        "import fs from 'node:fs'\n"
        "export default async () => {\n"
        "  let text = fs.readFileSync(0, 'utf8')\n"
        "  for await (const chunk of process.stdin) text += chunk\n"
        "  return text\n"
        "}\n"
    )
    assert await host.run(worker, **ISOLATED) == ""


@pytest.mark.parametrize("way", ["fs.closeSync(1)", "fs.closeSync(2)", "process.stdout.destroy()"])
async def test_closing_the_standard_streams_is_harmless(host: Host, way: str) -> None:
    """Faults 23."""
    worker = host.folder / "closes.mjs"
    worker.write_text(
        "import fs from 'node:fs'\n"
        f"export default async () => {{ {way}; console.log('a'); console.error('b'); return 1 }}\n"
    )
    assert await host.run(worker, **ISOLATED) == 1


async def test_a_closed_channel_fails_the_job_at_once(host: Host) -> None:
    """Faults 23: nobody waits for the timeout."""
    worker = host.folder / "closes.mjs"
    worker.write_text(
        "import fs from 'node:fs'\n"
        "export default async () => {\n"
        "  for (let fd = 3; fd < 256; fd += 1) try { fs.closeSync(fd) } catch {}\n"
        "  return 1\n"
        "}\n"
    )
    with pytest.raises(WorkerCrashedError):
        await host.run(worker, **ISOLATED, timeouts=QUICK)


async def test_a_result_over_the_limit_fails_the_job_and_says_so(host: Host) -> None:
    """Faults 24."""
    worker = host.folder / "worker.mjs"
    worker.write_text("export default (job) => 'x'.repeat(job.data)\n")
    job = host.run(worker, 200_000, max_message=100_000, timeouts=QUICK, **ISOLATED)
    with pytest.raises(HandlerError, match=r"result is 200,036 bytes .* allows 100,000; write a"):
        await job


async def test_a_call_over_the_limit_fails_where_it_is_made(host: Host) -> None:
    worker = host.folder / "worker.mjs"
    worker.write_text(
        "export default async (job, ctx) => {\n"
        "  await ctx.state.set('small', 1)\n"
        "  try { await ctx.state.set('big', 'x'.repeat(job.data)) } catch (e) {\n"
        "    return [e.name, e.message]\n"
        "  }\n"
        "}\n"
    )
    name, text = await host.run(worker, 200_000, max_message=100_000, **ISOLATED)
    assert name == "ValuePathError"
    assert text.startswith('ctx.state.set("big") is 200,0')
    assert text.endswith("worker.max_message allows 100,000; write a file and pass its path")


async def test_twenty_megabytes_go_there_and_back(host: Host) -> None:
    """Faults 25 and 30: in many chunks, some of which end inside a character."""
    data = "é😀x" * 2_500_000
    assert await host.run("node/echo.mjs", data, **ISOLATED) == data


async def test_full_pipes_on_all_sides_do_not_lock_up(host: Host) -> None:
    """Faults 26: the job is larger than a pipe, and the worker writes before it reads."""
    worker = host.folder / "floods.mjs"
    worker.write_text(
        "for (let n = 0; n < 2000; n += 1) {\n"
        "  console.log('x'.repeat(500)); process.stderr.write(`${n}\\n`)\n"
        "}\n"
        "export default (job, ctx) => {\n"
        "  for (let n = 0; n < 2000; n += 1) ctx.logger.info('y'.repeat(500))\n"
        "  return job.data.length\n"
        "}\n"
    )
    size = 5_000_000
    assert await host.run(worker, "x" * size, **ISOLATED) == size
    assert len(await host.printed()) == len(await host.printed("stderr")) == 2_000
    assert len(await host.logs()) == 6_000


async def test_a_subprocess_that_unblocks_the_streams_loses_nothing(host: Host) -> None:
    """Faults 21: a Node that inherits a pipe makes it non-blocking, for all who write to it."""
    await host.run("node/unblocks_the_streams.mjs", **ISOLATED)
    assert await host.printed() == ["up", *(f"{n} {'x' * 300}" for n in range(3_000))]
