"""Puts the SDK beside a worker, so that it runs where nothing can be installed.

The copy lies in `.nq`: a folder whose name begins with a dot is passed over by the host, which
takes every other `.py` file for a worker.
"""

from __future__ import annotations

from pathlib import Path

import nuxt_queue
from nbtools.exporter.target import replace_target

__all__ = ["FOLDER", "vendor_sdk"]

FOLDER = ".nq"
# What `from nuxt_queue import ...` loads in a worker; the rest is the parent's side.
_PARTS = ("__init__.py", "errors.py", "origin.py", "text.py", "rpc", "sdk")


def vendor_sdk(folder: Path) -> bool:
    """Copy the SDK into `.nq` below a folder of workers; return whether anything had to change.

    Raises:
        OSError: If it cannot be written.
    """
    source = Path(nuxt_queue.__file__).parent
    target = folder / FOLDER / "nuxt_queue"
    wanted = {
        path.relative_to(source): path.read_text("utf-8")
        for part in _PARTS
        for path in (
            [source / part] if part.endswith(".py") else sorted((source / part).glob("*.py"))
        )
    }
    changed = False
    for name, text in wanted.items():
        copy = target / name
        if not copy.is_file() or copy.read_text("utf-8") != text:
            copy.parent.mkdir(parents=True, exist_ok=True)
            replace_target(copy, text)
            changed = True
    for stray in sorted(target.rglob("*.py")):
        if stray.relative_to(target) not in wanted:  # of an older version
            stray.unlink()
            changed = True
    return changed
