"""What commands are given alike: the folder of the workers, and JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nuxt_queue.errors import ConfigError

if TYPE_CHECKING:
    from nuxt_queue.config import ProjectConfig

__all__ = ["Commands", "add_data", "add_workers", "json_of", "project_of"]

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 it has no other name

_SHOWN = 60  # characters of bad input that a message repeats


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add `--data`."""
    parser.add_argument(
        "--data", default="{}", metavar="JSON", help="the job's data; @FILE reads it, - is stdin"
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add `--workers`."""
    parser.add_argument(
        "--workers", type=Path, metavar="DIR", help="default: the project's workers"
    )


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
