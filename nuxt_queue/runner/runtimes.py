"""Which launch a runtime means, and which program its settings name."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from nuxt_queue.errors import ConfigError
from nuxt_queue.runner.launch import Launch, LaunchOptions, child_environment, worker_file

__all__ = ["BOOTSTRAP", "interpreter", "make_launch"]

# The worker's environment needs nothing installed: this file brings the SDK along.
BOOTSTRAP = Path(__file__).parent.parent / "sdk" / "bootstrap.py"


def make_launch(runtime: str, worker: Path, options: LaunchOptions) -> Launch:
    """Say how to start a worker of a runtime.

    Args:
        runtime: `python`, or the name of any command that speaks the protocol.
        worker: The worker file.
        options: What the settings say.

    Raises:
        ConfigError: If the worker is no file, or the runtime is unknown and has no command.
    """
    path = worker_file(worker)
    if runtime == "python":
        command = (*(options.command or (sys.executable,)), "-P", *options.args, str(BOOTSTRAP))
    elif options.command:
        command = (*options.command, *options.args)
    else:
        raise ConfigError(f"unknown runtime {runtime!r} for {worker}; known: python")
    return Launch(
        (*command, str(path)),
        child_environment(options.env, options.env_passthrough),
        options.cwd or path.parent,
        options.limits,
    )


def interpreter(command: str | None, venv: str | None, root: Path) -> str:
    """Find the Python that the settings of a runtime name.

    Args:
        command: A program, looked up on the path, or below `root` when it has a slash.
        venv: A virtual environment below `root`; it wins.
        root: The project's folder.

    Returns:
        The interpreter; the running one when neither is given.

    Raises:
        ConfigError: If it is not there; says what was looked for, where, and how to fix it.
    """
    if venv is not None:
        python = root / venv / "bin" / "python"
        if not python.is_file():
            fix = f"make it with: python3 -m venv {root / venv}"
            raise ConfigError(f"runtimes.python.venv: there is no {python}; {fix}")
        return str(python)
    if command is None:
        return sys.executable
    if "/" in command:
        python = root / command
        if not os.access(python, os.X_OK) or python.is_dir():
            raise ConfigError(
                f"runtimes.python.command: {python} is no program that can be run; name another"
            )
        return str(python)
    found = shutil.which(command)
    if found is None:
        raise ConfigError(
            f"runtimes.python.command: there is no {command!r} on the path; give its whole path"
        )
    return found
