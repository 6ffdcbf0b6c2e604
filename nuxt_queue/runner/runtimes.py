"""Which command, arguments, environment and folder a worker is started with."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nuxt_queue.errors import ConfigError
from nuxt_queue.rpc import methods

__all__ = ["BOOTSTRAP", "Launch", "child_environment", "interpreter", "python_launch"]

# The worker's environment needs nothing installed: this file brings the SDK along.
BOOTSTRAP = Path(__file__).parent.parent / "sdk" / "bootstrap.py"

# What a child may see of its parent's environment.  Everything else may be a secret.
_PASSED = frozenset(
    {
        "HOME", "LOGNAME", "USER", "SHELL", "PATH", "TERM", "LANG", "LANGUAGE", "TZ",
        "TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV",
        "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
        "MPLBACKEND", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONWARNINGS",
        "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX",
    }
)  # fmt: skip
_PASSED_PREFIXES = ("LC_", "XDG_", "OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "CUDA_", "NVIDIA_")


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a worker's process.

    Attributes:
        argv: The command and its arguments; never a shell line.
        env: The child's whole environment.
        cwd: The folder it starts in.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path


def python_launch(
    worker: Path,
    *,
    python: str | None = None,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    env_passthrough: Sequence[str] = (),
    cwd: Path | None = None,
) -> Launch:
    """Say how to run a Python worker.

    Args:
        worker: The worker file.
        python: The interpreter; the running one when left out.
        args: Arguments for the interpreter, before the worker.
        env: Variables to set in the child.
        env_passthrough: Names of the parent's variables to hand on.
        cwd: Where it runs; the worker's own folder when left out, as a notebook's kernel does.

    Raises:
        ConfigError: If the worker is no file.
    """
    path = worker.absolute()
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise ConfigError(f"the worker {worker} {what}; give the path of a .py file")
    argv = (python or sys.executable, "-P", *args, str(BOOTSTRAP), str(path))
    return Launch(argv, child_environment(env or {}, env_passthrough), cwd or path.parent)


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


def child_environment(env: Mapping[str, str], passthrough: Sequence[str] = ()) -> dict[str, str]:
    """Return a child's environment: an allow-list of the parent's, and what was asked for."""
    allowed = _PASSED | set(passthrough)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in allowed or name.startswith(_PASSED_PREFIXES)
    }
    return {
        **inherited,
        "PYTHONUTF8": "1",
        **env,
        methods.ENV_CHILD: "1",
        methods.ENV_FRAMING: "lines",
    }
