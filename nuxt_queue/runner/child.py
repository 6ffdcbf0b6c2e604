"""ChildProcessRunner: a worker file becomes a handler whose jobs run in processes of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from nuxt_queue.errors import ConfigError
from nuxt_queue.rpc import methods
from nuxt_queue.runner.endings import Endings
from nuxt_queue.runner.forked import ForkedProcesses
from nuxt_queue.runner.fresh import FreshProcesses, ProcessSource
from nuxt_queue.runner.launch import Launch, LaunchOptions
from nuxt_queue.runner.pool import WarmProcesses
from nuxt_queue.runner.process import Timeouts
from nuxt_queue.runner.run import JobRun, Terms
from nuxt_queue.runner.runtimes import make_launch
from nuxt_queue.services.context import JobContext, JobHandler
from nuxt_queue.services.payloads import decoded

__all__ = ["ChildProcessRunner", "JobHandle"]

_TERMS = Terms()


class JobHandle:
    """A job under way: await it for its result, or cancel it.

    To cancel the task that awaits it does the same, and gives the outcome up.
    """

    def __init__(self, run: JobRun, job: Mapping[str, Any]) -> None:
        self._run = run
        self._task = asyncio.create_task(self._execute(job))

    def __await__(self) -> Generator[Any, None, Any]:
        return self._task.__await__()

    async def _execute(self, job: Mapping[str, Any]) -> Any:
        return await decoded(await self._run.execute(job))

    def done(self) -> bool:
        """Tell whether it is settled and its process gone."""
        return self._task.done()

    def cancel(self) -> None:
        """Set `ctx.cancelled` in the worker; end its process if it does not come to an end.

        What the handler answers in time is the outcome; otherwise WorkerCancelledError.
        """
        self._run.cancel()


class ChildProcessRunner:
    """Runs a worker file, each job in a process that has no other job meanwhile.

    The runner holds what is the same for all jobs; everything else belongs to one run, so any
    number of jobs may run at once.

    Args:
        worker_path: The worker file.
        runtime: Its name, as `runtimes.make_launch` knows it.
        timeout_ms: How long one job may take, in milliseconds.
        timeouts: The steps of a child's end.
        max_message: The longest line of the protocol, in bytes; 64 MiB when left out.  The worker
            is told, so that what is too long is refused by the call that it was given to.
        max_output: How many bytes of stdout, and of stderr, become log records of a job; 16 MiB
            when left out.
        options: The fields of `LaunchOptions`.

    Raises:
        ConfigError: If the worker, the runtime or a limit cannot be used.
    """

    takes_encoded = True
    """A job may come with parts that are `Encoded`; they are sent as they are."""

    def __init__(
        self,
        worker_path: str | Path,
        runtime: str = "python",
        timeout_ms: int = _TERMS.timeout_ms,
        *,
        timeouts: Timeouts = _TERMS.timeouts,
        max_message: int | None = None,
        max_output: int | None = None,
        **options: Any,
    ) -> None:
        max_message = _TERMS.max_message if max_message is None else max_message
        max_output = _TERMS.max_output if max_output is None else max_output
        for name, value, unit in (
            ("timeout", timeout_ms, "milliseconds"),
            ("max_message", max_message, "bytes"),
            ("max_output", max_output, "bytes"),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
                raise ConfigError(f"{name} is {value!r}; give {unit} above 0")
        launch = make_launch(runtime, Path(worker_path), LaunchOptions(**options))
        told = {methods.ENV_MAX_MESSAGE: str(max_message)}
        self.launch = replace(launch, env={**launch.env, **told})
        self.terms = Terms(timeout_ms, max_message, max_output, timeouts)
        self._endings = Endings()
        self.processes: ProcessSource = _source(self.launch)(self.launch, max_message, timeouts)

    def create_handler(self) -> JobHandler:
        """Return the handler that a manager registers, and closes when it closes."""
        return self

    async def __call__(self, job: Mapping[str, Any], job_context: JobContext) -> Any:
        """Do as `execute` does, with a result that stays `Encoded` where it came as a long text."""
        return await self._run(job_context).execute(job)

    def start(self, job: Mapping[str, Any], job_context: JobContext) -> JobHandle:
        """Start a job and return a handle on it."""
        return JobHandle(self._run(job_context), job)

    async def execute(self, job: Mapping[str, Any], job_context: JobContext) -> Any:
        """Run one job and return its result.

        Raises:
            HandlerError: If the handler raised, or the file could not be imported.
            WorkerTimeoutError: If it took longer than the timeout.
            WorkerCrashedError: If the process ended or broke the protocol without an answer.
            WorkerStartError: If the process could not be started.
        """
        return await decoded(await self._run(job_context).execute(job))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the processes that wait for jobs or are slow to end; running jobs are not touched."""
        await self._endings.close()
        await self.processes.close()

    def _run(self, job_context: JobContext) -> JobRun:
        return JobRun(self.launch, self.processes, self.terms, job_context, self._endings)


def _source(launch: Launch) -> Callable[[Launch, int, Timeouts], ProcessSource]:
    if launch.preload is not None:
        return ForkedProcesses
    return WarmProcesses if launch.reuse else FreshProcesses
