"""Looks at everything that serving a project depends on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from nuxt_queue.config import BackendName, ProjectConfig
from nuxt_queue.diagnosis.finding import Finding, fail, ok, warn
from nuxt_queue.diagnosis.machine import look_at_node, look_at_packages, look_at_python
from nuxt_queue.diagnosis.storage import look_at_file, look_at_redis, look_at_sqlite
from nuxt_queue.errors import ConfigError, NuxtQueueError, RegistryError
from nuxt_queue.registry import scan
from nuxt_queue.worker_runner import (
    ALL_FLOWS,
    belongs_to,
    child_runner,
    in_nuxt_application,
    worker_options,
)

__all__ = ["examine"]


async def examine(
    directory: Path | None,
    environ: Mapping[str, str],
    *,
    backend: BackendName | None = None,
    data_dir: Path | None = None,
    full: bool = False,
) -> AsyncIterator[Finding]:
    """Look at the machine, the project, its workers and where its jobs are kept.

    Nothing of a worker is run.  What is written to try out the file or Redis is removed again.

    Args:
        directory: The folder of the workers; the project's when left out.
        environ: The environment.
        backend: Where jobs are to be kept, instead of what the project says.
        data_dir: The folder of the file, instead of the project's.
        full: Whether the whole file is read and checked, which takes time when it is large.
    """
    for finding in (*look_at_python(), *look_at_packages()):
        yield finding
    start = directory or Path.cwd()
    try:
        settings = ProjectConfig.find(start)
    except ConfigError as error:
        yield fail("settings", str(error))
        settings = ProjectConfig(start)
    else:
        yield _settings(settings)
    folder = directory or settings.workers or start
    for finding in (*look_at_node(folder), *_workers(folder, settings)):
        yield finding
    chosen = backend or settings.backend(environ)
    yield _backend(chosen, environ, settings, stated=backend is not None)
    if chosen == "file":
        for finding in look_at_sqlite():
            yield finding
        async for finding in look_at_file(data_dir or settings.data_dir, full=full):
            yield finding
    elif chosen == "redis":
        async for finding in _on_redis(folder, settings, environ):
            yield finding


def _settings(settings: ProjectConfig) -> Finding:
    file = settings.root / "pyproject.toml"
    if not file.is_file():
        return ok("settings", f"no pyproject.toml from {settings.root} upward; all defaults")
    if settings.warnings:
        return warn("settings", settings.warnings[0], f"look at {file}")
    return ok("settings", str(file))


def _backend(
    chosen: BackendName, environ: Mapping[str, str], settings: ProjectConfig, *, stated: bool
) -> Finding:
    if stated:
        why = "as asked for"
    elif settings.stated_backend:
        why = "as the settings say"
    elif environ.get("REDIS_URL"):
        why = "because REDIS_URL is set"
    else:
        why = "because nothing else is said"
    if chosen == "memory":
        fix = "use file or redis, so that nq enqueue and nq jobs reach it"
        return warn("backend", f"memory, {why}: gone with the process that serves", fix)
    return ok("backend", f"{chosen}, {why}")


async def _on_redis(
    folder: Path, settings: ProjectConfig, environ: Mapping[str, str]
) -> AsyncIterator[Finding]:
    """Look at Redis, and say which workers a Nuxt application runs there itself."""
    async for finding in look_at_redis(settings.redis, environ):
        yield finding
    with contextlib.suppress(NuxtQueueError, ModuleNotFoundError):  # said before
        from nuxt_queue.services.redis import RedisServer, application_flows

        server = RedisServer(settings.redis.address(environ))
        flows = (
            ALL_FLOWS
            if in_nuxt_application(folder)
            else await application_flows(server, settings.redis.prefix)
        )
        theirs = [e for e in scan(folder, settings).entries if belongs_to(e, flows)]
        if theirs:
            files = ", ".join(entry.path for entry in theirs[:3])
            more = f" and {len(theirs) - 3} more" if len(theirs) > 3 else ""  # noqa: PLR2004 shown
            said = f"a Nuxt application runs {files}{more} itself, so nq serve does not"
            yield warn("application", said, "say which are served: nq serve --runtime python")


def _workers(folder: Path, settings: ProjectConfig) -> Iterator[Finding]:
    try:
        found = scan(folder, settings)
    except RegistryError as error:
        yield fail("workers", str(error))
        return
    number, queues = len(found.entries), len({entry.queue for entry in found.entries})
    if number:
        yield ok("workers", f"{number} in {folder}, queues: {queues}, flows: {len(found.flows())}")
    else:
        yield warn("workers", f"none in {folder}", "nq-export makes one of a notebook")
    for problem in found.problems:
        yield fail("worker", str(problem))
    for warning in found.warnings:
        yield warn("worker", str(warning))
    for entry in found.entries:
        try:
            worker_options(entry)
            child_runner(settings, entry, None)
        except NuxtQueueError as error:
            yield fail("worker", f"{entry.abs_path}: {error}")
