"""What commands are given alike: the folder of the workers, and JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nuxt_queue.errors import ConfigError

if TYPE_CHECKING:
    from nuxt_queue.app import App
    from nuxt_queue.config import BackendName, ProjectConfig

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 it has no other name

__all__ = [
    "Commands",
    "Place",
    "add_data",
    "add_place",
    "add_workers",
    "at_least",
    "json_of",
    "place_of",
    "project_of",
    "shared_queues",
]

_LAST_PORT = 65_535
_SHOWN = 60  # characters of bad input that a message repeats


def add_data(parser: argparse.ArgumentParser, what: str = "the job's data") -> None:
    """Add `--data`."""
    parser.add_argument(
        "--data", default="{}", metavar="JSON", help=f"{what}; @FILE reads it, - is stdin"
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add `--workers`."""
    parser.add_argument(
        "--workers", type=Path, metavar="DIR", help="default: the project's workers"
    )


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add `--backend` and `--data-dir`."""
    parser.add_argument(
        "--backend",
        choices=("memory", "file", "redis"),
        help="where jobs are kept; default: the project's, redis with REDIS_URL, else file",
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="the folder of the backend file"
    )


def at_least(least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    """Return the type of an option that is a whole number between two others."""

    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text[:20]) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of {least} or more")
        if int(text[:20]) > most:
            raise argparse.ArgumentTypeError(f"{text!r} is more than {most}")
        return int(text)

    return number


def host(text: str) -> str:
    """Return the name of a host; an empty one would mean every network."""
    if not text:
        raise argparse.ArgumentTypeError("'' is no host; every network is 0.0.0.0")
    return text


def port(text: str) -> int:
    """Return a number of a port; 0 is any that is free."""
    if not text.isascii() or not text.isdigit() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 0 to {_LAST_PORT}")
    return int(text)


@dataclass(frozen=True, slots=True)
class Place:
    """Where jobs are kept.

    Attributes:
        backend: The engine.
        data_dir: The folder of the engine `file`.
        shown: Both for a person, without a password.
    """

    backend: BackendName
    data_dir: Path
    shown: str


def place_of(args: argparse.Namespace, settings: ProjectConfig) -> Place:
    """Return where jobs are kept: as the options say, else the settings and REDIS_URL.

    Raises:
        ConfigError: The address of Redis cannot be read.
    """
    backend: BackendName = args.backend or settings.backend(os.environ)
    data_dir: Path = args.data_dir or settings.data_dir
    shown = str(data_dir) if backend == "file" else backend
    if backend == "redis":
        from nuxt_queue.services.redis import RedisServer

        server = RedisServer(settings.redis.address(os.environ), prefix=settings.redis.prefix)
        shown = server.name
    return Place(backend, data_dir, shown)


@asynccontextmanager
async def shared_queues(args: argparse.Namespace) -> AsyncIterator[App]:
    """Open the queues that `nq serve` serves, and serve nothing here.

    Raises:
        ConfigError: They are in the memory of another process.
    """
    from nuxt_queue.app import open_app

    directory, settings = project_of(args.workers)
    place = place_of(args, settings)
    if place.backend == "memory":
        raise ConfigError(
            "what is in memory is in the memory of one process, and nobody else's;"
            " use --backend file or redis, here and for nq serve"
        )
    async with open_app(
        directory, backend=place.backend, data_dir=place.data_dir, settings=settings, serve=False
    ) as app:
        yield app


def project_of(given: Path | None) -> tuple[Path, ProjectConfig]:
    """Return the folder of the workers, and the settings of its project.

    Args:
        given: The folder as it was named; without one the project's, which is looked for from
            here upward, or this folder.

    Raises:
        ConfigError: The settings are wrong.
    """
    from nuxt_queue.config import ProjectConfig

    if given is not None:
        return given, ProjectConfig.find(given)
    settings = ProjectConfig.find(Path.cwd())
    return settings.workers or Path.cwd(), settings


def json_of(option: str, text: str) -> Any:
    """Return what an option gives as JSON: itself, `@` and a file, or `-` for stdin.

    Raises:
        ConfigError: It is no JSON, or cannot be read.
    """
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text("utf-8")
        return json.loads(text)
    except OSError as error:
        raise ConfigError(f"{option}: cannot read {text[1:]}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        example = '{"name": "value"}'
        raise ConfigError(
            f"{option} is not JSON ({error}): {shown!r}; write it like '{example}'"
        ) from None
