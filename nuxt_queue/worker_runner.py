"""What a worker's file and the project's settings mean to a manager and to a runner."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from nuxt_queue.config import NODE_SUFFIXES, ProcessSettings, ProjectConfig
from nuxt_queue.managers import WorkerOptions
from nuxt_queue.registry import WorkerEntry
from nuxt_queue.runner import ChildProcessRunner, Limits
from nuxt_queue.runner.programs import resolve_command

__all__ = ["ALL_FLOWS", "belongs_to", "child_runner", "in_nuxt_application", "worker_options"]

ALL_FLOWS = frozenset({"*"})
"""Stands for every queue and flow of an application."""
_NUXT_CONFIGS = tuple(f"nuxt.config.{suffix}" for suffix in ("ts", "mts", "js", "mjs", "cjs"))


def worker_options(entry: WorkerEntry, concurrency: int | None = None) -> WorkerOptions:
    """Say how a discovered worker is registered.

    Args:
        entry: The worker.
        concurrency: How many of its jobs may run at once, instead of what it says itself.
    """
    queue = entry.config.get("queue") or {}
    given = {
        "runtime": entry.worker["runtime"],
        "path": entry.abs_path,
        "concurrency": concurrency or entry.worker["concurrency"],
        "timeout": entry.worker["timeout"],
        "subscribes": tuple(entry.flow.subscribes) if entry.flow else (),
        "defaultJobOptions": queue.get("defaultJobOptions"),
        "limiter": queue.get("limiter"),
    }
    return WorkerOptions.read(given, refused={})


def in_nuxt_application(directory: Path) -> bool:
    """Return True if a folder lies in a Nuxt application: its functions run in the application.

    This holds before the application has run anything, and while Redis cannot be asked.
    """
    folder = directory.resolve()
    return any(
        (each / name).is_file() for each in (folder, *folder.parents) for name in _NUXT_CONFIGS
    )


def belongs_to(entry: WorkerEntry, application: Collection[str]) -> bool:
    """Return True if a worker is a function of a Nuxt application, which runs it itself.

    Args:
        entry: The worker.
        application: The flows that the application runs; `ALL_FLOWS` when all may be its own.
    """
    names = (entry.flow and entry.flow.names) or ()
    is_of_node = f".{entry.kind}" in NODE_SUFFIXES or entry.kind == "ts"
    return is_of_node and ("*" in application or not set(names).isdisjoint(application))


def child_runner(
    settings: ProjectConfig, entry: WorkerEntry, timeout_ms: int | None
) -> ChildProcessRunner:
    """Make the runner of a worker as it and the project's settings say.

    Raises:
        ConfigError: If the runtime is unknown, switched off, or asks for what is not there.
    """
    name = entry.worker["runtime"]
    runtime = settings.runtime(name)
    stated = ProcessSettings.among(entry.worker).below(entry.abs_path.parent)
    given = stated.over(runtime.below(settings.root))
    return ChildProcessRunner(
        entry.abs_path,
        name,
        runtime.timeout_ms if timeout_ms is None else timeout_ms,
        max_message=given.max_message,
        max_output=given.max_output,
        command=resolve_command(name, runtime, settings.root),
        args=runtime.args,
        env=given.env,
        env_passthrough=given.env_passthrough,
        cwd=Path(given.cwd) if given.cwd else None,
        limits=Limits(
            given.memory_mb, given.cpu_seconds, given.open_files, given.file_mb, given.processes
        ),
        process=runtime.process,
        preload=runtime.preload,
    )
