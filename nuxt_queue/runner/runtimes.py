"""Which launch a runtime means."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nuxt_queue.errors import ConfigError
from nuxt_queue.runner.launch import Launch, LaunchOptions, child_environment, worker_file
from nuxt_queue.runner.nodejs import NODE_RUNTIMES, node_launch
from nuxt_queue.runner.programs import runs_scripts

__all__ = ["BOOTSTRAP", "make_launch"]

# The worker's environment needs nothing installed: this file brings the SDK along.
BOOTSTRAP = Path(__file__).parent.parent / "sdk" / "bootstrap.py"
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
            it needs is not there.
    """
    path = worker_file(worker)
    if runtime in NODE_RUNTIMES:
        return node_launch(runtime, path, options)
    env = child_environment(options.env, options.env_passthrough)
    if runtime == "python" and not runs_scripts(options.command):
        command = (*(options.command or (sys.executable,)), "-P", *options.args, str(BOOTSTRAP))
    elif options.command:
        command = (*options.command, *options.args)
        if path.suffix == ".py":
            found = env.get("PYTHONPATH")
            env["PYTHONPATH"] = os.pathsep.join((str(_LENT), found) if found else (str(_LENT),))
    else:
        known = ", ".join(("python", *NODE_RUNTIMES))
        raise ConfigError(f"unknown runtime {runtime!r} for {worker}; known: {known}")
    return Launch(
        (*command, str(path)),
        env,
        options.cwd or path.parent,
        options.limits,
        announces_start=runtime == "python",
    )
