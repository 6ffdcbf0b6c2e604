"""Measures ratios on a noisy machine: both sides in one run, interleaved, medians quoted."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterable, Mapping
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
    for run in sides.values():
        run()  # the first start writes bytecode and fills caches
    return medians_of({name: time_of(run) for name, run in sides.items()} for _ in range(rounds))


def medians_of(rounds: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each side over rounds that were measured elsewhere."""
    times: dict[str, list[float]] = {}
    for found in rounds:
        for name, value in found.items():
            times.setdefault(name, []).append(value)
    return {name: statistics.median(values) for name, values in times.items()}


def report(
    title: str,
    found: Mapping[str, float],
    targets: Mapping[str, tuple[str, float]] | None = None,
    *,
    faster: Mapping[str, tuple[str, float]] | None = None,
    within: Mapping[str, float] | None = None,
) -> None:
    """Print each side's median, and what it should be.

    Args:
        title: What is compared.
        found: The median of each side, in seconds.
        targets: For a side: the other side, and how many times its time it may take.
        faster: For a side: the other side, and how many times as fast it must be.
        within: For a side: how many seconds it may take.
    """
    targets, faster, within = targets or {}, faster or {}, within or {}
    print(f"\n{title}")
    for name, seconds in found.items():
        line = f"  {name:<34} {_time(seconds)}"
        if name in targets:
            base, limit = targets[name]
            ratio = seconds / found[base]
            line += f"   {ratio:5.2f} x {base} (target <= {limit:g}) {_verdict(ratio <= limit)}"
        if name in faster:
            base, least = faster[name]
            ratio = found[base] / seconds
            line += f"   {ratio:5.2f} x as fast as {base} (target >= {least:g})"
            line += f" {_verdict(ratio >= least)}"
        if name in within:
            limit = within[name]
            line += f"   (target <= {limit:g} s) {_verdict(seconds <= limit)}"
        print(line)


def _time(seconds: float) -> str:
    if seconds < 0.001:  # noqa: PLR2004 from here on milliseconds have too few digits
        return f"{seconds * 1_000_000:9.1f} us"
    return f"{seconds * 1000:9.1f} ms"


def _verdict(reached: bool) -> str:  # noqa: FBT001 the question is its whole content
    return "ok" if reached else "MISSED"
