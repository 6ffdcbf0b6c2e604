"""What the host's registry waits for: an exported worker, on a Python without packages."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from paired import ROOT, clean_environment, clean_python, medians, report

from nbtools import export_notebook, write_worker

# Runs a file as an import does, without what the host's own helper loads besides (asyncio).
LOADER = (
    "import sys; module = type(sys)('worker'); module.__file__ = sys.argv[1];"
    " exec(compile(open(sys.argv[1]).read(), sys.argv[1], 'exec'), module.__dict__)"
)


def answer(python: str, worker: Path) -> Callable[[], object]:
    """Return a call that asks a worker for its config as the host does."""

    def run() -> None:
        reads, writes = os.pipe()
        env = {**clean_environment(), "NODE_CHANNEL_FD": str(writes)}
        argv = [python, "-c", LOADER, str(worker)]
        with subprocess.Popen(argv, env=env, pass_fds=[writes]):
            os.close(writes)
            with os.fdopen(reads) as channel:
                assert '"queue": {"name":' in channel.readline()

    return run


def main() -> None:
    """Print the ratio."""
    python = clean_python()
    with tempfile.TemporaryDirectory() as folder:
        worker = Path(folder) / "prepare_data.py"
        write_worker(export_notebook(ROOT / "notebooks" / "01_prepare_data.ipynb"), worker)
        found = medians(
            {
                "bare python": lambda: subprocess.run(
                    [python, "-c", "pass"], env=clean_environment(), check=True
                ),
                "config of a worker": answer(python, worker),
            }
        )
    report(
        "Discovery of a worker that imports pandas and scikit-learn, which are not installed",
        found,
        {"config of a worker": ("bare python", 2.0)},
    )


if __name__ == "__main__":
    main()
