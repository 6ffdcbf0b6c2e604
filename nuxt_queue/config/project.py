"""ProjectConfig: `[tool.nuxt-queue]` of a project's pyproject.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field

from nuxt_queue.config.export import ExportConfig
from nuxt_queue.config.process import ProcessSettings
from nuxt_queue.config.settings import (
    MAX_MS,
    SUSPICIOUS_MS,
    Settings,
    closest,
    suspicious_ms,
)
from nuxt_queue.errors import ConfigError

if TYPE_CHECKING:
    from nuxt_queue.config.worker import WorkerConfig

__all__ = [
    "KNOWN_RUNTIMES",
    "NODE_SUFFIXES",
    "BackendName",
    "ProjectConfig",
    "RedisConfig",
    "RuntimeConfig",
    "home_runtime",
]

KNOWN_RUNTIMES = ("python", "node", "node-isolated", "inprocess")
# What the host takes for workers beside Python; they run in Node.
NODE_SUFFIXES = frozenset({".ts", ".js", ".mjs", ".cjs", ".mts", ".cts"})

BackendName = Literal["memory", "file", "redis"]

_TABLE = "[tool.nuxt-queue]"
_DATA_DIR = ".nuxt-queue"
_TEXT = "a string that is not empty"
_TIMEOUT_MS = {"node-isolated": 600_000}
_DEFAULT_TIMEOUT_MS = 300_000
_PROCESS = {"node": "reuse"}

Text = Annotated[str, Field(min_length=1)]
ModuleName = Annotated[str, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*$")]
Suffix = Annotated[str, Field(pattern=r"^\.[A-Za-z0-9_+-]+$")]

# A notebook becomes a worker first; the others hold the configs of workers.
_NO_WORKERS = frozenset({".ipynb", ".json", ".toml"})


class RuntimeConfig(ProcessSettings):
    """How workers of one runtime are started; what a worker states itself comes first.

    Attributes:
        enabled: False refuses workers of this runtime.
        command: The program and arguments that belong to it, split as a shell would, without one;
            relative ones with a slash are below the project's root.
        venv: A virtual environment below the project's root, in which the program is looked up;
            without a command its Python.
        timeout_ms: The limit of one attempt when the worker states none (wire: `timeout`).
        args: Arguments between the command and the worker.
        process: How a process is had: a fresh one, a fork of a warm one, or a warm one again.
        preload: The modules that a process to be forked imports, so that no job has to.
        suffixes: The files that are workers of this runtime; the config of `x.pl` is in `x.pl.toml`
            or `x.pl.json` beside it.
    """

    enabled: bool = Field(True, description="true or false")
    command: Text | None = Field(None, description=_TEXT)
    venv: Text | None = Field(None, description=_TEXT)
    timeout_ms: Annotated[int, Field(ge=1, le=MAX_MS)] = Field(
        _DEFAULT_TIMEOUT_MS,
        alias="timeout",
        description=f"whole milliseconds, from 1 to {MAX_MS}",
    )
    args: list[str] = Field([], description="a list of strings")
    process: Literal["spawn", "fork", "reuse"] = Field(
        "spawn", description='"spawn", "fork" or "reuse"'
    )
    preload: list[ModuleName] = Field(
        [], description='a list of modules to import, such as ["pandas"]'
    )
    suffixes: list[Suffix] = Field([], description='a list of file suffixes such as [".pl"]')


class RedisConfig(Settings):
    """Where Redis is, for the backend `redis`.

    Attributes:
        url: Its address; the environment's REDIS_URL comes first, and is the place for a password.
        prefix: What every key begins with.  `nq` and `nvent` are what the two versions of the host
            use; `{nq}`, in braces, keeps all keys in one slot of a cluster.
    """

    url: Text = Field(
        "redis://localhost:6379/0",
        description="redis://host:port/db, as a string",
        repr=False,  # it may hold a password
    )
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.{}-]+$")] = Field(
        "nq", description="letters, digits, and any of _ . - { }"
    )

    def address(self, environ: Mapping[str, str]) -> str:
        """Return the address to use in an environment."""
        return environ.get("REDIS_URL") or self.url


def _default_redis() -> RedisConfig:
    return RedisConfig.check({}, f"{_TABLE}.redis")


def _default_export() -> ExportConfig:
    return ExportConfig.check({}, f"{_TABLE}.export")


class _Table(Settings):
    workers: Text | None = Field(None, description="a folder, as a string that is not empty")
    backend: BackendName | None = Field(None, description='"memory", "file" or "redis"')
    data_dir: Text = Field(
        _DATA_DIR, alias="data_dir", description="a folder, as a string that is not empty"
    )
    redis: RedisConfig = Field(default_factory=_default_redis, description="a table")
    runtimes: dict[str, dict[str, Any]] = Field({}, description="a table for each runtime")
    export: ExportConfig = Field(default_factory=_default_export, description="a table")


def _built_in() -> dict[str, RuntimeConfig]:
    return {name: _runtime(name, {}, name) for name in KNOWN_RUNTIMES}


@dataclass(frozen=True, slots=True)
class ProjectConfig:
    """The settings of a project.

    Attributes:
        root: The folder of its pyproject.toml; what relative paths are below.  Without such a
            file, where it was looked for.
        workers: The folder of its workers, absolute; None when not stated.
        runtimes: By name: the built-in ones, and those that the project adds or changes.
        redis: Where Redis is.
        stated_backend: Where jobs are kept; None when not stated (in the file: `backend`).
        stated_data_dir: The folder of the backend `file`, below the root (in the file: `data_dir`).
        export: How its notebooks are exported.
        has_file: Whether there is such a file.
    """

    root: Path
    workers: Path | None = None
    runtimes: Mapping[str, RuntimeConfig] = field(default_factory=_built_in)
    redis: RedisConfig = field(default_factory=_default_redis)
    stated_backend: BackendName | None = None
    stated_data_dir: str = _DATA_DIR
    export: ExportConfig = field(default_factory=_default_export)
    has_file: bool = False

    @property
    def data_dir(self) -> Path:
        """The folder of the backend `file`.

        Without a project it is below the current folder, whichever workers are named: who serves
        them and who enqueues for them must mean the same file.
        """
        return (self.root if self.has_file else Path.cwd()) / self.stated_data_dir

    def backend(self, environ: Mapping[str, str]) -> BackendName:
        """Return where jobs are kept in an environment.

        What is stated comes first; else a REDIS_URL means Redis, and the default is the file.
        """
        return self.stated_backend or ("redis" if environ.get("REDIS_URL") else "file")

    @classmethod
    def find(cls, start: Path) -> Self:
        """Read the settings of the nearest pyproject.toml, from `start` upward.

        Without such a file or such a table everything has its default.

        Args:
            start: A file or a folder; need not exist.

        Raises:
            ConfigError: The file cannot be read, or a setting is wrong; the message names both.
        """
        start = start.absolute()
        for folder in (start, *start.parents):
            if (folder / "pyproject.toml").is_file():
                return cls._read(folder / "pyproject.toml")
        return cls(start.parent if start.is_file() else start)

    def runtime(self, name: str) -> RuntimeConfig:
        """Return how a runtime is started.

        Raises:
            ConfigError: It is unknown or switched off.
        """
        runtime = self.runtimes.get(name)
        if runtime is None:
            close = closest(name, self.runtimes)
            hint = f'did you mean "{close}"?' if close else f"known: {', '.join(self.runtimes)}"
            raise ConfigError(f'unknown runtime "{name}"; {hint}')
        if not runtime.enabled:
            raise ConfigError(
                f'runtime "{name}" is switched off; set enabled = true in {_TABLE}.runtimes.{name}'
            )
        return runtime

    def claimed_by(self, suffix: str) -> str | None:
        """Return the runtime whose files have a suffix, if one says so."""
        return next((n for n, r in self.runtimes.items() if suffix in r.suffixes), None)

    @property
    def warnings(self) -> list[str]:
        """One line for each setting that its author probably does not mean."""
        return [
            f"{_TABLE}.runtimes.{name}.{suspicious_ms('timeout', runtime.timeout_ms)}"
            for name, runtime in self.runtimes.items()
            if runtime.timeout_ms < SUSPICIOUS_MS
        ]

    def timeout_ms(self, worker: WorkerConfig) -> int:
        """Return how long one attempt of a worker may take.

        What the worker states comes first, then its `flow.stepTimeout`, then its runtime's
        setting, then five minutes.
        """
        step = worker.flow.step_timeout_ms if worker.flow else None
        runtime = self.runtimes.get(worker.runtime)
        default = runtime.timeout_ms if runtime else _DEFAULT_TIMEOUT_MS
        return worker.timeout_ms or step or default

    @classmethod
    def _read(cls, file: Path) -> Self:
        try:
            project = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{file} is not valid TOML: {error}") from None
        tools = project.get("tool")
        stated = tools.get("nuxt-queue", {}) if isinstance(tools, dict) else {}
        where = f"{file} {_TABLE}"
        if not isinstance(stated, dict):
            raise ConfigError(f"{where} is no table; write its keys below that line")
        table = _Table.check(stated, where)
        runtimes = {
            name: _runtime(name, settings, f"{where}.runtimes.{name}")
            for name, settings in table.runtimes.items()
        }
        _refuse_claimed_twice(runtimes, where)
        for magic in table.export.magics.named_twice():
            raise ConfigError(f'{where}.export.magics names "{magic}" in two lists; keep one')
        workers = file.parent / table.workers if table.workers else None
        return cls(
            file.parent,
            workers,
            {**_built_in(), **runtimes},
            table.redis,
            table.backend,
            table.data_dir,
            table.export,
            has_file=True,
        )


def home_runtime(suffix: str) -> str:
    """Return the runtime of a worker file that names none."""
    return "node" if suffix in NODE_SUFFIXES else "python"


def _runtime(name: str, settings: Mapping[str, Any], where: str) -> RuntimeConfig:
    defaults = {
        "timeout": _TIMEOUT_MS.get(name, _DEFAULT_TIMEOUT_MS),
        "process": _PROCESS.get(name, "spawn"),
    }
    if settings.get("preload") and settings.get("process") != "fork":
        raise ConfigError(f'{where}.preload is for process = "fork"; state that as well')
    if name not in KNOWN_RUNTIMES:
        if "command" not in settings and "venv" not in settings:
            close = closest(name, KNOWN_RUNTIMES)
            hint = f"did you mean {close}?" if close else "state the program that runs its workers"
            raise ConfigError(f"{where} is not built in and has no command; {hint}")
        return RuntimeConfig.check({**defaults, **settings}, where)
    if "suffixes" in settings:
        raise ConfigError(f"{where}.suffixes is for runtimes of your own; {name} has its files")
    if "venv" in settings and name != "python":
        raise ConfigError(f"{where}.venv is a Python's; state a command instead")
    return RuntimeConfig.check({**defaults, **settings}, where)


def _refuse_claimed_twice(runtimes: Mapping[str, RuntimeConfig], where: str) -> None:
    claimed: dict[str, str] = {}
    for name, runtime in runtimes.items():
        for suffix in runtime.suffixes:
            setting = f'{where}.runtimes.{name}.suffixes holds "{suffix}"'
            if suffix == ".py":
                raise ConfigError(f"{setting}: such a file states its runtime itself")
            if suffix in _NO_WORKERS:
                raise ConfigError(f"{setting}, which is never a worker")
            if claimed.setdefault(suffix, name) != name:
                raise ConfigError(f"{setting}, which {claimed[suffix]} has already; keep it once")
