"""Measures ratios on a noisy machine: both sides in one run, interleaved, medians quoted."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent

# These change how Python starts and writes; a measurement under them is one of something else.
_MISLEADING = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONSTARTUP")


def clean_environment() -> dict[str, str]:
    """Return this environment without what changes a start-up."""
    return {name: value for name, value in os.environ.items() if name not in _MISLEADING}


def clean_python() -> str:
    """Make a virtual environment with nothing in it and return its interpreter."""
    folder = Path(tempfile.gettempdir()) / f"nq-bench-{sys.version_info[0]}{sys.version_info[1]}"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=False)
    return str(python)


def time_of(run: Callable[[], object]) -> float:
    """Return the seconds that one call took."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def process(*argv: str, env: Mapping[str, str] | None = None) -> Callable[[], object]:
    """Return a call that runs a process to its end."""
    given = {**clean_environment(), **(env or {})}
    return lambda: subprocess.run(argv, env=given, check=True, stdout=subprocess.DEVNULL)


def medians(sides: Mapping[str, Callable[[], object]], rounds: int = 25) -> dict[str, float]:
    """Time every side once a round and return each one's median in seconds."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for run in sides.values():
        run()  # the first start writes bytecode and fills caches
    for _ in range(rounds):
        for name, run in sides.items():
            times[name].append(time_of(run))
    return {name: statistics.median(values) for name, values in times.items()}


def report(
    title: str, found: Mapping[str, float], targets: Mapping[str, tuple[str, float]]
) -> None:
    """Print each side's median and its ratio to the side that its target names."""
    print(f"\n{title}")
    for name, seconds in found.items():
        line = f"  {name:<34} {seconds * 1000:9.1f} ms"
        if name in targets:
            base, limit = targets[name]
            ratio = seconds / found[base]
            verdict = "ok" if ratio <= limit else "MISSED"
            line += f"   {ratio:5.2f} x {base} (target <= {limit:g}) {verdict}"
        print(line)
