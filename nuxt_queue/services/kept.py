"""Records that processes of different releases share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

__all__ = ["fields_of", "known_fields"]


def fields_of(record: Any) -> dict[str, Any]:
    """Return the fields of a record as they are: `asdict` would copy values, and recursively."""
    return {each.name: getattr(record, each.name) for each in fields(record)}


def known_fields(kind: type, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return of what was kept the fields that this release knows; a newer one may have others."""
    return {each.name: kept[each.name] for each in fields(kind) if each.name in kept}
