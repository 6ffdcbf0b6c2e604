"""ExportConfig: what a project asks of its exports, `[tool.nuxt-queue.export]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from nuxt_queue.config.settings import Settings

__all__ = ["ExportConfig", "MagicsConfig"]

Magic = Annotated[str, Field(pattern=r"^%{1,2}[A-Za-z_]\w*$")]
CellMagic = Annotated[str, Field(pattern=r"^%%[A-Za-z_]\w*$")]


class MagicsConfig(Settings):
    """What becomes of IPython's magics in exported cells, where the usual is not wanted.

    Attributes:
        drop: Those that mean nothing to a worker; one with `%%` goes with its whole cell.
        refuse: Those that no exported cell may hold.
        keep_body: Those of whole cells that go, while the cell stays.
    """

    drop: list[Magic] = Field([], description='a list of magics such as ["%my_magic"]')
    refuse: list[Magic] = Field([], description='a list of magics such as ["%matplotlib"]')
    keep_body: list[CellMagic] = Field(
        [], alias="keep_body", description='a list of cell magics such as ["%%my_timer"]'
    )

    def decisions(self) -> Mapping[str, str]:
        """Return what becomes of each magic that is named."""
        return {magic: what for what, magics in self for magic in magics}

    def named_twice(self) -> Iterator[str]:
        """Yield the magics that stand in two lists."""
        named = [magic for _, magics in self for magic in dict.fromkeys(magics)]
        yield from (magic for magic in dict.fromkeys(named) if named.count(magic) > 1)


def _usual() -> MagicsConfig:
    return MagicsConfig.check({}, "magics")


class ExportConfig(Settings):
    """How notebooks are exported.

    Attributes:
        magics: What becomes of magics.
    """

    magics: MagicsConfig = Field(default_factory=_usual, description="a table")
