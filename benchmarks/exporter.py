"""What an export costs, as ratios to nbdev's and nbconvert's of the same notebook."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from paired import clean_environment, medians, process, report

PEERS = Path(tempfile.gettempdir()) / "nq-bench-peers"
INSTALL = f"python3 -m venv {PEERS} && {PEERS}/bin/pip install 'nbdev>=3.3' 'nbconvert>=7.17'"
OURS = str(Path(sys.executable).parent / "nq-export")

CONFIG = '#| export\nconfig = {"flow": {"name": "bench", "role": "entry"}}'
HANDLER = "#| export\nasync def handler(job, ctx):\n    return total_2(job['data'])"
FUNCTION = '''#| export
def total_{n}(rows, factor={n}):
    """Add up what the rows say."""
    kept = [row for row in rows if row.get("amount", 0) > factor]
    return sum(row["amount"] * factor for row in kept)
'''
TRIED_OUT = "total_{n}([{{'amount': 3}}])"


def cells(count: int, output: str) -> Iterator[dict[str, object]]:
    """Yield cells of which one in two is exported, each with an output."""
    for n in range(count):
        tags, source = ["nq-export"], FUNCTION.format(n=n)
        if n == 0:
            tags, source = [], "#| default_exp bench"  # where nbdev writes to
        elif n == 1:
            tags, source = ["nq-config"], CONFIG
        elif n == count - 1:
            tags, source = ["nq-handler"], HANDLER
        elif n % 2:
            tags, source = [], TRIED_OUT.format(n=n - 1)
        data = {"image/png": output} if output else {"text/plain": "3"}
        yield {
            "cell_type": "code",
            "id": f"cell-{n}",
            "metadata": {"tags": tags},
            "execution_count": n,
            "source": source.splitlines(keepends=True),
            "outputs": [{"output_type": "display_data", "metadata": {}, "data": data}],
        }


def make_notebook(folder: Path, name: str, count: int, megabytes: int = 0) -> Path:
    """Write a notebook whose outputs take so many megabytes."""
    output = "iVBORw0K" * (megabytes * 2**20 // count // 8)
    document = {
        "cells": list(cells(count, output)),
        "metadata": {"kernelspec": {"name": "python3", "language": "python", "display_name": "P"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps(document, indent=1))
    return path


# A child counts as its own what its parent held when it was started: the parent must be small.
_PEAK = """import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"""


def peak_mib(*argv: str) -> float:
    """Return the most memory that a process held."""
    command = [sys.executable, "-c", _PEAK, *argv]
    done = subprocess.run(command, env=clean_environment(), check=True, stdout=subprocess.PIPE)
    return float(done.stdout)


def export(notebook: Path, target: Path, *options: str) -> list[str]:
    """Return the command of an export."""
    return [OURS, str(notebook), "-o", str(target), *options]


def rewritten(argv: list[str], target: Path) -> Callable[[], object]:
    """Return a call of an export that has something to write."""
    run = process(*argv)

    def change_and_run() -> None:
        target.unlink(missing_ok=True)
        run()

    return change_and_run


def compare(notebook: Path, folder: Path, rounds: int, *, memory: bool = False) -> None:
    """One notebook through the three tools, in turns (P1, P2, P3)."""
    target = folder / "bench.py"
    sides = {
        "nq-export": (export(notebook, target), target),
        "nbdev": (
            [str(PEERS / "bin/nb-export"), str(notebook), "--lib-path", str(folder / "lib")],
            folder / "lib" / "bench.py",
        ),
        "nbconvert": (
            [str(PEERS / "bin/jupyter-nbconvert"), "--to", "python", "--log-level=ERROR",
             f"--output-dir={folder / 'conv'}", str(notebook)],
            folder / "conv" / f"{notebook.stem}.py",
        ),
    }  # fmt: skip
    found = medians({name: rewritten(*side) for name, side in sides.items()}, rounds=rounds)
    limits = {"small": 0.5, "large": 0.5, "huge": 0.6}
    wanted = [("nbdev", limits[notebook.stem])]
    wanted += [("nbconvert", 0.25)] if notebook.stem == "small" else []
    for peer, limit in wanted:
        size = notebook.stat().st_size / 2**20
        report(
            f"{notebook.name}, {size:.1f} MiB, beside {peer}",
            {name: found[name] for name in (peer, "nq-export")},
            {"nq-export": (peer, limit)},
        )
    if memory:
        peaks = {name: peak_mib(*side[0]) for name, side in sides.items()}
        report_peaks(peaks, 0.9 * peaks["nbdev"], "0.9 x nbdev")


def report_peaks(peaks: Mapping[str, float], limit: float, said: str) -> None:
    """Print the most memory that each side held."""
    for name, peak in peaks.items():
        target = ""
        if name == "nq-export":
            verdict = "ok" if peak <= limit else "MISSED"
            target = f"   {peak / limit:5.2f} of the target, {said} {verdict}"
        print(f"  {name:<34} {peak:9.0f} MiB{target}")


def compare_repeats(notebook: Path, folder: Path) -> None:
    """An export of what has not changed (P4), and a bare start (P5)."""
    target = folder / "again.py"
    process(*export(notebook, target))()
    before = target.stat().st_mtime_ns
    found = medians(
        {
            "bare python": process(sys.executable, "-c", "pass"),
            "nq-export --help": process(OURS, "--help"),
            "first export": rewritten(export(notebook, folder / "first.py"), folder / "first.py"),
            "export of what is current": process(*export(notebook, target)),
            "--check of what is current": process(*export(notebook, target, "--check")),
        }
    )
    report(
        "Start, and saying that nothing changed",
        found,
        {
            "nq-export --help": ("bare python", 6),
            "export of what is current": ("first export", 1.1),
            "--check of what is current": ("first export", 1.1),
        },
    )
    kept = target.stat().st_mtime_ns == before
    print(f"  a current worker is not rewritten  {'ok' if kept else 'MISSED'}")


def compare_outputs(folder: Path) -> None:
    """A few cells under a mountain of outputs: the floor is reading the JSON at all (P4)."""
    notebook = make_notebook(folder, "outputs", 12, 36)
    load = f"import json; json.load(open({str(notebook)!r}))"
    argv = export(notebook, folder / "outputs.py")
    sides = {
        "json.load": process(sys.executable, "-c", load),
        "nq-export": rewritten(argv, folder / "outputs.py"),
    }
    report(
        "12 cells with 36 MiB of outputs", medians(sides, rounds=9),
        {"nq-export": ("json.load", 1.3)},
    )  # fmt: skip
    floor = peak_mib(sys.executable, "-c", load)
    peaks = {"json.load": floor, "nq-export": peak_mib(*argv)}
    report_peaks(peaks, 1.1 * floor, "1.1 x json.load")


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = make_notebook(folder, "small", 10)
        compare_repeats(small, folder)
        compare_outputs(folder)
        if not (PEERS / "bin/nb-export").exists():
            print(f"\nTo compare with nbdev and nbconvert, install them once:\n  {INSTALL}")
            return
        compare(small, folder, rounds=15)
        compare(make_notebook(folder, "large", 1_000), folder, rounds=9)
        compare(make_notebook(folder, "huge", 10_000, 50), folder, rounds=3, memory=True)


if __name__ == "__main__":
    main()
