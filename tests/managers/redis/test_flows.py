"""Flows on Redis whose managers are killed."""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from typing import Any

import pytest

from tests.managers.redis.conftest import WAIT_S, ended
from tests.managers.redis.flow_site import MOMENTS, open_site
from tests.redis_server import shared_redis


async def kill_and_rescue(url: str, moment: str) -> dict[str, Any]:
    """Have a process die at a moment of a flow, another go on; return the runs of handlers."""
    prefix = f"t{uuid.uuid4().hex}"
    program = [sys.executable, "-m", "tests.managers.redis.flow_site", url, prefix, moment]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*program, stdout=pipe)
    async with asyncio.timeout(WAIT_S):
        output, _ = await process.communicate()
    assert process.returncode == -signal.SIGKILL
    run_id = output.decode().strip()
    async with open_site(url, prefix) as site:
        await site.serve()
        run = await site.flows.wait(run_id, WAIT_S)
        first = await ended(site.manager, f"{run_id}__first")
        second = await ended(site.manager, f"{run_id}__second")
        runs = await site.runs(run_id)
    assert run.status == "completed"
    assert (first.returnvalue, second.returnvalue) == ("one", {"go": {"n": 1}})
    return runs


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_flow_ends_though_its_manager_is_killed(moment: str) -> None:
    """Faults 60 and 74: another manager goes on; what was recorded does not run again."""
    runs = await kill_and_rescue(shared_redis().url, moment)

    assert runs == {"first": 1 if moment in ("taken", "recorded") else 2, "second": 1}
