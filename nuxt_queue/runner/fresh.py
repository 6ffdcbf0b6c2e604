"""Where a job's process comes from: a fresh one for each job."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from nuxt_queue.runner.launch import Launch
from nuxt_queue.runner.leader import spawn
from nuxt_queue.runner.process import ChildProcess, Listener, Timeouts

__all__ = ["FreshProcesses", "ProcessSource"]


class ProcessSource(Protocol):
    """Lends a job its process."""

    async def take(self, listener: Listener) -> ChildProcess:
        """Return a process that is ready for a job; its lines go to `listener`.

        Raises:
            OSError: If it cannot be started.
        """

    async def give_back(self, process: ChildProcess, *, answered: bool) -> bool:
        """Take a process back; when this returns nothing of the job is running.

        Args:
            process: What `take` returned.
            answered: Whether it has answered its job.  If not, it is ended at once.

        Returns:
            Whether it did what it should after an answer: end by itself, or be ready for another.
        """

    async def close(self) -> None:
        """End what waits for jobs."""


class FreshProcesses:
    """Starts a process for each job and ends it with the job."""

    def __init__(self, launch: Launch, max_message: int, timeouts: Timeouts) -> None:
        self._launch, self._max_message, self._timeouts = launch, max_message, timeouts

    async def take(self, listener: Listener) -> ChildProcess:
        """Start a process."""
        return await ChildProcess.start(
            partial(spawn, self._launch),
            listener,
            max_message=self._max_message,
            timeouts=self._timeouts,
        )

    async def give_back(self, process: ChildProcess, *, answered: bool) -> bool:
        """End the process; say whether it ended by itself."""
        return await process.end(gently=answered)

    async def close(self) -> None:
        """Do nothing: no process waits for a job."""
