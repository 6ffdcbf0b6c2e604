"""What a project says about magics, beside what the exporter knows of them.

Few cells hold a magic and few projects say anything, so pyproject.toml is read when the first one
is met, and pydantic is asked only about what is not plainly right.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbtools.errors import NotebookFormatError
from nbtools.exporter.root import find_root

__all__ = ["MagicPolicy", "plain_magics"]

_LISTS = ("drop", "refuse", "keep_body")


class MagicPolicy:
    """What becomes of the magics in a notebook's exported cells.

    Args:
        notebook: The notebook; the nearest pyproject.toml upward of it counts.
    """

    def __init__(self, notebook: str) -> None:
        self._folder = Path(notebook).parent

    def decision(self, magic: str) -> str | None:
        """Return `drop`, `refuse` or `keep_body`; None for a magic that the project leaves to us.

        Raises:
            NotebookFormatError: The project's settings are wrong.
        """
        return self._decisions.get(magic)

    @functools.cached_property
    def _decisions(self) -> Mapping[str, str]:
        root = find_root(self._folder)
        if root is None:
            return {}
        import tomllib

        try:
            text = (root / "pyproject.toml").read_text("utf-8")
            tables = tomllib.loads(text)["tool"]["nuxt-queue"] if "nuxt-queue" in text else {}
            plain = plain_magics(tables.get("export", {}))
        except KeyError:  # the words stand elsewhere in it
            return {}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            plain = None
        return _checked_magics(root) if plain is None else plain


def plain_magics(export: Any) -> Mapping[str, str] | None:
    """Return what a plainly right `[tool.nuxt-queue.export]` says; None to have it looked at."""
    magics = export.get("magics", {}) if isinstance(export, dict) else None
    if not isinstance(magics, dict) or export.keys() - {"magics"} or magics.keys() - {*_LISTS}:
        return None
    decisions: dict[str, str] = {}
    for what, named in magics.items():
        if not isinstance(named, list) or not all(_is_plain(magic, what) for magic in named):
            return None
        if any(decisions.setdefault(magic, what) != what for magic in named):
            return None
    return decisions


def _is_plain(magic: Any, what: str) -> bool:
    if not isinstance(magic, str) or not magic.isascii():
        return False
    name = magic.lstrip("%")
    signs = len(magic) - len(name)
    return name.isidentifier() and signs in ((2,) if what == "keep_body" else (1, 2))


def _checked_magics(root: Path) -> Mapping[str, str]:
    from nuxt_queue.config import ProjectConfig
    from nuxt_queue.errors import ConfigError

    try:
        return ProjectConfig.find(root).export.magics.decisions()
    except ConfigError as error:
        file = (root / "pyproject.toml").as_posix()
        raise NotebookFormatError(file, "NQ012", str(error), "correct it there") from None
