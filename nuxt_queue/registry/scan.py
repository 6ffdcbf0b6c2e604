"""Walks a folder for workers; a file that cannot be one is reported, never fatal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nuxt_queue.config import (
    KNOWN_RUNTIMES,
    NODE_SUFFIXES,
    ProjectConfig,
    WorkerConfig,
    config_warnings,
    home_runtime,
)
from nuxt_queue.errors import ConfigError, RegistryError, WorkerLoadError, WorkerNotFoundError
from nuxt_queue.registry.entry import Problem, WorkerEntry
from nuxt_queue.registry.flows import plan_flows
from nuxt_queue.registry.python import PythonSource, read_source
from nuxt_queue.registry.sidecar import read_sidecar
from nuxt_queue.services.flows import FlowDefinition
from nuxt_queue.text import has_surrogate

if TYPE_CHECKING:
    from nuxt_queue.registry.node import NodeSource

__all__ = ["ScanResult", "read_worker", "scan", "worker_folder"]

_SUFFIX = ".py"
_KINDS = {"python": "py", "node": "ts"}
# Which of the built-in runtimes a file of a kind may ask for.
_RUNTIMES = {
    "py": frozenset({"python", "inprocess"}),
    "ts": frozenset({"node", "node-isolated"}),
}
_PACKAGES = "node_modules"  # other people's code


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a folder holds.

    Attributes:
        entries: The workers, by path.
        problems: What cannot be used, and why.
        warnings: What can be used and looks like a slip.
    """

    entries: list[WorkerEntry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def find(self, queue: str, job: str) -> WorkerEntry:
        """Return the worker for a job's name on a queue; raises WorkerNotFoundError."""
        of_queue = {entry.job: entry for entry in self.entries if entry.queue == queue}
        if job not in of_queue:
            raise WorkerNotFoundError(queue, job, sorted(of_queue))
        return of_queue[job]

    def flows(self) -> dict[str, FlowDefinition]:
        """Return the flows by name; one without an entry is among the problems instead."""
        return plan_flows(self.entries).flows

    def to_wire(self) -> dict[str, Any]:
        """Return all of it as JSON data."""
        return {
            "entries": [entry.to_wire() for entry in self.entries],
            "problems": [problem.to_wire() for problem in self.problems],
            "warnings": [warning.to_wire() for warning in self.warnings],
        }


def worker_folder(directory: Path | str) -> Path:
    """Return a folder of workers; raises RegistryError when there is none of that name."""
    folder = Path(directory)
    if not folder.is_dir():
        what = "is not a directory" if folder.exists() else "does not exist"
        raise RegistryError(f"{folder} {what}; give the folder of the workers")
    return folder


def scan(directory: Path | str, settings: ProjectConfig | None = None) -> ScanResult:
    """Find the workers below a folder; runs nothing of them.

    Every file of Python, JavaScript and TypeScript is a worker, as it is for the host, and every
    file whose suffix a runtime of the settings claims.  Names that begin with a dot, declarations
    of types and `node_modules` are passed over, links are followed, and a file reached twice counts
    once.

    Args:
        directory: The folder of workers.
        settings: The project's; its root is what entries' paths are below, its runtimes are
            those that exist.  Left out, the folder is the root and any runtime will do.

    Raises:
        RegistryError: There is no such folder.
    """
    folder = worker_folder(directory).resolve()
    result = ScanResult()
    taken: dict[tuple[str, str], WorkerEntry] = {}
    project = _Project(folder, settings)
    for found in _walk(folder, project.suffixes):
        if isinstance(found, Problem):
            result.problems.append(found)
        else:
            _add(result, taken, found, project)
    plan = plan_flows(result.entries)
    result.problems.extend(plan.problems)
    result.warnings.extend(plan.warnings)
    if settings:
        file = settings.root / "pyproject.toml"
        result.warnings.extend(Problem(file, None, warning) for warning in settings.warnings)
    return result


def read_worker(
    path: Path, *, directory: Path | None = None, settings: ProjectConfig | None = None
) -> WorkerEntry:
    """Read one worker file; runs nothing of it.

    Args:
        path: The file.
        directory: The folder of workers that its id is below; its own folder when left out.
        settings: As for `scan`.

    Raises:
        WorkerLoadError: The file cannot be used as a worker; says why and where.
    """
    path = path.parent.resolve() / path.name
    folder = (directory or path.parent).resolve()
    if not path.is_relative_to(folder):
        raise WorkerLoadError(path, f"is not below {folder}, the folder of the workers")
    return _read(path, _Project(folder, settings))[0]


@dataclass(frozen=True, slots=True)
class _Project:
    folder: Path
    settings: ProjectConfig | None

    @property
    def suffixes(self) -> frozenset[str]:
        runtimes = self.settings.runtimes.values() if self.settings else ()
        return frozenset(
            NODE_SUFFIXES.union({_SUFFIX}, *(runtime.suffixes for runtime in runtimes))
        )

    def claimed_by(self, path: Path) -> str | None:
        """Return the runtime of the settings that a file in another language belongs to."""
        return self.settings.claimed_by(path.suffix) if self.settings else None


def _walk(top: Path, suffixes: frozenset[str]) -> Iterator[Path | Problem]:
    """Yield the worker files of a folder and those below it, in the order of their names."""
    seen = set[str]()
    todo = [(top, os.path.realpath(top), True)]  # no recursion: folders are nested without limit
    while todo:
        path, real, is_folder = todo.pop()
        if real in seen:
            continue
        seen.add(real)
        if not is_folder:
            yield path
            continue
        try:
            children = sorted(path.iterdir(), key=lambda child: child.name, reverse=True)
        except OSError as error:
            yield Problem(path, None, f"cannot be read: {error.strerror}")
            continue
        for child in children:
            is_folder = _is_folder(child)
            if _is_passed_over(child, suffixes, is_folder=is_folder):
                continue
            # Of a link to itself too, which Path.resolve refuses.
            there = os.path.realpath(child) if os.path.islink(child) else f"{real}/{child.name}"  # noqa: PTH114 it does not raise
            todo.append((child, there, is_folder))


def _is_passed_over(path: Path, suffixes: frozenset[str], *, is_folder: bool) -> bool:
    if path.name.startswith("."):
        return True
    if is_folder:
        return path.name == _PACKAGES
    return path.suffix not in suffixes or _only_declares(path)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # what may not be looked at is reported when it is read
        return False


def _only_declares(path: Path) -> bool:
    """Tell whether a file only declares types: `x.d.ts`."""
    return path.suffix in NODE_SUFFIXES and Path(path.stem).suffix == ".d"


def _add(
    result: ScanResult,
    taken: dict[tuple[str, str], WorkerEntry],
    path: Path,
    project: _Project,
) -> None:
    try:
        entry, hints = _read(path, project)
    except WorkerLoadError as error:
        result.problems.append(Problem(path, error.line, error.reason))
        return
    first = taken.setdefault((entry.queue, entry.job), entry)
    if first is entry:
        result.entries.append(entry)
        result.warnings.extend(hints)
        return
    reason = (
        f'queue "{entry.queue}" already has a job "{entry.job}", from {first.abs_path};'
        " give one of them a queue or a step of its own"
    )
    result.problems.append(Problem(path, None, reason))


def _read(path: Path, project: _Project) -> tuple[WorkerEntry, list[Problem]]:
    """Read one worker; returns it with what looks like a slip in its config.

    Whatever a file makes its reader raise is a problem of that file and of no other.

    Raises:
        WorkerLoadError: It cannot be used.
    """
    try:
        return _read_any(path, project)
    except WorkerLoadError:
        raise
    except OSError as error:
        raise WorkerLoadError(path, f"cannot be read: {error.strerror or error}") from None
    except Exception as error:  # noqa: BLE001 codecs, parsers and grammars are not ours
        raise WorkerLoadError(path, f"cannot be read: {type(error).__name__}: {error}") from None


def _read_any(path: Path, project: _Project) -> tuple[WorkerEntry, list[Problem]]:
    settings = project.settings
    name, runtime = path.stem, project.claimed_by(path)
    _refuse_name(path, name, runtime)
    if runtime:
        return _read_other(path, project, runtime)
    kind, home = _KINDS[home_runtime(path.suffix)], home_runtime(path.suffix)
    source = _source(path, kind)
    try:
        config = WorkerConfig.read({"runtime": home, **source.config}, stem=name)
        if settings:
            settings.runtime(config.runtime)
    except ConfigError as error:
        raise WorkerLoadError(path, str(error), source.line) from None
    if config.runtime in KNOWN_RUNTIMES and config.runtime not in _RUNTIMES[kind]:
        reason = f'a {path.suffix} file cannot run as "{config.runtime}"; its runtime is "{home}"'
        raise WorkerLoadError(path, reason, source.line)
    hints = [Problem(path, source.line, hint) for hint in config_warnings(source.config)]
    return _entry(path, project, config, kind), hints


def _source(path: Path, kind: str) -> PythonSource | NodeSource:
    if kind == "py":
        return read_source(path)
    from nuxt_queue.registry.node import read_node_source  # its parser is not needed for others

    return read_node_source(path)


def _read_other(path: Path, project: _Project, runtime: str) -> tuple[WorkerEntry, list[Problem]]:
    """Read a worker in another language."""
    assert project.settings is not None  # they have claimed it
    source = read_sidecar(path)
    stated = {"runtime": runtime, **source.config}
    try:
        config = WorkerConfig.read(stated, stem=path.stem)
        project.settings.runtime(config.runtime)
    except ConfigError as error:
        raise WorkerLoadError(path, f"{source.file.name}: {error}") from None
    if config.runtime in KNOWN_RUNTIMES:
        reason = (
            f'a {path.suffix} file cannot run as "{config.runtime}"; its runtime is "{runtime}"'
        )
        raise WorkerLoadError(path, f"{source.file.name}: {reason}")
    hints = [Problem(source.file, None, hint) for hint in config_warnings(source.config)]
    return _entry(path, project, config, kind=path.suffix[1:]), hints


def _entry(path: Path, project: _Project, config: WorkerConfig, kind: str = "py") -> WorkerEntry:
    wire = config.to_wire()
    settings = project.settings or ProjectConfig(project.folder)
    return WorkerEntry(
        kind=kind,
        id=path.relative_to(project.folder).with_suffix("").as_posix(),
        name=path.stem,
        path=_host_path(path, project),
        abs_path=path,
        queue=config.queue_name,
        job=config.job_name,
        flow=config.flow,
        worker={**wire["worker"], "timeout": settings.timeout_ms(config)},
        config=wire,
    )


def _refuse_name(path: Path, name: str, claimed_by: str | None) -> None:
    """Refuse names that break the worker, or its neighbours, when the host imports it."""
    reason = None
    if has_surrogate(str(path)):
        reason = "its path is not UTF-8; rename it"
    elif _only_declares(path):
        reason = "only declares types, and a worker is code"
    elif claimed_by or path.suffix in NODE_SUFFIXES:
        return
    elif path.suffix == ".ipynb":
        reason = f"is a notebook; make a worker of it first: nq-export {path.name}"
    elif path.suffix != _SUFFIX:
        claim = f', and no runtime of the settings claims "{path.suffix}"' if path.suffix else ""
        reason = f"is no {_SUFFIX} file{claim}"
    elif name in ("__init__", "__main__"):
        reason = f"{name} is no worker's name; rename it, or move it where no workers are"
    elif name in sys.stdlib_module_names or name == "nuxt_queue":
        where = "this package" if name == "nuxt_queue" else "the standard library"
        reason = f"hides the module {name} of {where} from every worker beside it; rename it"
    if reason:
        raise WorkerLoadError(path, reason)


def _host_path(path: Path, project: _Project) -> str:
    root = project.settings.root.resolve() if project.settings else project.folder
    base = root if path.is_relative_to(root) else project.folder
    return f"/{path.relative_to(base).as_posix()}"
