"""What the host's registry waits for: an exported worker, on a Python without packages."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from paired import ROOT, clean_environment, clean_python, medians, process, report

from nbtools import export_notebook, write_worker
from nuxt_queue.registry import scan

# Runs a file as an import does, without what the host's own helper loads besides (asyncio).
LOADER = (
    "import sys; module = type(sys)('worker'); module.__file__ = sys.argv[1];"
    " exec(compile(open(sys.argv[1]).read(), sys.argv[1], 'exec'), module.__dict__)"
)
# The host's helper as its contract describes it; the module is never in sys.modules.
HELPER = """import asyncio, importlib.util, json, os, sys

async def load(path):
    sys.path.insert(0, os.path.dirname(path))
    spec = importlib.util.spec_from_file_location("worker", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with os.fdopen(int(os.environ["NODE_CHANNEL_FD"]), "w") as channel:
        channel.write(json.dumps(module.config) + "\\n")

asyncio.run(load(sys.argv[1]))
"""
# What a registry without a reader would do: run the file, imports and all.
EXECUTE = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='worker')"


def answer(python: str, loader: str, worker: Path, expected: str) -> Callable[[], object]:
    """Return a call that asks a worker for its config as the host does."""

    def run() -> None:
        reads, writes = os.pipe()
        env = {**clean_environment(), "NODE_CHANNEL_FD": str(writes)}
        argv = [python, "-c", loader, str(worker)]
        with subprocess.Popen(argv, env=env, pass_fds=[writes]):
            os.close(writes)
            with os.fdopen(reads) as channel:
                assert expected in channel.readline()

    return run


def compare_answers(worker: Path, empty: Path) -> None:
    """The host's wait for an answer, against a bare start and a file with nothing in it."""
    python = clean_python()
    queue = '"queue": {"name":'
    found = medians(
        {
            "bare python": process(python, "-c", "pass"),
            "config of a worker": answer(python, LOADER, worker, queue),
            "helper, a file with only a config": answer(python, HELPER, empty, "{}"),
            "helper, a worker": answer(python, HELPER, worker, queue),
        }
    )
    report(
        "Discovery of a worker that imports pandas and scikit-learn, which are not installed",
        found,
        {
            "config of a worker": ("bare python", 2.0),
            "helper, a worker": ("helper, a file with only a config", 1.1),
        },
    )


def compare_scan(worker: Path) -> None:
    """Reading a worker's config, against running it where its packages are installed."""

    def read() -> None:
        result = scan(worker.parent)
        assert len(result.entries) == 1
        assert not result.problems

    found = medians(
        {
            "registry.scan": read,
            "running the file": process(sys.executable, "-c", EXECUTE, str(worker)),
        },
        rounds=9,
    )
    report(
        "A registry's look at the same worker",
        found,
        faster={"registry.scan": ("running the file", 50)},
    )


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        worker = Path(folder) / "workers" / "prepare_data.py"
        worker.parent.mkdir()
        write_worker(export_notebook(ROOT / "notebooks" / "01_prepare_data.ipynb"), worker)
        empty = Path(folder) / "empty.py"
        empty.write_text("config = {}\n")
        compare_answers(worker, empty)
        compare_scan(worker)


if __name__ == "__main__":
    main()
