"""Workers that fork: a copy never speaks on the wire (faults 85 and 87)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.process.conftest import BOTH_WAYS, QUICK, Host

HOSTS = BOTH_WAYS

WAYS: dict[str, Any] = {
    "fork": {"copy exited": 0, "state": 5},
    "fork that calls": {"copy exited": True, "state": 5},
    "fork that raises": {"state": 5},
    "fork that exits": {"state": 5},
    "async fork": {"state": 5},
    "spawn pool": [0, 1, 4, 9, 16],
    "fork pool": [0, 1, 4, 9, 16],
    "forkserver pool": [0, 1, 4, 9, 16],
    "executor": [0, 1, 4, 9, 16],
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_worker_that_makes_copies_of_itself_answers_once(host: Host, way: str) -> None:
    """Faults 85: one result, from the worker itself."""
    await host.state.set("run1", "k", 5)

    assert await host.run("forks.py", way, timeouts=QUICK) == WAYS[way]

    assert await host.state.get("run1", "k") == 5
    assert "the copy speaks" not in await host.logs()


@pytest.mark.parametrize(
    "what",
    [
        "environ",
        "chdir",
        "gc",
        "warnings",
        "recursion",
        "signals",
        "faulthandler",
        "excepthook",
        "stdout",
        "loop",
        "modules",
        "path",
    ],
)
async def test_a_handler_may_change_its_process_as_it_likes(host: Host, what: str) -> None:
    """Faults 87."""
    assert await host.run("changes_its_world.py", what, timeouts=QUICK) == {"k": ["a"]}
    assert "still here" in await host.logs()
