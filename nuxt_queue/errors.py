"""Every exception that this package raises on purpose.

```
NuxtQueueError
├── ConfigError                 a worker's or the project's settings are wrong
├── RegistryError
│   ├── WorkerNotFoundError     no such queue or job
│   └── WorkerLoadError         a worker file cannot be used
├── QueueError                  a queue refuses a job or an option
│   ├── QueueClosedError        its manager is closed
│   ├── FlowCancelledError      the run of a step was cancelled
│   └── QueueStorageError       where the queue is kept cannot be used
│       └── QueueUnreachableError   it cannot be reached now
├── JobError                    one job did not complete
│   ├── WorkerStartError        its process could not be started
│   ├── WorkerTimeoutError      it ran too long (also a TimeoutError)
│   ├── WorkerCancelledError    somebody cancelled it
│   ├── WorkerCrashedError      its process ended without a result
│   ├── JobStalledError         the manager that ran it was lost too often
│   └── HandlerError            its handler raised
├── ValuePathError              a value that JSON cannot hold, with its path
└── RpcError                    a JSON-RPC error object
    ├── ParseError              -32700
    ├── InvalidRequestError     -32600
    ├── MethodNotFoundError     -32601
    │   └── NotSupportedByHost
    ├── InvalidParamsError      -32602
    ├── InternalError           -32603
    └── PeerClosedError         the other side is gone
```

Fields are constructor arguments and the sentence is built from them, so that an error can be
pickled, compared and shown without parsing its text.  Standard library only: a worker imports this.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs a worker more than all of this module
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = [
    "ConfigError",
    "FlowCancelledError",
    "HandlerError",
    "InternalError",
    "InvalidParamsError",
    "InvalidRequestError",
    "JobError",
    "JobStalledError",
    "MethodNotFoundError",
    "NotSupportedByHost",
    "NuxtQueueError",
    "ParseError",
    "PeerClosedError",
    "QueueClosedError",
    "QueueError",
    "QueueStorageError",
    "QueueUnreachableError",
    "RegistryError",
    "RpcError",
    "ValuePathError",
    "WorkerCancelledError",
    "WorkerCrashedError",
    "WorkerLoadError",
    "WorkerNotFoundError",
    "WorkerStartError",
    "WorkerTimeoutError",
]


class NuxtQueueError(Exception):
    """Base of every error raised on purpose; `str()` is one line for a person."""

    # Exception keeps the constructor's arguments in `args`, which is what pickle calls again.
    def __init__(self, *fields: Any) -> None:
        super().__init__(*fields)

    @property
    def message(self) -> str:
        """What went wrong, where, and what to do about it."""
        return str(self.args[0]) if self.args else type(self).__name__

    def __str__(self) -> str:
        return self.message


class ConfigError(NuxtQueueError):
    """Raised when settings are wrong; the message names the key, its value and the fix."""


class RegistryError(NuxtQueueError):
    """Base of the errors about finding and reading workers."""


class WorkerNotFoundError(RegistryError):
    """Raised when no worker is known for a queue and job name."""

    def __init__(self, queue: str, job: str, available: Sequence[str] = ()) -> None:
        super().__init__(queue, job, tuple(available))
        self.queue, self.job, self.available = queue, job, tuple(available)

    @property
    def message(self) -> str:
        """Name the job, the queue and what there is instead."""
        names = ", ".join(self.available) or "none"
        return f'No handler for job "{self.job}" on queue "{self.queue}". Available: {names}'


class WorkerLoadError(RegistryError):
    """Raised when a file cannot be used as a worker."""

    def __init__(self, path: object, reason: str, line: int | None = None) -> None:
        super().__init__(str(path), reason, line)
        self.path, self.reason, self.line = str(path), reason, line

    @property
    def message(self) -> str:
        """Name the file, its line where there is one, and the reason."""
        return f"{self.path}{f':{self.line}' if self.line else ''}: {self.reason}"


class QueueError(NuxtQueueError):
    """Raised when a queue refuses a job, a name or an option."""


class QueueClosedError(QueueError):
    """Raised when a manager or its file is closed; another one may take what was refused."""


class FlowCancelledError(QueueError):
    """Raised when a step of a cancelled run is about to run; it has the run's id."""

    @property
    def message(self) -> str:
        """Name the run."""
        return f"flow run {self.args[0]} was cancelled, so the step was not run"


class QueueStorageError(QueueError):
    """Raised when the file or server that keeps a queue cannot be used; nothing was accepted.

    Attributes:
        where: The file, or the server without its password.
        reason: What is wrong, and what to do.
    """

    def __init__(self, where: object, reason: str) -> None:
        super().__init__(str(where), reason)
        self.where, self.reason = str(where), reason

    @property
    def message(self) -> str:
        """Name the place and the reason."""
        return f"{self.where}: {self.reason}"


class QueueUnreachableError(QueueStorageError):
    """Raised when a server does not answer; what was asked of it may have been done or not.

    A job that was enqueued with an id can be enqueued again: it is not there twice.
    """

    @property
    def message(self) -> str:
        """Name the server and the reason."""
        return f"cannot reach {self.where}: {self.reason}"


class JobError(NuxtQueueError):
    """Base of the ways in which one job can fail.

    Attributes:
        job_id: The job's id.
        phase: Where it failed: `spawn`, `import`, `run` or `exit`.
        duration_ms: How long it took until then; None when nobody measured it.
    """

    phase = "run"
    duration_ms: int | None = None

    def __init__(self, job_id: str, *fields: Any) -> None:
        super().__init__(job_id, *fields)
        self.job_id = job_id


