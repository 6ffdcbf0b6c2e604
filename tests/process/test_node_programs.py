"""Which Node runs a worker, and what translates its TypeScript: found or refused in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.errors import ConfigError
from nuxt_queue.runner import ChildProcessRunner, Limits
from nuxt_queue.runner.nodejs import NODE_BOOTSTRAP
from tests.process.conftest import WORKERS, Host

ECHO = WORKERS / "node" / "echo.mjs"
TYPESCRIPT = "export default (job: { data: number }) => job.data as number\n"


def fake_node(folder: Path, says: str) -> str:
    """Make a program that answers what Node would answer."""
    node = folder / "node"
    node.write_text(f"#!/bin/sh\necho '{says}'\n")
    node.chmod(0o755)
    return str(node)


def refusal(worker: Path, runtime: str = "node", **options: Any) -> str:
    """Return why a worker cannot be registered."""
    with pytest.raises(ConfigError) as caught:
        ChildProcessRunner(worker, runtime, **options)
    return str(caught.value)


@pytest.mark.parametrize("runtime", ["node", "node-isolated"])
def test_a_node_that_is_not_there_is_an_error_of_the_registration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    """Faults 90: what was looked for, where, and how to fix it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal(ECHO, runtime) == (
        f'runtimes.{runtime}.command: there is no "node" on the path ({tmp_path});'
        " install it, or give its whole path"
    )


def test_a_node_that_is_too_old_is_an_error_of_the_registration(tmp_path: Path) -> None:
    """Faults 90."""
    node = fake_node(tmp_path, "nq-node|18.19.0")
    assert refusal(ECHO, command=(node,)) == (
        f"runtimes.node.command: {node} is Node 18.19; workers need 20 or newer"
    )


def test_a_program_that_is_no_node_is_an_error_of_the_registration(tmp_path: Path) -> None:
    """Faults 90."""
    other = fake_node(tmp_path, "hello")
    assert refusal(ECHO, command=(other,)) == (
        f"runtimes.node.command: {other} is no Node, it answered: hello"
    )


def test_typescript_without_tsx_is_an_error_of_the_registration(tmp_path: Path) -> None:
    """Faults 90: Node 20 cannot run it by itself."""
    folder = tmp_path / "server" / "queues"
    folder.mkdir(parents=True)
    (tmp_path / "package.json").write_text("{}")
    worker = folder / "w.ts"
    worker.write_text(TYPESCRIPT)
    node = fake_node(tmp_path, "nq-node|20.19.5")
    assert refusal(worker, command=(node,)) == (
        f"{worker} is TypeScript, which Node 20.19.5 cannot run: there is no node_modules/tsx in"
        f" {folder} or a folder above it; install it with `npm install --save-dev tsx` in"
        f" {tmp_path}, or use Node 22.18 or newer"
    )


@pytest.mark.parametrize(
    ("version", "suffix", "flags"),
    [
        ("20.0.0", ".js", []),
        ("20.10.0", ".js", ["--experimental-detect-module"]),
        (
            "20.18.3",
            ".js",
            ["--experimental-detect-module", "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"],
        ),
        ("20.19.0", ".js", ["--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"]),
        ("22.7.0", ".mjs", ["--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"]),
        *(
            (
                version,
                suffix,
                [
                    "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
                    "--disable-warning=ExperimentalWarning",
                ],
            )
            for version, suffix in (("22.18.0", ".ts"), ("23.6.0", ".mts"), ("24.0.1", ".cts"))
        ),
    ],
)
def test_each_node_is_told_what_it_does_not_do_by_itself(
    tmp_path: Path, version: str, suffix: str, flags: list[str]
) -> None:
    worker = tmp_path / f"w{suffix}"
    worker.write_text("")
    node = fake_node(tmp_path, f"nq-node|{version}")
    launch = ChildProcessRunner(worker, "node-isolated", command=(node,)).launch
    assert launch.argv == (node, *flags, str(NODE_BOOTSTRAP), str(worker))


@pytest.mark.parametrize("version", ["22.17.1", "23.5.0"])
def test_a_node_that_cannot_translate_yet_needs_tsx(tmp_path: Path, version: str) -> None:
    worker = tmp_path / "w.ts"
    worker.write_text(TYPESCRIPT)
    node = fake_node(tmp_path, f"nq-node|{version}")
    assert f"which Node {version} cannot run" in refusal(worker, command=(node,))


def test_tsx_needs_a_node_that_can_be_told_how_to_load(node_project: Path) -> None:
    worker = node_project / "w.ts"
    worker.write_text(TYPESCRIPT)
    node_project.joinpath("bin").mkdir()
    node = fake_node(node_project / "bin", "nq-node|20.5.1")
    assert refusal(worker, command=(node,)) == (
        f"{worker} is TypeScript, which tsx translates for Node 20.6 or newer"
    )


def test_settings_reach_the_command(tmp_path: Path) -> None:
    node = fake_node(tmp_path, "nq-node|20.0.0")
    options: dict[str, Any] = {
        "command": (node,),
        "args": ("--no-warnings",),
        "limits": Limits(memory_mb=100, open_files=50),
    }
    launch = ChildProcessRunner(ECHO, "node", **options).launch
    assert launch.argv == (
        node,
        "--max-old-space-size=100",
        "--no-warnings",
        str(NODE_BOOTSTRAP),
        "--reuse",
        str(ECHO),
    )
    assert launch.limits == Limits(open_files=50)
    assert launch.reuse
    assert not ChildProcessRunner(ECHO, "node", process="spawn", **options).launch.reuse
    assert "only Python can" in refusal(ECHO, "node", process="fork", **options)


async def test_tsx_of_the_worker_s_project_translates(host: Host, node_project: Path) -> None:
    folder = node_project / "server" / "queues"
    folder.mkdir(parents=True)
    (folder / "w.ts").write_text(TYPESCRIPT)
    assert await host.run(folder / "w.ts", 7, runtime="node-isolated") == 7


async def test_secrets_of_the_parent_do_not_reach_node(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults 94."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("NODE_ENV", "production")
    worker = host.folder / "env.mjs"
    worker.write_text("export default () => process.env")
    env = await host.run(worker, runtime="node-isolated", env={"GIVEN": "1"})
    assert "canary" not in env.values()
    assert (env["GIVEN"], env["NODE_ENV"]) == ("1", "production")
