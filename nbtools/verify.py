"""Runs an exported worker twice, as the notebook does and in a process, and compares.

This is the one part of the exporter's side that runs the worker, and it does so only when asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nbtools.emulator import LocalRunContext, run_local
from nbtools.errors import Diagnostic
from nbtools.exporter import Exported
from nbtools.trials import Trial
from nuxt_queue.errors import ConfigError, HandlerError, NuxtQueueError
from nuxt_queue.one_job import JobReport, run_job
from nuxt_queue.registry import read_worker
from nuxt_queue.registry.entry import WorkerEntry
from nuxt_queue.runner.discovery import discovered_config
from nuxt_queue.text import one_line
from nuxt_queue.timeline import brief

__all__ = ["Difference", "Verdict", "compare", "table", "verify"]

_NOTHING = "(nothing)"
_COLUMN = 44  # characters of a value in the table


class Difference(NamedTuple):
    """One thing that the notebook and the process do not agree on."""

    what: str
    notebook: Any
    process: Any


class Verdict(NamedTuple):
    """What came of one try-out: what to report, and the differences."""

    finding: Diagnostic | None
    differences: list[Difference]


async def verify(exported: Exported, worker: Path, trials: Sequence[Trial]) -> list[Verdict]:
    """Have registry and host find the written worker, and run each try-out both ways.

    Returns:
        One verdict for each try-out, after one for the host when it would not find the worker; a
        single one when the worker cannot be run at all.
    """
    try:
        entry = read_worker(worker)
        if entry.config != exported.config:
            reason = f"the registry reads another config: {brief(entry.config)}"
            return [Verdict(Diagnostic("NQ502", reason, "export the notebook again"), [])]
        missed = await asyncio.to_thread(_missed_by_the_host, worker, exported.config)
        verdicts = [await _replay(entry, trial) for trial in trials]
        return [Verdict(missed, []), *verdicts] if missed else verdicts
    except NuxtQueueError as error:
        return [Verdict(Diagnostic("NQ502", f"the worker cannot be run: {error}", ""), [])]


def _missed_by_the_host(worker: Path, config: Any) -> Diagnostic | None:
    """Return why the host would not find the config that was exported, None when it would."""
    fix = "export the notebook again"
    try:
        found = discovered_config(worker)
    except ConfigError as error:
        return Diagnostic("NQ505", f"the host finds no config in the worker: {error}", fix)
    # As texts: for Python 1 is 1.0 and True, for whoever reads the JSON it is not.
    if json.dumps(found, sort_keys=True) == json.dumps(config, sort_keys=True):
        return None
    return Diagnostic("NQ505", f"the host finds another config: {brief(found)}", fix)


async def _replay(entry: WorkerEntry, trial: Trial) -> Verdict:
    report = await run_job(entry, trial.data, state=trial.state)
    place = (trial.cell, trial.line)
    if isinstance(report.error, HandlerError) and report.error.phase == "import":
        message = f"the worker cannot be imported here: {report.error}"
        return Verdict(Diagnostic("NQ502", message, "install what it needs", *place), [])
    differences = compare(await _in_the_notebook(entry, trial), _outcome_of(report))
    if not differences:
        return Verdict(None, [])
    message = "the notebook and the process do not agree"
    fix = "what the handler uses besides its input must be the same in both"
    return Verdict(Diagnostic("NQ501", message, fix, *place), differences)


def compare(notebook: Mapping[str, Any], process: Mapping[str, Any]) -> list[Difference]:
    """Return in what two outcomes differ, key by key and item by item."""
    found: list[Difference] = []
    for what in dict.fromkeys([*notebook, *process]):
        ours, theirs = notebook.get(what, _NOTHING), process.get(what, _NOTHING)
        if isinstance(ours, list) and isinstance(theirs, list):
            found += _in_lists(what, ours, theirs)
        elif isinstance(ours, dict) and isinstance(theirs, dict) and what == "state":
            for key in dict.fromkeys([*ours, *theirs]):
                pair = ours.get(key, _NOTHING), theirs.get(key, _NOTHING)
                found += [Difference(f"state.{key}", *pair)] if pair[0] != pair[1] else []
        elif ours != theirs or type(ours) is not type(theirs):
            found.append(Difference(what, ours, theirs))
    return found


def table(differences: Sequence[Difference]) -> str:
    """Return the differences side by side."""
    rows = [("", "notebook", "process")]
    rows += [(each.what, _shown(each.notebook), _shown(each.process)) for each in differences]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"  {a:<{first}}  {b:<{second}}  {c}".rstrip() for a, b, c in rows)


def _in_lists(what: str, ours: list[Any], theirs: list[Any]) -> Iterator[Difference]:
    for number in range(max(len(ours), len(theirs))):
        pair = [each[number] if number < len(each) else _NOTHING for each in (ours, theirs)]
        if pair[0] != pair[1]:
            yield Difference(f"{what}[{number}]", *pair)


def _shown(value: Any) -> str:
    text = value if value == _NOTHING else brief(value)
    return one_line(text if len(text) <= _COLUMN else f"{text[: _COLUMN - 1]}…")


def _outcome_of(report: JobReport) -> dict[str, Any]:
    error = report.error
    outcome: dict[str, Any] = {"result": report.result}
    if error is not None:
        is_told = isinstance(error, HandlerError)
        outcome = {"error": str(error) if is_told else _said(type(error).__name__, str(error))}
    printed = [log for log in report.logs if "stream" in log]
    return outcome | {
        "logs": [log for log in report.logs if log not in printed],
        "emits": report.emits,
        "state": report.state,
    }


async def _in_the_notebook(entry: WorkerEntry, trial: Trial) -> dict[str, Any]:
    """Run the file's own code here, as a kernel would, and its handler with the emulator."""
    flow = entry.flow
    ctx = LocalRunContext(
        flow_name=flow.names[0] if flow and flow.names else None,
        step_name=entry.job,
        queue=entry.queue,
        job_id="1",
        flow_id="run-1" if flow else None,
        state=trial.state,
    )
    outcome: dict[str, Any]
    try:
        with _at_home(entry.abs_path):
            handler = _handler_of(entry)
            outcome = {"result": (await run_local(handler, trial.data, ctx=ctx)).result}
    except (Exception, SystemExit) as error:  # noqa: BLE001 whatever it is, it is compared
        is_told = isinstance(error, HandlerError)
        outcome = {"error": str(error) if is_told else _said(type(error).__name__, str(error))}
    return outcome | {
        "logs": [event.data for event in ctx.events if event.type == "log"],
        "emits": [event.data for event in ctx.events if event.type == "emit"],
        "state": ctx.state.contents,
    }


def _said(name: str, text: str) -> str:
    return f"{name}: {text}" if text else name


def _handler_of(entry: WorkerEntry) -> Any:
    text = entry.abs_path.read_text("utf-8")
    module = types.ModuleType(f"verified {entry.name}")
    module.__file__ = str(entry.abs_path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look their module up
    exec(compile(text, str(entry.abs_path), "exec", dont_inherit=True), vars(module))  # noqa: S102 what --verify is for
    return getattr(module, _started(text))


def _started(text: str) -> str:
    """Return the name of the handler that the last line of an exported file starts."""
    return text.rstrip().rpartition("run_worker(")[2].rstrip(")")


@contextlib.contextmanager
def _at_home(worker: Path) -> Iterator[None]:
    """Be where the worker's process is: in its folder, which is the last place to import from."""
    here = Path.cwd()
    folder = str(worker.parent)
    with contextlib.redirect_stdout(sys.stderr):
        os.chdir(folder)
        sys.path.append(folder)
        try:
            yield
        finally:
            sys.path.remove(folder)
            os.chdir(here)
