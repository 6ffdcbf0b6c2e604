"""The process that leads a job's group, whoever started it, and how one is started from nothing."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import IO, Protocol

from nuxt_queue.rpc import methods
from nuxt_queue.runner.launch import Launch

__all__ = ["Begin", "Ends", "Leader", "spawn"]


class Leader(Protocol):
    """A process that leads a session of its own.

    Until it has been reaped its number is nobody else's, and that of its group neither.
    """

    @property
    def pid(self) -> int:
        """Its process id, which is its group's id too."""

    @property
    def is_reaped(self) -> bool:
        """Whether its number may be somebody else's by now."""

    def has_ended(self) -> bool:
        """Tell whether it has ended; for systems that do not say so by themselves."""

    def reap(self) -> asyncio.Future[int | None]:
        """Reap it once it has ended.

        Returns:
            Its exit code, negative for a signal; None if nobody knows any more.
        """


@dataclass(frozen=True, slots=True)
class Ends:
    """A child's ends of its pipes.

    Attributes:
        requests: What it reads of the protocol.
        answers: What it writes of the protocol.
        printed: Its stdout.
        complaints: Its stderr.
    """

    requests: IO[bytes]
    answers: IO[bytes]
    printed: IO[bytes]
    complaints: IO[bytes]


Begin = Callable[[Ends], Awaitable[Leader]]
"""Starts a process; raises OSError if it cannot be started."""


class _Spawned:
    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.pid = popen.pid

    @property
    def is_reaped(self) -> bool:
        return self._popen.returncode is not None

    def has_ended(self) -> bool:
        return self._popen.poll() is not None

    def reap(self) -> asyncio.Future[int | None]:
        reaped: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        reaped.set_result(self._popen.wait())
        return reaped


async def spawn(launch: Launch, ends: Ends, passed: tuple[int, ...] = ()) -> Leader:
    """Start a process with its ends of the pipes, and of what else is `passed` to it.

    It blocks for the fork only, and must run in the loop's own thread.
    """
    return _Spawned(_popen(launch, ends, passed))


def _popen(launch: Launch, ends: Ends, passed: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """Start it, without a shell and a preexec_fn: both run code between fork and exec."""
    if launch.private_wire:
        stdin, stdout = None, ends.printed
        passed = (*passed, ends.requests.fileno(), ends.answers.fileno())
        told = {methods.ENV_WIRE_FDS: f"{ends.requests.fileno()},{ends.answers.fileno()}"}
    else:
        stdin, stdout = ends.requests, ends.answers
        passed = (*passed, ends.printed.fileno())
        told = {methods.ENV_STDOUT_FD: str(ends.printed.fileno())}
    popen = subprocess.Popen(  # noqa: S603 the command is configured
        launch.argv,
        stdin=stdin or subprocess.DEVNULL,
        stdout=stdout,
        stderr=ends.complaints,
        pass_fds=passed,
        env={**launch.env, **told},
        cwd=launch.cwd,
        start_new_session=True,
    )
    with contextlib.suppress(ProcessLookupError):  # it has ended already
        launch.limits.apply(popen.pid)
    return popen
