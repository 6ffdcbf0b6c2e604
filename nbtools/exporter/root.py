"""Where a notebook's project begins."""

from __future__ import annotations

from pathlib import Path

__all__ = ["find_root"]


def find_root(folder: Path) -> Path | None:
    """Return the nearest folder upward that holds a pyproject.toml."""
    folder = folder.absolute()
    return next(
        (each for each in (folder, *folder.parents) if (each / "pyproject.toml").is_file()), None
    )
