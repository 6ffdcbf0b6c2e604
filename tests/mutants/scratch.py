"""A copy of the project in which a change harms nobody, with an environment that imports it.

A job's process gets neither the folder nor the variables of the test, so the copy has a Python of
its own whose path begins with the copy. Packages are those of the project's environment.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.listing import Mutant

_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "node_modules", "__pycache__", ".*_cache", ".hypothesis", ".coverage*"
)
_NODE_MODULES = Path("tests/node/node_modules")


class Scratch:
    """One copy, used for one change after another.

    Args:
        root: The folder of the project.
        folder: Where the copy is made. It does not exist yet.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        self._stamp = 0
        shutil.copytree(root, folder, ignore=_LEFT_OUT, symlinks=True)
        if (root / _NODE_MODULES).is_dir():
            (folder / _NODE_MODULES).symlink_to(root / _NODE_MODULES)
        self._make_environment()

    @property
    def python(self) -> Path:
        """The interpreter that imports the copy."""
        return self.folder / ".venv" / "bin" / "python"

    @contextmanager
    def changed(self, mutant: Mutant) -> Iterator[None]:
        """Make the change of a mutant for a block.

        Raises:
            LookupError: If it cannot be made.
        """
        path = self.folder / mutant.file
        text = mutant.applied(self.folder)
        before, stamps = path.read_bytes(), path.stat()
        # Python compares whole seconds and the size: two changes must not look alike to it.
        self._stamp += 1
        path.write_text(text, "utf-8")
        os.utime(path, (self._stamp, self._stamp))
        try:
            yield
        finally:
            path.write_bytes(before)
            os.utime(path, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))

    def run(self, *arguments: str, timeout_s: float) -> tuple[int | None, str]:
        """Run the interpreter in the copy and end everything that it leaves in its group.

        Returns:
            The exit status, or `None` after a timeout, and what was written.
        """
        process = subprocess.Popen(
            [self.python, *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "COLUMNS": "200"},  # so that pytest shows why a test failed
            start_new_session=True,
        )
        try:
            written, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, process.communicate()[0]
        return process.returncode, written

    def _make_environment(self) -> None:
        theirs, ours = Path(sys.prefix), self.folder / ".venv"
        venv.create(ours, symlinks=True)
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(ours)}))
        (packages / "scratch.pth").write_text(f"{self.folder}\n{sysconfig.get_path('purelib')}\n")
        for name in ("share", "etc"):
            if (theirs / name).is_dir():
                (ours / name).symlink_to(theirs / name)
        for program in (theirs / "bin").iterdir():
            self._take(program, ours / "bin" / program.name)

    def _take(self, program: Path, to: Path) -> None:
        if to.exists() or to.is_symlink():
            return
        first = program.read_bytes()[:200] if program.is_file() else b""
        if first.startswith(b"#!") and os.fsencode(sys.prefix) in first:
            text = program.read_text("utf-8").partition("\n")[2]
            to.write_text(f"#!{self.python}\n{text}", "utf-8")
            to.chmod(0o755)
        else:
            to.symlink_to(program)
