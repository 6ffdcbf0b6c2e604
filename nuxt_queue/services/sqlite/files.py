"""The files that are one queue, and what to do with all of them at once."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path

__all__ = ["BESIDE", "aside", "found_beside", "restore"]

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file while it is used, and until its next use after a crash."""


def found_beside(path: Path) -> list[Path]:
    """Return what there is of SQLite's files beside a file."""
    names = [path.with_name(path.name + end) for end in BESIDE]
    return [each for each in names if each.exists() or each.is_symlink()]


def aside(path: Path) -> str:
    """Return the command that moves a file away with everything that belongs to it."""
    names = (f"aside{n or ''}" for n in itertools.count())
    folder = shlex.quote(str(next(f for name in names if not (f := path.parent / name).exists())))
    files = f"{shlex.quote(str(path))}*"
    return f"stop every process that uses it, then: mkdir {folder} && mv {files} {folder}/"


def restore(path: Path) -> str:
    """Return how a copy takes the place of a file."""
    return f"{aside(path)}; then copy all files of one copy to {path.parent}"
