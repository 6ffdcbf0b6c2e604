"""This machine: its Python, the packages of the extras, Node and what belongs to it."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from nuxt_queue.diagnosis.finding import Finding, ok, warn
from nuxt_queue.errors import ConfigError
from nuxt_queue.runner.probe import OLDEST_NODE, node_of

__all__ = ["look_at_node", "look_at_packages", "look_at_python"]

_EXTRAS = ("host", "redis", "notebook")
_NEED = re.compile(r'^([A-Za-z0-9_.-]++)(?:\[[^\]]*\])?[^;]*;\s*extra\s*==\s*["\']([^"\']+)["\']')
_PURPOSE = {
    "host": "running workers",
    "redis": "queues on Redis",
    "notebook": "nq-export and run_local",
}


def look_at_python() -> Iterator[Finding]:
    """Say which Python this is, and on what."""
    yield ok("Python", f"{platform.python_version()}, {sys.executable}")
    if sys.platform != "linux":
        yield warn(
            "system",
            f"{sys.platform}: what jobs leave running is not found there",
            "use Linux where that matters",
        )


def look_at_packages() -> Iterator[Finding]:
    """Say which packages of each extra there are."""
    needed = importlib.metadata.requires("nuxt-queue") or []
    told = {"nuxt-queue"}  # an extra includes another; each package is told once
    for extra in _EXTRAS:
        found, missing = [], []
        matches = [match.groups() for match in map(_NEED.match, needed) if match]
        names = [name for name, of in matches if of == extra and name not in told]
        told.update(names)
        for name in names:
            try:
                found.append(f"{name} {importlib.metadata.version(name)}")
            except importlib.metadata.PackageNotFoundError:
                missing.append(name)
        what = f"extra {extra}"
        if missing:
            said = f"{', '.join(missing)} not installed, which {_PURPOSE[extra]} needs"
            yield warn(what, said, f"pip install 'nuxt-queue[{extra}]'")
        else:
            yield ok(what, ", ".join(found))


def look_at_node(workers: Path) -> Iterator[Finding]:
    """Say whether workers of Node can run here; nothing is wrong where there are none."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None:
        yield ok("Node", "not on the path; only workers of Node need it")
        return
    try:
        version = node_of((node,), Path.cwd(), "node")
    except ConfigError as error:
        yield warn("Node", str(error), f"install Node {OLDEST_NODE} or newer")
        return
    yield ok("Node", f"{'.'.join(map(str, version))}, {node}; npm {npm or 'is not on the path'}")
    tsx = _version_of_tsx(workers)
    yield ok("tsx", tsx or f"none above {workers}; only workers in TypeScript need it")


def _version_of_tsx(workers: Path) -> str | None:
    for folder in (workers.resolve(), *workers.resolve().parents):
        package = folder / "node_modules" / "tsx" / "package.json"
        try:
            version = json.loads(package.read_text("utf-8"))["version"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return f"{version}, {package.parent}"
    return None