class WorkerStartError(JobError):
    """Raised when a job's process could not be started.

    Attributes:
        argv: The command.
        reason: Why.
        is_shortage: Whether this machine or process was short of something, such as descriptors:
            the same job may start a little later.
    """

    phase = "spawn"

    def __init__(
        self, job_id: str, argv: Sequence[str], reason: str, *, is_shortage: bool = False
    ) -> None:
        super().__init__(job_id, tuple(argv), reason)
        self.argv, self.reason, self.is_shortage = tuple(argv), reason, is_shortage

    @property
    def message(self) -> str:
        """Name the command and the reason."""
        return f"cannot start {self.argv[0]}: {self.reason}"


class WorkerTimeoutError(JobError, TimeoutError):
    """Raised when a job ran longer than its timeout; its processes have been killed.

    Attributes:
        timeout_ms: How long it was given.
        stderr_tail: The end of what its process wrote to stderr.
    """

    def __init__(
        self, job_id: str, timeout_ms: int, phase: str = "run", stderr_tail: str = ""
    ) -> None:
        super().__init__(job_id, timeout_ms, phase, stderr_tail)
        self.timeout_ms, self.phase, self.stderr_tail = timeout_ms, phase, stderr_tail

    @property
    def message(self) -> str:
        """Say how long the job was given, and when the time went into the import."""
        where = ", before its file had been imported" if self.phase == "import" else ""
        return f"Worker timeout after {self.timeout_ms}ms{where}"


class WorkerCancelledError(JobError):
    """Raised when a job was cancelled and its handler did not come to an end in time."""

    @property
    def message(self) -> str:
        """Say that it was on purpose."""
        return "Worker cancelled"


class WorkerCrashedError(JobError):
    """Raised when a job's process ended, or closed its channel, without answering.

    Attributes:
        reason: What was seen, for example `killed by SIGSEGV (11)`.
        returncode: The exit code, negative for a signal, None while unknown.
        stderr_tail: The end of what the process wrote to stderr, 8 KiB at most.
    """

    def __init__(
        self,
        job_id: str,
        reason: str,
        returncode: int | None = None,
        stderr_tail: str = "",
        phase: str = "run",
    ) -> None:
        super().__init__(job_id, reason, returncode, stderr_tail, phase)
        self.reason, self.returncode, self.stderr_tail = reason, returncode, stderr_tail
        self.phase = phase

    @property
    def message(self) -> str:
        """Say how the process ended, with the last line it wrote."""
        lines = self.stderr_tail.strip().splitlines()
        when = " while its file was imported" if self.phase == "import" else ""
        words = f"; its last words: {lines[-1]}" if lines else ""
        return f"worker process {self.reason}{when}{words}"


class JobStalledError(JobError):
    """Raised when the manager that ran a job was lost as often as the job may run.

    Attributes:
        lost: How many of its attempts ended so, the failed ones included.
    """

    def __init__(self, job_id: str, lost: int) -> None:
        super().__init__(job_id, lost)
        self.lost = lost

    @property
    def message(self) -> str:
        """Say it in BullMQ's words, which dashboards and people look for."""
        return (
            "job stalled more than allowable limit: the process that ran it was lost in attempt"
            f" {self.lost}"
        )


class HandlerError(JobError):
    """Raised when the handler raised; carries the remote exception as data.

    Attributes:
        type: The name of the exception's class.
        text: Its message.
        data: What else the worker sent: `traceback`, `cause`, `location`, `retryable`, `phase`.
    """

    def __init__(
        self,
        job_id: str,
        type: str,  # noqa: A002 the wire's own word
        text: str,
        data: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(job_id, type, text, data)
        self.type, self.text, self.data = type, text, data or {}
        self.phase = self.data.get("phase", "run")

    @property
    def message(self) -> str:
        """Return `Type: message`, which stands alone in a host that shows nothing else."""
        return f"{self.type}: {self.text}" if self.text else self.type

    @property
    def traceback(self) -> str:
        """The remote traceback as text, or an empty string."""
        return str(self.data.get("traceback", ""))


class ValuePathError(NuxtQueueError, ValueError):
    """Raised when a value cannot be JSON; names where it sits, for example `result.a[3].loss`."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path, self.problem = path, problem

    @property
    def message(self) -> str:
        """Name the path and the problem."""
        return f"{self.path} {self.problem}"


class RpcError(NuxtQueueError):
    """A JSON-RPC error: `code`, `message` and optional `data`."""

    code = -32000

    def __init__(self, message: str, data: Any = None, code: int | None = None) -> None:
        super().__init__(message, data, code)
        self.data = data
        if code is not None:
            self.code = code


class ParseError(RpcError):
    """Raised when a line is not JSON."""

    code = -32700


class InvalidRequestError(RpcError):
    """Raised when a line is JSON but no JSON-RPC message."""

    code = -32600


class MethodNotFoundError(RpcError):
    """Raised when the other side does not have the method."""

    code = -32601


class NotSupportedByHost(MethodNotFoundError):  # noqa: N818 reads as what it says
    """Raised in a worker when its host lacks a method of the context; the message names it."""


class InvalidParamsError(RpcError):
    """Raised when a method's parameters are wrong."""

    code = -32602


class InternalError(RpcError):
    """Raised when a method failed for a reason that is not the caller's."""

    code = -32603


class PeerClosedError(RpcError):
    """Raised by calls that can no longer be answered because the other side is gone."""
