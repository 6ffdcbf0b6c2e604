"""What user code does with the standard streams never touches the wire (faults A3)."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest

from nuxt_queue.errors import HandlerError, WorkerCrashedError
from nuxt_queue.runner.fresh import FreshProcesses
from nuxt_queue.services.events import Event
from tests.process.conftest import BOTH_WAYS, QUICK, SCOPE, WORKERS, Host, settled

HOSTS = BOTH_WAYS


async def test_everything_that_is_printed_is_a_log_line_and_nothing_else(host: Host) -> None:
    """Faults 21: print, os.write, C, a shell, a subprocess, at every time."""
    assert await host.run("prints_everywhere.py") == "answered"

    assert sorted(await host.printed()) == sorted(
        [
            "at import",
            "print",
            "no newline",
            "sys.stdout",
            "sys.__stdout__",
            "buffer",
            "os.write",
            "puts",
            "os.system",
            "subprocess",
            "bytes \\xff\\xfe",
            "é😀",
            "at exit",
        ]
    )
    assert await host.printed("stderr") == ["to stderr"]
    lines = await host.events("log")
    assert {line["level"] for line in lines} == {"info"}


async def test_a_printed_message_is_never_believed(host: Host) -> None:
    """Faults 22, and host-contract 7 row 9: 0 of 1,000 forged results, calls and log lines."""
    assert await host.run("forges_messages.py", 250) == {"k": None}

    assert await host.state.all("run1") == {}
    assert len(await host.printed()) == 500
    assert len(await host.printed("stderr")) == 250
    assert "FORGED" not in await host.logs()


@pytest.mark.parametrize("way", ["fd 0", "fd 1", "fd 2", "stdout", "stderr", "stdin", "none"])
async def test_closing_the_standard_streams_is_harmless(host: Host, way: str) -> None:
    """Faults 23."""
    await host.state.set("run1", "k", 5)
    assert await host.run("closes_streams.py", way) == {"k": 5}


@pytest.mark.parametrize("way", ["range", "range and return"])
async def test_closing_the_channel_itself_fails_the_job_at_once(host: Host, way: str) -> None:
    """Faults 23: nobody waits for the timeout."""
    with pytest.raises(WorkerCrashedError) as caught:
        await host.run("closes_streams.py", way, timeouts=QUICK)
    # The worker's reader may notice it first, and ends the process then.
    assert caught.value.reason in (
        "closed the protocol channel",
        "exited with code 0 without a result",
    )


@pytest.mark.parametrize(
    ("way", "kind"), [("input", "EOFError"), ("pdb", "BdbQuit"), ("getpass", "EOFError")]
)
async def test_asking_somebody_who_is_not_there_is_an_error(
    host: Host, way: str, kind: str
) -> None:
    """Faults 29."""
    with pytest.raises(HandlerError) as caught:
        await host.run("reads_stdin.py", way)
    assert caught.value.type == kind


async def test_reading_stdin_finds_its_end(host: Host) -> None:
    """Faults 29."""
    assert await host.run("reads_stdin.py", "read") == ""


async def test_a_printed_line_is_a_log_line_while_the_job_still_runs(host: Host) -> None:
    worker = host.folder / "worker.py"
    worker.write_text(
        "import time\n"
        "def handler(job, ctx):\n"
        "    print('here')\n"
        "    while ctx.state.get('seen') is None:\n"
        "        time.sleep(0.01)\n"
        "    return 'seen'\n"
    )

    async def see(event: Event) -> None:
        if event.type == "log":
            await host.state.set("run1", "seen", 1)

    host.service.bus.subscribe(see)

    assert await host.run(worker, timeout_ms=5_000) == "seen"


async def test_text_without_a_newline_arrives_in_pieces(host: Host) -> None:
    """Faults 24, small: captured lines are split at 64 KiB."""
    worker = host.folder / "worker.py"
    worker.write_text(
        "import sys\n"
        "def handler(job, ctx):\n"
        "    sys.stdout.write('x' * 500_000)\n"
        "    sys.stderr.write('y' * 100_000 + '\\n')\n"
    )
    await host.run(worker)
    for stream, text in (("stdout", "x" * 500_000), ("stderr", "y" * 100_000)):
        pieces = await host.printed(stream)
        assert "".join(pieces) == text
        assert max(map(len, pieces)) == 65_536


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_a_result_over_the_limit_fails_the_job_and_says_so(host: Host, over: int) -> None:
    """Faults 24 and 25: limit - 1, limit, limit + 1."""
    limit = 200_000
    overhead = len('{"jsonrpc":"2.0","result":"","id":1}')
    data = "x" * (limit - overhead + over)
    job = host.run("echo.py", data, max_message=limit, timeouts=QUICK)
    if over <= 0:
        assert await job == data
        return
    with pytest.raises(HandlerError) as caught:
        await job
    assert str(caught.value) == (
        "ValuePathError: result is 200,001 bytes of JSON, and worker.max_message allows 200,000;"
        " write a file and pass its path"
    )


async def test_full_pipes_on_all_sides_do_not_lock_up(host: Host) -> None:
    """Faults 26: the job is larger than a pipe, and the child writes before it reads."""
    size = 5_000_000
    assert await host.run("floods_at_import.py", "x" * size) == size
    assert len(await host.printed()) == len(await host.printed("stderr")) == 1_000
    assert len(await host.logs()) == 4_000


@pytest.mark.parametrize(
    "env", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONUTF8": "0"}]
)
async def test_the_child_s_encoding_does_not_matter(host: Host, env: dict[str, str]) -> None:
    """Faults 32: the wire is bytes."""
    worker = host.folder / "worker.py"
    worker.write_text("def handler(job, ctx):\n    print('é😀')\n    return job['data'] + 'é😀'\n")
    assert await host.run(worker, "ü", env=env) == "üé😀"
    assert await host.printed() == ["é😀"]


async def test_the_order_of_printed_lines_is_kept(host: Host) -> None:
    worker = host.folder / "worker.py"
    worker.write_text("def handler(job, ctx):\n    for n in range(2_000): print(n)\n")
    await host.run(worker)
    assert await host.printed() == [str(n) for n in range(2_000)]


async def test_a_worker_that_does_not_speak_the_protocol_is_ended(host: Host) -> None:
    """Faults 45: more than a hundred lines that are no messages."""
    worker = host.folder / "worker.py"
    worker.write_text(WRITES_GARBAGE)
    with pytest.raises(WorkerCrashedError, match="broke the protocol more than 100 times"):
        await host.run(worker, timeouts=QUICK)


async def test_a_few_lines_of_garbage_are_survived(host: Host) -> None:
    worker = host.folder / "worker.py"
    worker.write_text(WRITES_GARBAGE.replace("10_000", "50"))
    data: dict[str, Any] = {"x": 1}
    assert await host.run(worker, data) == data


WRITES_GARBAGE = """
import os
from nuxt_queue.sdk.stdio import claimed

def handler(job, ctx):
    for n in range(10_000):
        claimed().write(b"garbage\\n")
    return job["data"]
"""


async def test_a_runtime_that_cannot_move_its_stdout_has_a_wire_of_its_own(host: Host) -> None:
    """Faults 21 and 22: what it prints, a forged answer included, is output."""
    runner = host.runner("speaks_over_a_private_wire.py")
    command = (sys.executable, str(WORKERS / "speaks_over_a_private_wire.py"))
    runner.launch = replace(runner.launch, argv=command, private_wire=True)
    runner.processes = FreshProcesses(runner.launch, 1 << 20, QUICK)

    got = await settled(runner.execute({"id": "1", "data": {"x": 1}}, host.service.for_job(SCOPE)))

    assert got == {"data": {"x": 1}, "stdin": ""}
    assert await host.printed() == ["on stdout", '{"jsonrpc": "2.0", "id": 1, "result": "FORGED"}']
