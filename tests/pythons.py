"""The newer Pythons of this machine, for what has to run on them too."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def newer_pythons() -> list[str]:
    """Return an interpreter of each version above the floor that the machine has."""
    return [*_found("3.12"), *_found("3.13")]


def _found(version: str) -> list[str]:
    """Find a Python of a version: on the path, or one that pyenv has and does not put there."""
    on_path = shutil.which(f"python{version}")
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [on_path, *map(str, root.glob(f"versions/{version}.*/bin/python{version}"))]
    return [python for python in candidates if python and _runs(python)][:1]


def _runs(python: str) -> bool:
    """Tell whether an interpreter starts: a version manager's shim may lead nowhere."""
    return subprocess.run([python, "-c", "pass"], capture_output=True, check=False).returncode == 0
