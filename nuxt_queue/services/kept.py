"""Records that processes of different releases share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

__all__ = ["known_fields"]


def known_fields(kind: type, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return of what was kept the fields that this release knows; a newer one may have others."""
    return {each.name: kept[each.name] for each in fields(kind) if each.name in kept}
