"""Launch: everything that is needed to start a worker's process, whatever its runtime."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nuxt_queue.config.environment import is_passed
from nuxt_queue.errors import ConfigError
from nuxt_queue.rpc import methods

__all__ = ["Launch", "LaunchOptions", "Limits", "child_environment", "worker_file"]

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job's process, and each process that it starts, may use at most.

    Attributes:
        memory_mb: Address space in MiB; for Node the heap of JavaScript.
        cpu_seconds: Seconds of processor time; then SIGXCPU, and a second later SIGKILL.
        open_files: Open descriptors.
        file_mb: The size of a file that it writes, in MiB.
        processes: Processes and threads of its user, all taken together; not enforced for root.
    """

    memory_mb: int | None = None
    cpu_seconds: int | None = None
    open_files: int | None = None
    file_mb: int | None = None
    processes: int | None = None

    def apply(self, pid: int) -> None:
        """Limit a process that has just been started.

        Raises:
            ProcessLookupError: It has ended.
        """
        for name, soft, grace in (
            ("RLIMIT_AS", self.memory_mb and self.memory_mb * _MIB, 0),
            ("RLIMIT_CPU", self.cpu_seconds, 1),
            ("RLIMIT_NOFILE", self.open_files, 0),
            ("RLIMIT_FSIZE", self.file_mb and self.file_mb * _MIB, 0),
            ("RLIMIT_NPROC", self.processes, 0),
        ):
            if soft is not None:
                kind = getattr(resource, name)
                ceiling = resource.prlimit(pid, kind)[1]
                hard = soft + grace if ceiling == resource.RLIM_INFINITY else ceiling
                resource.prlimit(pid, kind, (min(soft, hard), min(soft + grace, hard)))


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a worker's process.

    Attributes:
        argv: The command and its arguments; never a shell line.
        env: The child's whole environment.
        cwd: The folder it starts in.
        limits: What it may use.
        private_wire: The protocol runs over the two descriptors that `NQ_WIRE_FDS` names (read,
            write); stdin is empty and stdout is the worker's own.  Otherwise it starts out on stdin
            and stdout, and `NQ_STDOUT_FD` names where a worker that takes it off them can print.
        announces_start: The worker says when its file is imported and its handler called.
        reuse: A process runs one job after another, and says whether it can take the next.
        preload: What the process that this one is a copy of has imported; None when it is no copy.
        javascript: The worker's numbers are doubles: an integer that one would round is refused.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    limits: Limits = Limits()
    private_wire: bool = False
    announces_start: bool = False
    reuse: bool = False
    preload: tuple[str, ...] | None = None
    javascript: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """What the settings of a project and of a worker say about starting it.

    Attributes:
        command: The program, resolved, and arguments that belong to it; empty for the runtime's
            own.
        args: Arguments between the command and the worker.
        env: Variables to set in the child.
        env_passthrough: Names of the parent's variables to hand on.
        cwd: Where it runs; the worker's own folder when left out, as a notebook's kernel does.
        limits: What it may use.
        process: How a process is had, `spawn`, `fork` or `reuse`; the runtime's own way when None.
        preload: The modules that a process to be forked imports.
    """

    command: tuple[str, ...] = ()
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    env_passthrough: Sequence[str] = ()
    cwd: Path | None = None
    limits: Limits = Limits()
    process: str | None = None
    preload: Sequence[str] = ()


def worker_file(worker: Path) -> Path:
    """Return a worker's absolute path; links stay, since neighbours are found beside them.

    Raises:
        ConfigError: If it is no file.
    """
    path = worker.absolute()
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise ConfigError(f"the worker {worker} {what}; give the path of a worker file")
    return path


def child_environment(env: Mapping[str, str], passthrough: Sequence[str] = ()) -> dict[str, str]:
    """Return a child's environment: an allow-list of the parent's, and what was asked for."""
    inherited = {
        name: value for name, value in os.environ.items() if name in passthrough or is_passed(name)
    }
    return {
        **inherited,
        "PYTHONUTF8": "1",
        **env,
        methods.ENV_CHILD: "1",
        methods.ENV_FRAMING: "lines",
    }
