"""Reads the config of a worker in another language: `x.pl` has it in `x.pl.toml` or `x.pl.json`.

A language that this package cannot read cannot state it in the file without running it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nuxt_queue.errors import WorkerLoadError
from nuxt_queue.registry.files import file_bytes

__all__ = ["SUFFIXES", "Sidecar", "read_sidecar"]

_MAX_BYTES = 1024 * 1024
_READERS: dict[str, Callable[[str], Any]] = {".toml": tomllib.loads, ".json": json.loads}
SUFFIXES = tuple(_READERS)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What a worker's config file states.

    Attributes:
        config: The config as written, not checked.
        file: Where it is written.
    """

    config: dict[str, Any]
    file: Path


def read_sidecar(worker: Path) -> Sidecar:
    """Read the config beside a worker file; nothing of the worker runs.

    Raises:
        WorkerLoadError: There is none, or there are two; or it cannot be read.
    """
    if not worker.is_file():
        reason = "is not a regular file" if worker.exists() else "does not exist"
        raise WorkerLoadError(worker, reason)
    beside = [worker.with_name(worker.name + suffix) for suffix in SUFFIXES]
    found = [file for file in beside if file.exists()]
    if len(found) > 1:
        raise WorkerLoadError(worker, f"has two configs, {found[0]} and {found[1]}; keep one")
    if not found:
        reason = (
            f"has no config; state one in {beside[0].name} beside it, for example"
            f' queue.name = "{worker.stem}", or move a file that is no worker into a folder whose'
            " name begins with a dot"
        )
        raise WorkerLoadError(worker, reason)
    config = _read(worker, found[0])
    if not isinstance(config, dict):
        raise WorkerLoadError(worker, f"{found[0].name} holds no object; write one with its config")
    return Sidecar(config, found[0])


def _read(worker: Path, file: Path) -> Any:
    try:
        data = file_bytes(file, _MAX_BYTES)
    except WorkerLoadError as error:
        raise WorkerLoadError(worker, f"{file.name} {error.reason}") from None
    try:
        return _READERS[file.suffix](data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        what = file.suffix[1:].upper()
        raise WorkerLoadError(worker, f"{file.name} is not valid {what}: {error}") from None
