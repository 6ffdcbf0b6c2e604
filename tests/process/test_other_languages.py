"""How a worker is ended that does not use the SDK, and ignores that its host hangs up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.errors import WorkerTimeoutError
from nuxt_queue.runner import Timeouts
from tests.process.conftest import QUICK, WAIT_S, Host, is_alive

SHELL: dict[str, Any] = {"runtime": "shell", "command": ("sh",), "timeout_ms": 500}

WAITS = "echo ready >&2\nsleep 60 &\nwait\n"
CLEANS_UP = f"trap 'echo begun >&2; sleep 0.3; echo done >&2; exit 0' TERM\n{WAITS}"


def worker(host: Host, text: str) -> Path:
    path = host.folder / "worker.sh"
    path.write_text(text)
    return path


async def test_it_gets_sigterm_and_the_time_to_act_on_it(host: Host) -> None:
    """A worker with the SDK would end by itself when its stdin is closed."""
    with pytest.raises(WorkerTimeoutError):
        await host.run(worker(host, CLEANS_UP), timeouts=Timeouts(term_s=WAIT_S / 4), **SHELL)

    assert await host.logs() == ["ready", "begun", "done"]


async def test_one_that_takes_longer_than_its_time_is_killed(host: Host) -> None:
    with pytest.raises(WorkerTimeoutError):
        await host.run(worker(host, f"trap '' TERM\n{WAITS}"), timeouts=QUICK, **SHELL)

    assert await host.logs() == ["ready"]
    assert not is_alive(await host.pid())


async def test_what_it_says_after_sigterm_comes_too_late(host: Host) -> None:
    """The job has timed out: its state is not changed any more, and it has no second outcome."""
    call = {"jsonrpc": "2.0", "method": "ctx.state.set", "params": {"key": "k", "value": 1}}
    answer = {"jsonrpc": "2.0", "result": "late", "id": 1}
    lines = "\n".join(json.dumps(each) for each in ({**call, "id": 1_000_001}, answer))
    text = f"trap 'cat late; exit 0' TERM\n{WAITS}"
    (host.folder / "late").write_text(f"{lines}\n")

    with pytest.raises(WorkerTimeoutError):
        await host.run(worker(host, text), timeouts=Timeouts(term_s=WAIT_S / 4), **SHELL)

    assert await host.state.all("run1") == {}


async def test_one_that_is_stopped_is_woken_to_act_on_sigterm(host: Host) -> None:
    text = "trap 'echo woken >&2; exit 0' TERM\necho ready >&2\nkill -STOP $$\n"
    with pytest.raises(WorkerTimeoutError):
        await host.run(worker(host, text), timeouts=Timeouts(term_s=WAIT_S / 4), **SHELL)

    assert await host.logs() == ["ready", "woken"]
