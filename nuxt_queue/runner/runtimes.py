"""Which launch a runtime means."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nuxt_queue.errors import ConfigError
from nuxt_queue.rpc import methods
from nuxt_queue.runner.launch import Launch, LaunchOptions, child_environment, worker_file
from nuxt_queue.runner.nodejs import NODE_RUNTIMES, node_launch
from nuxt_queue.runner.programs import runs_scripts

__all__ = ["BOOTSTRAP", "FORK_SERVER", "make_launch"]

# The worker's environment needs nothing installed: this file brings the SDK along.
BOOTSTRAP = Path(__file__).parent.parent / "sdk" / "bootstrap.py"
FORK_SERVER = BOOTSTRAP.with_name("forkserver.py")
# The same for a worker in Python that a command of the settings starts: it finds the SDK here.
_LENT = Path(__file__).parent.parent / "sdk" / "lent"


def make_launch(runtime: str, worker: Path, options: LaunchOptions) -> Launch:
    """Say how to start a worker of a runtime.

    Args:
        runtime: `python`, `node`, `node-isolated`, or the name of any command that speaks the
            protocol.
        worker: The worker file.
        options: What the settings say.

    Raises:
        ConfigError: If the worker is no file, the runtime is unknown and has no command, or what
            it needs, or the way in which a process is to be had, is not there.
    """
    path = worker_file(worker)
    if runtime in NODE_RUNTIMES:
        return node_launch(runtime, path, options)
    if runtime == "python" and not runs_scripts(options.command):
        return _python_launch(path, options)
    if options.command:
        return _command_launch(runtime, path, options)
    known = ", ".join(("python", *NODE_RUNTIMES))
    raise ConfigError(f"unknown runtime {runtime!r} for {worker}; known: {known}")


def _python_launch(path: Path, options: LaunchOptions) -> Launch:
    forks = options.process == "fork"
    if forks and sys.platform != "linux":
        raise ConfigError(
            'runtimes.python.process is "fork", which is for Linux: on macOS a copy of a process'
            ' that has loaded the frameworks of the system may crash; use "spawn" or "reuse"'
        )
    reuse = options.process == "reuse"
    script = str(FORK_SERVER if forks else BOOTSTRAP)
    return Launch(
        (*(options.command or (sys.executable,)), "-P", *options.args, script, str(path)),
        {
            **child_environment(options.env, options.env_passthrough),
            **({methods.ENV_REUSE: "1"} if reuse else {}),
        },
        options.cwd or path.parent,
        options.limits,
        announces_start=True,
        reuse=reuse,
        preload=tuple(options.preload) if forks else None,
    )


def _command_launch(runtime: str, path: Path, options: LaunchOptions) -> Launch:
    if options.process not in (None, "spawn"):
        raise ConfigError(
            f'runtimes.{runtime}.process is "{options.process}", but its command runs one job and'
            ' ends; use "spawn"'
        )
    env = child_environment(options.env, options.env_passthrough)
    if path.suffix == ".py":
        found = env.get("PYTHONPATH")
        env["PYTHONPATH"] = os.pathsep.join((str(_LENT), found) if found else (str(_LENT),))
    return Launch(
        (*options.command, *options.args, str(path)),
        env,
        options.cwd or path.parent,
        options.limits,
        announces_start=runtime == "python",
    )
