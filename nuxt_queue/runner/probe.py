"""Asks an interpreter who it is, before any job depends on it."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nuxt_queue.errors import ConfigError
from nuxt_queue.runner.launch import child_environment

__all__ = ["OLDEST", "OLDEST_NODE", "node_of", "python_of"]

OLDEST = (3, 11)
OLDEST_NODE = 20

_ASK_S = 20.0  # for an answer: a launcher may have to make an environment first
_SHOWN = 120  # characters of a wrong answer in a message
# Old Pythons must understand it as well, to be told that they are too old.
_QUESTION = (
    "import sys; print('nq-python|%d.%d|%s' % (sys.version_info[:2] + (sys.executable or '',)))"
)
_ANSWER = re.compile(r"^nq-python\|(\d+)\.(\d+)\|(.*)$", re.MULTILINE)
_NODE_QUESTION = "console.log('nq-node|' + process.versions.node)"
_NODE_ANSWER = re.compile(r"^nq-node\|(\d+)\.(\d+)\.(\d+)", re.MULTILINE)


@functools.lru_cache  # a folder of workers asks the same interpreter once
def python_of(command: tuple[str, ...], root: Path, where: str) -> str:
    """Return the interpreter that a command turns out to be.

    Args:
        command: The program, resolved, and arguments that belong to it.
        root: The folder to ask in: a version manager decides by folder.
        where: The setting to name in an error.

    Raises:
        ConfigError: It does not start, is no Python, or is one that is too old for a worker.
    """
    shown = " ".join(command)
    answer = _answer((*command, "-c", _QUESTION), root, f"{where}: {shown}", "Python")
    found = _ANSWER.search(answer)
    if found is None:
        fix = "; for a program that takes the file itself, name a runtime of your own"
        raise ConfigError(f"{where}: {shown} is no Python, it answered: {_last(answer)}{fix}")
    major, minor, executable = found.groups()
    if (int(major), int(minor)) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ConfigError(
            f"{where}: {shown} is Python {major}.{minor}; workers need {oldest} or newer"
        )
    return executable


@functools.lru_cache
def node_of(command: tuple[str, ...], root: Path, where: str) -> tuple[int, int, int]:
    """Return the version of the Node that a command turns out to be; arguments as `python_of`.

    Raises:
        ConfigError: It does not start, is no Node, or is one that is too old for a worker.
    """
    shown = " ".join(command)
    answer = _answer((*command, "-e", _NODE_QUESTION), root, f"{where}: {shown}", "Node")
    found = _NODE_ANSWER.search(answer)
    if found is None:
        raise ConfigError(f"{where}: {shown} is no Node, it answered: {_last(answer)}")
    major, minor, patch = map(int, found.groups())
    if major < OLDEST_NODE:
        raise ConfigError(
            f"{where}: {shown} is Node {major}.{minor}; workers need {OLDEST_NODE} or newer"
        )
    return major, minor, patch


def _answer(argv: Sequence[str], root: Path, what: str, kind: str) -> str:
    try:
        return _ask(argv, root)
    except OSError as error:
        raise ConfigError(f"{what} cannot be started: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{what} did not answer within {_ASK_S:g} s; name a {kind}") from None


def _last(answer: str) -> str:
    return (answer.strip().splitlines() or ["nothing"])[-1][:_SHOWN]


def _ask(argv: Sequence[str], root: Path) -> str:
    """Run a short command to its end and return what it wrote.

    It writes to a file: a pipe could be held open by something that it leaves behind.
    """
    with tempfile.TemporaryFile() as said:
        popen = subprocess.Popen(  # noqa: S603 the command is configured; no shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=child_environment({}),
            cwd=root,
            start_new_session=True,
        )
        try:
            popen.wait(_ASK_S)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()
            raise
        said.seek(0)
        return said.read(1 << 16).decode("utf-8", "replace")
