"""What has been registered: the handlers of each queue, whatever their runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nuxt_queue.config import KNOWN_RUNTIMES, home_runtime
from nuxt_queue.errors import QueueError, WorkerNotFoundError
from nuxt_queue.managers.attempt import Work
from nuxt_queue.managers.options import Limiter, WorkerOptions
from nuxt_queue.services.context import JobContext, JobHandler

__all__ = [
    "QueueWorker",
    "Runtimes",
    "WorkerInfo",
    "child_processes",
    "file_runtime",
    "job_handler",
]

Runtimes = Callable[[WorkerOptions], JobHandler]
"""Makes the handler of a worker file; raises QueueError for a runtime it does not know."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One registration."""

    queue_name: str
    job_name: str
    handler: JobHandler
    runtime: str
    concurrency: int
    autorun: bool
    options: WorkerOptions

    def work(self) -> Work:
        """Return what an attempt needs; a worker file's runtime keeps the time itself."""
        timeout_ms = None if self.options.path else self.options.timeout_ms
        return Work(self.handler, timeout_ms, self.options.subscribes)

    @property
    def max_message(self) -> int | None:
        """Bytes of the longest message of a worker file's runtime; None where there is no wire."""
        terms = getattr(self.handler, "terms", None)
        return getattr(terms, "max_message", None)

    async def close(self) -> None:
        """Let go of what the handler of a worker file keeps ready, such as warm processes."""
        close = getattr(self.handler, "close", None)
        if self.options.path is not None and close is not None:
            await close()


@dataclass(slots=True)
class QueueWorker:
    """The one worker of a queue: its registrations by job name.

    Attributes:
        started: Whether it may run jobs.
        limiter: How many of its jobs may start in a time.
    """

    queue: str
    started: bool = False
    limiter: Limiter | None = None
    infos: dict[str, WorkerInfo] = field(default_factory=dict)

    @property
    def concurrency(self) -> int:
        """How many jobs of the queue may run at once: the largest that was asked for."""
        return max((info.concurrency for info in self.infos.values()), default=0)

    def add(self, info: WorkerInfo) -> None:
        """Register; the same job name again replaces what was there."""
        self.infos[info.job_name] = info
        self.started = self.started or info.autorun
        self.limiter = info.options.limiter or self.limiter

    def work(self, job_name: str) -> Work:
        """Return what runs the jobs of a name; raises WorkerNotFoundError."""
        info = self.infos.get(job_name)
        if info is None:
            raise WorkerNotFoundError(self.queue, job_name, sorted(self.infos))
        return info.work()


def job_handler(
    handler: Callable[..., Any] | None, options: WorkerOptions, runtimes: Runtimes
) -> JobHandler:
    """Make of what was registered the one form that attempts run.

    Raises:
        QueueError: Handler, path and runtime do not fit together, or the runtime is unknown.
    """
    if handler is None:
        return runtimes(options)
    if not callable(handler):
        raise QueueError(f"the handler is a {type(handler).__name__}, not a callable")
    if options.path is not None:
        raise QueueError(f"give a handler or a worker file, not both: {options.path}")
    if options.runtime == "inprocess":
        return _InProcess(handler)
    if options.runtime is not None:
        raise QueueError(
            f'runtime "{options.runtime}" runs a worker file: give opts.path and no handler; a'
            ' Python callable (job, ctx) has runtime "inprocess"'
        )
    return handler


def file_runtime(options: WorkerOptions) -> str:
    """Return the runtime of a worker file: the one that was asked for, or its language's."""
    return options.runtime or home_runtime(options.path.suffix if options.path else "")


def child_processes(options: WorkerOptions) -> JobHandler:
    """Make a handler that runs the jobs of a worker file in processes of Python or Node.

    Raises:
        QueueError: The file is missing or the runtime is unknown.
        ConfigError: The runner refuses the file or its settings.
    """
    runtime = file_runtime(options)
    if runtime == "inprocess":
        raise QueueError('runtime "inprocess" needs a handler: a Python callable (job, ctx)')
    if runtime not in KNOWN_RUNTIMES:
        raise QueueError(f'unknown runtime "{runtime}"; known: {", ".join(KNOWN_RUNTIMES)}')
    if options.path is None:
        raise QueueError(f'runtime "{runtime}" needs opts.path, the worker file')
    from nuxt_queue.runner.child import ChildProcessRunner

    if options.timeout_ms is None:
        return ChildProcessRunner(options.path, runtime).create_handler()
    return ChildProcessRunner(options.path, runtime, options.timeout_ms).create_handler()


class _InProcess:
    """Runs a Python callable `(job, ctx)` as a job in this process."""

    takes_encoded = True

    def __init__(self, handler: Callable[..., Any]) -> None:
        self._handler = handler

    async def __call__(self, job: dict[str, Any], context: JobContext) -> Any:
        from nuxt_queue.services.loopback import run_job

        return await run_job(self._handler, job, context)
