"""Finds the variables of the environment that a worker reads and will not get."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbtools.errors import Diagnostic
from nbtools.exporter.code import Code

__all__ = ["check_environment"]

_WORDS = ("environ", "getenv", "environb", "getenvb")
_ALWAYS_THERE = ("PYTHONUTF8",)


def check_environment(
    codes: list[Code], config: Mapping[str, Any], folder: Path, found: list[Diagnostic]
) -> None:
    """Warn of each variable that is read by its name, and that the worker's host holds back.

    Args:
        codes: The exported cells.
        config: The worker's config.
        folder: The folder of the notebook, from which the project's settings are found.
        found: Findings are added here.
    """
    codes = [code for code in codes if code.may_mention(*_WORDS)]
    if not codes:
        return
    uses = [(code.number, *use) for code in codes for use in _uses(code)]
    known = {name for _, name, _, is_read in uses if not is_read}
    known.update(_handed_on(config, folder), _ALWAYS_THERE)
    from nuxt_queue.config.environment import is_passed

    for cell, name, line, is_read in uses:
        if is_read and name not in known and not is_passed(name):
            message = f"reads the environment variable '{name}', which a worker does not get"
            fix = f'add "worker": {{"env_passthrough": ["{name}"]}} to the config'
            found.append(Diagnostic("NQ224", message, fix, cell, line, is_warning=True))


def _handed_on(config: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Yield the names that the worker's config and the settings of its runtime hand on or set."""
    from nuxt_queue.config import ProjectConfig
    from nuxt_queue.errors import ConfigError

    worker = config.get("worker") or {}
    yield from (*worker.get("env_passthrough", ()), *worker.get("env", ()))
    try:
        runtime = ProjectConfig.find(folder).runtime(config.get("runtime", "python"))
    except ConfigError:  # said where the worker is scanned or served
        return
    yield from (*(runtime.env_passthrough or ()), *(runtime.env or ()))


def _uses(code: Code) -> Iterator[tuple[str, int, bool]]:
    """Yield each name that is written out, its line, and whether it is read."""
    for node in ast.walk(ast.Module(code.body, [])):
        if isinstance(node, ast.Subscript) and _is(node.value, "environ", "environb"):
            yield from _named(node.slice, node, is_read=isinstance(node.ctx, ast.Load))
        elif isinstance(node, ast.Call) and node.args:
            called = node.func
            if _is(called, "getenv", "getenvb"):
                yield from _named(node.args[0], node, is_read=True)
            elif isinstance(called, ast.Attribute) and _is(called.value, "environ", "environb"):
                if called.attr in ("get", "pop", "__getitem__"):
                    yield from _named(node.args[0], node, is_read=True)
                elif called.attr == "setdefault":
                    yield from _named(node.args[0], node, is_read=False)


def _is(node: ast.expr, *names: str) -> bool:
    """Return True for `os.NAME`, under whatever name `os` goes, and for `NAME` alone."""
    if isinstance(node, ast.Attribute):
        return node.attr in names and isinstance(node.value, ast.Name)
    return isinstance(node, ast.Name) and node.id in names


def _named(key: ast.expr, node: ast.expr, *, is_read: bool) -> Iterator[tuple[str, int, bool]]:
    if isinstance(key, ast.Constant) and isinstance(key.value, str | bytes):
        value = key.value
        name = value if isinstance(value, str) else value.decode("utf-8", "replace")
        yield name, node.lineno, is_read
