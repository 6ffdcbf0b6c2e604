"""The host's discovery of an exported file (host-contract 1.1-1.4, exporter R12)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbtools.errors import ExportError
from nbtools.exporter import Exported, export_notebook

# Written from the contract's description of the host's loader.
_LOADER = """
import asyncio, importlib.util, json, os, sys

async def load(path):
    folder = os.path.dirname(path)
    sys.path.insert(0, folder)
    stem = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(stem, path)
    module = importlib.util.module_from_spec(spec)
    module.__package__ = os.path.basename(folder)
    spec.loader.exec_module(module)  # and never in sys.modules
    config = module.config
    if isinstance(config, dict) and "middleware" in config:
        del config["middleware"]
    with os.fdopen(int(os.environ["NODE_CHANNEL_FD"]), "w") as channel:
        channel.write(json.dumps(config) + "\\n")

try:
    asyncio.run(load(sys.argv[1]))
except Exception as error:
    print(error, file=sys.stderr)
    sys.exit(1)
"""

_HEAVY = """
from __future__ import annotations
import nowhere_installed as ni
from dataclasses import dataclass
print("x" * 400_000)
import sys; sys.stderr.write("y" * 400_000)

@dataclass
class Point(ni.Base):
    x: int = 0
"""


def _discover(worker: Path, *, loader: Path, environment: dict[str, str] | None = None) -> Any:
    """Run the loader as the host does: a channel, pipes that nobody reads, no packages."""
    reader, writer = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-ISs", loader, worker],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[writer],
        env={"PATH": os.environ["PATH"], "NODE_CHANNEL_FD": str(writer), **(environment or {})},
    ) as process:
        os.close(writer)
        try:
            process.wait(timeout=15)
        finally:
            process.kill()
    with os.fdopen(reader) as channel:
        line = channel.readline()
    return json.loads(line) if line else None


@pytest.fixture
def loader(tmp_path: Path) -> Path:
    path = tmp_path / "host" / "get_config.py"
    path.parent.mkdir()
    path.write_text(_LOADER)
    return path


@pytest.fixture
def exported(write_notebook: Callable[..., Path]) -> Exported:
    return export_notebook(write_notebook(("nq-imports", _HEAVY.lstrip())))


def _save(exported: Exported, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(exported.text, encoding="utf-8")
    return path


def test_a_bare_python_without_any_package_finds_the_complete_config(
    exported: Exported, loader: Path, tmp_path: Path
) -> None:
    """Missing packages, loud output and dataclasses are past the answer (D10)."""
    worker = _save(exported, tmp_path / "server" / "queues" / "job.py")
    assert _discover(worker, loader=loader) == exported.config
    assert exported.config["flow"]["name"] == ["demo"]
    assert exported.config["queue"] == {"name": "job"}


def test_a_link_to_the_worker_is_found_too(
    exported: Exported, loader: Path, tmp_path: Path
) -> None:
    worker = _save(exported, tmp_path / "real" / "job.py")
    link = tmp_path / "queues" / "job.py"
    link.parent.mkdir()
    link.symlink_to(worker)
    assert _discover(link, loader=loader) == exported.config


def test_a_child_process_is_not_taken_for_discovery(
    exported: Exported, loader: Path, tmp_path: Path
) -> None:
    worker = _save(exported, tmp_path / "queues" / "job.py")
    environment = {"NUXT_QUEUE_CHILD_PROCESS": "1"}
    assert _discover(worker, loader=loader, environment=environment) is None


@pytest.mark.parametrize("channel", [None, "3"])
def test_imported_by_anything_else_it_is_a_normal_module(
    write_notebook: Callable[..., Path], tmp_path: Path, channel: str | None
) -> None:
    """Exporter R12: nothing but the worker's own names, and the importer goes on."""
    exported = export_notebook(write_notebook(("nq-export", "ANSWER = 42")))
    worker = _save(exported, tmp_path / "job_worker.py")
    code = (
        "import job_worker; print(job_worker.ANSWER, sorted(n for n in vars(job_worker) "
        "if not n.startswith(('__', '_nq_'))))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    environment |= {"NODE_CHANNEL_FD": channel} if channel else {}
    done = subprocess.run(
        [sys.executable, "-c", code, worker],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "42 ['ANSWER', 'config', 'handler', 'run_worker']\n"


SURVIVED = {
    "a missing package": "import nowhere_installed_at_all",
    "loud stdout": "print('x' * 400_000)",
    "loud stderr": "import sys\nsys.stderr.write('y' * 400_000)",
    "a slow import": "import time\ntime.sleep(600)",
    "a thread that stays": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()"
    ),
    "a process that holds the pipes": "import subprocess\nsubprocess.Popen(['sleep', '600'])",
    "a dataclass under postponed annotations": (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n"
        "@dataclass\nclass Point:\n    x: int = 0"
    ),
    "a pickle of a class of the file": "import pickle\n\nclass P: ...\n\nDATA = pickle.dumps(P())",
    "an exit at import": "import sys\nsys.exit(0)",
    "a crash at import": "import os\nos.abort()",
    "an exception at import": "raise RuntimeError('at import')",
    "stdin read at import": "TEXT = open(0).read()",
    "a changed folder": "import os\nos.chdir('/')",
}


@pytest.mark.parametrize("name", SURVIVED)
def test_what_the_file_does_at_import_cannot_lose_its_config(
    name: str, write_notebook: Callable[..., Path], loader: Path, tmp_path: Path
) -> None:
    """Each row of host-contract 1.3 that a file may do: the answer is out before it happens."""
    exported = export_notebook(write_notebook(("nq-export", SURVIVED[name])))
    worker = _save(exported, tmp_path / "server" / "queues" / "job.py")
    assert _discover(worker, loader=loader) == exported.config


REFUSED = {
    "a relative import": ("from . import helpers", "NQ208"),
    "a loop at import": ("import asyncio\nasyncio.run(asyncio.sleep(0))", "NQ204"),
    "a top-level await": ("import asyncio\nawait asyncio.sleep(0)", "NQ204"),
    "a magic": ("%run other.ipynb", "NQ202"),
    "the shell": ("!ls", "NQ203"),
    "IPython itself": ("get_ipython().system('ls')", "NQ20"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_lose_the_config_or_the_job_is_refused_at_export(
    name: str, write_notebook: Callable[..., Path]
) -> None:
    """Each row of host-contract 1.3 that no file may do."""
    source, code = REFUSED[name]
    with pytest.raises(ExportError, match=code):
        export_notebook(write_notebook(("nq-export", source)))


@pytest.mark.parametrize("stem", ["email", "queue", "__main__", "__init__"])
def test_a_name_that_would_shadow_or_start_something_is_refused(
    stem: str, write_notebook: Callable[..., Path]
) -> None:
    """Host-contract 1.3: such a file breaks every worker of its folder."""
    with pytest.raises(ExportError, match="NQ401"):
        export_notebook(write_notebook(("nq-export", "x = 1")), stem=stem)
