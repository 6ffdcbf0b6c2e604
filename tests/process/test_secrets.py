"""What a child sees of its parent: an allow-list, and no descriptor (faults 94 and 95)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.process.conftest import Host

CANARY = "canary-5f2d"
SECRETS = [
    "AWS_SECRET_ACCESS_KEY",
    "REDIS_URL",
    "GITHUB_TOKEN",
    "DATABASE_URL",
    "NQ_SECRET",
    "PASSWORD",
    "npm_config_token",
    "SSH_AUTH_SOCK",
]


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets in the parent's environment."""
    for name in SECRETS:
        monkeypatch.setenv(name, f"{CANARY}-{name}")


@pytest.mark.usefixtures("secrets")
async def test_no_secret_of_the_parent_reaches_a_child(host: Host) -> None:
    """Faults 94: environment, arguments, grandchildren, log lines."""
    got = await host.run("shows_its_world.py", {"data": "job data"})

    assert CANARY not in repr(got)
    assert not set(SECRETS) & set(got["env"])
    assert "job data" not in got["cmdline"]
    assert CANARY not in repr(await host.service.bus.read("run1"))
    assert got["env"]["PATH"] == os.environ["PATH"]
    # The marks of the protocol are the SDK's: what the worker starts is an ordinary process.
    for mark in ("NUXT_QUEUE_CHILD_PROCESS", "NQ_RPC_FRAMING", "NQ_STDOUT_FD"):
        assert f"{mark}=" in got["initial"]
        assert mark not in got["env"]
        assert mark not in got["grandchild"]


@pytest.mark.usefixtures("secrets")
async def test_what_is_asked_for_is_passed_on(host: Host) -> None:
    got = await host.run(
        "shows_its_world.py", env={"MODEL": "a=b c"}, env_passthrough=["REDIS_URL", "NOT_SET"]
    )
    assert got["env"]["MODEL"] == "a=b c"
    assert got["env"]["REDIS_URL"] == f"{CANARY}-REDIS_URL"
    assert "NOT_SET" not in got["env"]
    assert "GITHUB_TOKEN" not in got["env"]


async def test_no_descriptor_of_the_parent_reaches_a_child(host: Host, tmp_path: Path) -> None:
    """Faults 95: 0, 1, 2 and the two ends of the wire."""
    with (tmp_path / "secrets").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        got = await host.run("shows_its_world.py")
    assert len(got["fds"]) == 5
    assert got["fds"][:3] == [0, 1, 2]
