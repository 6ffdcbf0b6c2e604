"""Finds the program that the settings of a runtime name: once, when its workers are registered.

What is not there is an error then, and not one of the first job; and what a version manager puts
in front of an interpreter is paid for once, and not by every job.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from nuxt_queue.config import RuntimeConfig
from nuxt_queue.errors import ConfigError
from nuxt_queue.runner.probe import python_of

__all__ = ["find_program", "resolve_command", "runs_scripts"]

_SHIMS = "shims"  # where pyenv, asdf and mise keep what stands in front of the real program
_LISTED = 6  # folders of the path in a message


def resolve_command(name: str, config: RuntimeConfig, root: Path) -> tuple[str, ...]:
    """Return the program of a runtime and the arguments that belong to it.

    `command` is split as a shell would, and started without one.  Its program is looked up in the
    `bin` of `venv` if there is one, else on the path; one with a slash is below `root`.

    Args:
        name: The runtime.
        config: Its settings.
        root: The project's folder.

    Returns:
        The command; empty when neither `command` nor `venv` is stated.

    Raises:
        ConfigError: It is not there or cannot be used; says what was looked for, where, and how to
            fix it.
    """
    where = f"runtimes.{name}"
    if config.command is None and config.venv is None:
        return ()
    bin_folder = None if config.venv is None else _bin_of(f"{where}.venv", root / config.venv)
    setting = f"{where}.{'venv' if config.command is None else 'command'}"
    first, *rest = _words(setting, config.command or "python")
    command = (find_program(setting, first, root, bin_folder), *rest)
    if name != "python" or runs_scripts(command):
        return command
    executable = python_of(command, root, setting)
    is_shim = Path(command[0]).parent.name == _SHIMS
    return (executable,) if is_shim and executable and not rest else command


def runs_scripts(command: tuple[str, ...]) -> bool:
    """Tell whether a command of Python takes the worker file itself, as `uv run --script` does."""
    return "--script" in command[1:]


def find_program(setting: str, program: str, root: Path, bin_folder: Path | None = None) -> str:
    """Return where a program is.

    Args:
        setting: The setting to name in an error.
        program: Its name, or its path below `root`.
        root: The project's folder.
        bin_folder: Where to look instead of on the path.

    Raises:
        ConfigError: It is not there, or cannot be run.
    """
    if "/" not in program:
        return _look_up(setting, program, bin_folder)
    path = root / Path(program).expanduser()
    if bin_folder is not None and not path.is_relative_to(bin_folder):
        raise ConfigError(
            f"{setting}: {path} is not in {bin_folder}; state the command or the venv, not both"
        )
    if problem := _unusable(path):
        raise ConfigError(f"{setting}: {path} {problem}")
    return str(path)


def _look_up(setting: str, program: str, bin_folder: Path | None) -> str:
    path = os.environ.get("PATH", os.defpath) if bin_folder is None else str(bin_folder)
    found = shutil.which(program, path=path)
    if found is not None:
        return found
    if bin_folder is not None:
        inside = bin_folder / program
        problem = _unusable(inside) or "cannot be run"
        raise ConfigError(f"{setting}: {inside} {problem}")
    raise ConfigError(
        f'{setting}: there is no "{program}" on the path ({_listed(path)});'
        " install it, or give its whole path"
    )


def _bin_of(setting: str, venv: Path) -> Path:
    python = venv / "bin" / "python"
    if python.is_file():
        return python.parent
    fix = f"make it with: python3 -m venv {shlex.quote(str(venv))}"
    if python.is_symlink():
        target = python.readlink()
        fix = f"its Python was removed; {fix} --clear"
        raise ConfigError(f"{setting}: {python} leads to {target}, which is not there; {fix}")
    if venv.is_dir():
        raise ConfigError(f"{setting}: {venv} is no virtual environment, it has no {python}; {fix}")
    raise ConfigError(f"{setting}: there is no {venv}; {fix}")


def _words(setting: str, command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"{setting}: {command!r} cannot be split: {error}") from None
    if not words or not words[0]:
        raise ConfigError(f"{setting}: {command!r} names no program")
    return words


def _unusable(path: Path) -> str | None:
    """Say why a path is no program, if it is none."""
    if path.is_dir():
        return "is a directory; name the program in it"
    if not path.exists():
        if path.is_symlink():
            return f"leads to {path.readlink()}, which is not there"
        return "does not exist; name another program"
    if not os.access(path, os.X_OK):
        return "may not be executed; name a program, or allow it with chmod +x"
    return None


def _listed(path: str) -> str:
    folders = [folder for folder in path.split(os.pathsep) if folder]
    if not folders:
        return "PATH is empty"
    more = len(folders) - _LISTED
    return ", ".join(folders[:_LISTED]) + (f" and {more} more" if more > 0 else "")
