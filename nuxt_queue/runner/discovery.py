"""Finds a worker's config as the host does: a bare Python runs the file, and the config arrives.

The host starts it with a channel on descriptor 3, waits for the first line there, and drops the
worker's queue and flow without a word when none comes.  Here the word is said.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, NoReturn

from nuxt_queue.errors import ConfigError
from nuxt_queue.rpc import methods
from nuxt_queue.runner.launch import child_environment

__all__ = ["discovered_config"]

_LIMIT_S = 20.0
_SHOWN = 200  # characters of what the process said last
_MOST = 1 << 12  # bytes of what it said that are looked at
# Inside a running loop, and without an entry in sys.modules: both decide what a file may do.
_HOST = """
import asyncio, importlib.util, json, os, sys

given = int(os.environ["NODE_CHANNEL_FD"])
if given != 3:
    os.dup2(given, 3)
    os.close(given)
    os.environ["NODE_CHANNEL_FD"] = "3"

async def main(path):
    folder, name = os.path.split(path)
    sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(os.path.splitext(name)[0], path)
    worker = importlib.util.module_from_spec(spec)
    worker.__package__ = os.path.basename(folder)
    spec.loader.exec_module(worker)
    if isinstance(worker.config, dict):
        worker.config.pop("middleware", None)
    os.write(3, json.dumps(worker.config).encode() + b"\\n")

try:
    asyncio.run(main(sys.argv[1]))
except Exception as error:
    print("\\n" + type(error).__name__ + ": " + " ".join(str(error).split()), file=sys.__stderr__)
    sys.__stderr__.flush()
    os._exit(1)  # before anything else is said
"""


def discovered_config(worker: Path, *, limit_s: float = _LIMIT_S) -> Any:
    """Return the config that the host would find in a worker, on a Python without any packages.

    Raises:
        ConfigError: The host would find none; says why.
    """
    # Files: a pipe could fill up, or be held open by something that the worker leaves behind.
    with tempfile.TemporaryFile() as channel, tempfile.TemporaryFile() as said:
        status = _run(worker.absolute(), channel, said, limit_s)
        channel.seek(0)
        lines = channel.read().decode("utf-8", "replace").split("\n")
        line = next((line for line in lines if line.strip()), "")
        words = _end(said).strip().splitlines() or [f"it ended with exit status {status}"]
    if status is None:
        raise ConfigError(f"importing it takes more than {limit_s:g} s")
    if not line:
        raise ConfigError(words[-1][:_SHOWN])
    try:
        return json.loads(line, parse_constant=_refuse)
    except ValueError as error:
        raise ConfigError(f"its config arrives as no JSON: {error}") from None


def _run(worker: Path, channel: IO[bytes], said: IO[bytes], limit_s: float) -> int | None:
    """Run the worker's file to its end, with all that it started; None when that takes too long."""
    hidden = {methods.ENV_CHILD, methods.ENV_FRAMING}  # nothing runs a job here
    env = {name: value for name, value in child_environment({}).items() if name not in hidden}
    popen = subprocess.Popen(  # noqa: S603 this very Python; no shell
        [sys.executable, "-I", "-S", "-c", _HOST, str(worker)],
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        pass_fds=[channel.fileno()],
        env={**env, "NODE_CHANNEL_FD": str(channel.fileno())},
        start_new_session=True,
    )
    try:
        return popen.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()


def _end(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _MOST))
    return file.read().decode("utf-8", "replace")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
