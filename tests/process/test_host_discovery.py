"""A worker's config as the host would find it: each row of host-contract 1.3 (exporter R12)."""

from __future__ import annotations

import contextlib
import os
import select
from pathlib import Path

import pytest

from nuxt_queue.errors import ConfigError
from nuxt_queue.runner.discovery import discovered_config

CONFIG = 'config = {"queue": {"name": "q"}, "emits": ("a", "b")}\n'
FOUND = {"queue": {"name": "q"}, "emits": ["a", "b"]}

SEEN = {
    "as it stands": "",
    "main code that does not run": "if __name__ == '__main__':\n    raise SystemExit(7)",
    "loud output": "import sys\nprint('x' * 400_000)\nsys.stderr.write('y' * 400_000)",
    "a channel on descriptor 3": "import os\nassert os.environ['NODE_CHANNEL_FD'] == '3'",
    "no child of ours": "import os\nassert 'NUXT_QUEUE_CHILD_PROCESS' not in os.environ",
    "a running loop": "import asyncio\nasyncio.get_running_loop()",
    "no entry in sys.modules": "import sys\nassert __name__ == 'job' and 'job' not in sys.modules",
    "a sibling": "import beside",
    "empty stdin": "import sys\nassert sys.stdin.read() == ''",
    "middleware that JSON cannot hold": "config['middleware'] = {1, 2}",
    "a process that holds the pipes": "import subprocess\nsubprocess.Popen(['sleep', '600'])",
}

LOST = {
    "a package": ("import pydantic", "No module named 'pydantic'"),
    "a relative import": ("from . import x", "ImportError|ModuleNotFoundError"),
    "a loop of its own": ("import asyncio\nasyncio.run(asyncio.sleep(0))", "running event loop"),
    "a set": ("config['x'] = {1}", "set is not JSON serializable"),
    "infinity": ("config['x'] = float('inf')", "no JSON: Infinity"),
    "no config": ("del config", "has no attribute 'config'"),
    "an exit": ("raise SystemExit(0)", "ended with exit status 0"),
    "a crash": ("import os\nos.abort()", "ended with exit status -6"),
    "a dataclass under postponed annotations": (
        "from dataclasses import dataclass\n\n@dataclass\nclass P:\n    x: int = 0",
        "'NoneType' object has no attribute '__dict__'",
    ),
}


def _worker(folder: Path, body: str) -> Path:
    (folder / "beside.py").write_text("")
    worker = folder / "job.py"
    worker.write_text(f"from __future__ import annotations\n{CONFIG}{body}\n")
    return worker


@pytest.mark.parametrize("name", SEEN)
def test_what_the_host_finds_is_found(name: str, tmp_path: Path) -> None:
    assert discovered_config(_worker(tmp_path, SEEN[name])) == FOUND


@pytest.mark.parametrize("name", LOST)
def test_what_the_host_loses_has_a_reason_in_one_line(name: str, tmp_path: Path) -> None:
    body, reason = LOST[name]
    with pytest.raises(ConfigError, match=reason) as raised:
        discovered_config(_worker(tmp_path, body))
    assert "\n" not in str(raised.value)


def test_an_import_that_does_not_end_is_ended_with_what_it_started(tmp_path: Path) -> None:
    body = (
        "import pathlib, subprocess, time\nchild = subprocess.Popen(['sleep', '600'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\ntime.sleep(600)"
    )
    with pytest.raises(ConfigError, match="more than 4 s"):
        discovered_config(_worker(tmp_path, body), limit_s=4)
    with contextlib.suppress(ProcessLookupError):
        child = os.pidfd_open(int((tmp_path / "pid").read_text()))
        try:
            assert select.select([child], [], [], 10)[0]  # readable when it has ended
        finally:
            os.close(child)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    worker = _worker(tmp_path, "")
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 names are enough
    discovered_config(worker)
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
