"""A serving process is told to stop: nothing is lost, nothing is left (faults A6)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.runner.sweep import marked, new_marks, put_mark
from tests.process.conftest import WAIT_S, is_alive

PARENT = Path(__file__).parent / "serving_parent.py"


@dataclass
class Serving:
    """A serving process with all but one of its jobs running.

    Attributes:
        process: It.
        pids: The processes of the running jobs.
    """

    process: asyncio.subprocess.Process
    pids: list[int]

    async def line(self) -> Any:
        """Read one line of JSON that it prints."""
        assert self.process.stdout is not None
        return json.loads(await asyncio.wait_for(self.process.stdout.readline(), WAIT_S))

    async def status(self) -> int:
        """Wait for its end."""
        return await asyncio.wait_for(self.process.wait(), WAIT_S)


@asynccontextmanager
async def serving(grace_s: float, *jobs: dict[str, Any]) -> AsyncIterator[Serving]:
    """Start a serving process with these jobs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PARENT),
        str(grace_s),
        json.dumps(jobs),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    found = Serving(process, [])
    try:
        found.pids = await found.line()
        yield found
        await gone(found.pids)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def gone(pids: list[int]) -> None:
    """Wait until none of these processes is alive."""
    async with asyncio.timeout(WAIT_S):
        while any(map(is_alive, pids)):  # noqa: ASYNC110 they are not our children
            await asyncio.sleep(0.005)


FOR_EVER: dict[str, Any] = {}
DEAF = {"deaf": True}


async def test_running_jobs_finish_within_the_grace_and_the_rest_waits(tmp_path: Path) -> None:
    """Faults 53: no new job starts, exit status 0, 0 lost."""
    file = tmp_path / "now"
    job = {"until": str(file)}
    async with serving(WAIT_S, job, job, job) as found:
        found.process.send_signal(signal.SIGTERM)
        file.touch()
        states = await found.line()
        assert await found.status() == 0
    assert states == {"0": ["completed", 1], "1": ["completed", 1], "2": ["waiting", 0]}


async def test_twenty_jobs_that_outlast_the_grace_wait_again_and_have_used_no_attempt() -> None:
    """Faults 53: asked, ended, requeued; with the processes that left their groups."""
    async with serving(0.1, *[FOR_EVER] * 21) as found:
        assert len(found.pids) == 40
        found.process.send_signal(signal.SIGTERM)
        states = await found.line()
        assert await found.status() == 0
    assert states == {str(n): ["waiting", 0] for n in range(21)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_kills_at_once_and_loses_nothing(number: signal.Signals) -> None:
    """Faults 54: jobs that ignore signals, under a grace of an hour."""
    async with serving(3600, DEAF, DEAF, FOR_EVER) as found:
        found.process.send_signal(number)
        await asyncio.sleep(0.05)  # two signals at once are one for the kernel
        found.process.send_signal(number)
        states = await found.line()
        assert await found.status() == 1
    assert states == {"0": ["waiting", 0], "1": ["waiting", 0], "2": ["waiting", 0]}


async def test_a_ctrl_c_in_a_terminal_reaches_the_server_and_not_its_jobs(tmp_path: Path) -> None:
    """Faults 55: a terminal signals the whole group; jobs are in groups of their own."""
    file = tmp_path / "now"
    job = {"until": str(file)}
    async with serving(WAIT_S, job, FOR_EVER) as found:
        os.killpg(found.process.pid, signal.SIGINT)
        file.touch()
        assert await found.line() == {"0": ["completed", 1], "1": ["waiting", 0]}
        assert await found.status() == 0


async def test_a_hangup_stops_it_as_well() -> None:
    """Faults 55."""
    async with serving(0, FOR_EVER, FOR_EVER) as found:
        found.process.send_signal(signal.SIGHUP)
        assert await found.line() == {"0": ["waiting", 0], "1": ["waiting", 0]}
        assert await found.status() == 0


async def test_an_idle_server_stops_at_once() -> None:
    """Faults 55."""
    async with serving(3600) as found:
        found.process.send_signal(signal.SIGTERM)
        assert await found.line() == {}
        assert await found.status() == 0


@pytest.mark.parametrize("delay_s", [n / 40 for n in range(20)])
async def test_a_server_stopped_while_it_starts_leaves_no_process(delay_s: float) -> None:
    """Faults 55: before it hears signals the default action ends it, and the reaper the rest."""
    mark = new_marks()[0]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PARENT),
        "0",
        json.dumps([FOR_EVER] * 3),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    put_mark(process.pid, mark)
    await asyncio.sleep(delay_s)  # the fault itself: at some point of the start
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.wait(), WAIT_S)
    async with asyncio.timeout(WAIT_S):
        while marked(range(mark, mark + 1)):  # noqa: ASYNC110 they are not our children
            await asyncio.sleep(0.005)
