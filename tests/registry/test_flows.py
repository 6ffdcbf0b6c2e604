"""Flows, assembled from the workers of a folder: `ScanResult.flows`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nuxt_queue.registry import Problem, scan
from nuxt_queue.services.flows import FlowDefinition, Step


def worker(folder: Path, file: str, /, **flow: Any) -> Path:
    path = folder / f"{file}.py"
    config = {"queue": {"name": f"{file}-queue"}, "flow": {"name": ["f"], **flow}}
    path.write_text(f"config = {config!r}\ndef handler(job, ctx): ...\n", encoding="utf-8")
    return path


def test_entry_and_steps_become_a_flow(tmp_path: Path) -> None:
    """host-contract 1.2, buildFlows."""
    worker(tmp_path, "prepare", role="entry", step="prepare", emits=["prepared"])
    worker(tmp_path, "train", role="step", subscribes=["prepared"], emits=["trained"], join="any")
    worker(tmp_path, "report", name=["f", "g"], role="step", subscribes=["trained", "step:train"])
    worker(tmp_path, "go", name="g", role="entry", emits=["trained"])
    found = scan(tmp_path)
    report = Step("report", "report-queue", "report", ("trained", "step:train"))
    assert found.flows() == {
        "f": FlowDefinition(
            "f",
            Step("prepare", "prepare-queue", "prepare", (), ("prepared",)),
            {
                "report": report,
                "train": Step("train", "train-queue", "train", ("prepared",), ("trained",), "any"),
            },
        ),
        "g": FlowDefinition(
            "g", Step("go", "go-queue", "go", (), ("trained",)), {"report": report}
        ),
    }
    assert found.problems == []


def test_a_step_has_what_its_worker_says_of_its_jobs(tmp_path: Path) -> None:
    """A flow goes on also where that worker is not known."""
    queue = {"name": "q", "defaultJobOptions": {"attempts": 3, "backoff": 5}}
    config = {"queue": queue, "flow": {"name": ["f"], "role": "entry", "step": "only"}}
    path = tmp_path / "only.py"
    path.write_text(f"config = {config!r}\ndef handler(job, ctx): ...\n", encoding="utf-8")

    step = scan(tmp_path).flows()["f"].entry

    assert step.job_options == {"attempts": 3, "backoff": {"type": "fixed", "delay": 5}}


def test_a_flow_without_an_entry_here_is_a_warning_and_no_flow(tmp_path: Path) -> None:
    path = worker(tmp_path, "train", role="step", subscribes=["step:train"])
    found = scan(tmp_path)
    assert found.flows() == {}
    assert found.problems == []
    assert found.warnings == [
        Problem(
            path,
            None,
            'flow "f" has no entry here, so it is started where its entry is; without one, give'
            ' one of its workers "role": "entry"',
        )
    ]


def test_of_two_entries_the_first_file_has_the_flow(tmp_path: Path) -> None:
    worker(tmp_path, "a", role="entry")
    second = worker(tmp_path, "b", role="entry")
    found = scan(tmp_path)
    assert found.flows()["f"].entry.worker_id == "a"
    reason = 'flow "f" already has an entry, /a.py; make one of them a step'
    assert found.problems == [Problem(second, None, reason)]


def test_of_two_steps_of_one_name_the_first_file_has_it(tmp_path: Path) -> None:
    worker(tmp_path, "a", role="entry", emits=["e"])
    worker(tmp_path, "b", role="step", step="s", subscribes=["e"])
    second = worker(tmp_path, "c", role="step", step="s", subscribes=["e"])
    found = scan(tmp_path)
    assert found.flows()["f"].steps["s"].worker_id == "b"
    reason = 'flow "f" already has a step "s", /b.py; rename one'
    assert found.problems == [Problem(second, None, reason)]


def test_a_step_named_as_the_entry_is_a_problem(tmp_path: Path) -> None:
    """Both would be the job `<flow id>__<step>`, which exists once."""
    worker(tmp_path, "a", role="entry", step="s", emits=["e"])
    second = worker(tmp_path, "b", role="step", step="s", subscribes=["e"])
    found = scan(tmp_path)
    assert found.flows()["f"].steps == {}
    reason = 'flow "f" has an entry of the same name, "s", /a.py; rename one'
    assert found.problems == [Problem(second, None, reason)]


def test_an_event_that_nobody_emits_is_a_warning(tmp_path: Path) -> None:
    worker(tmp_path, "a", role="entry", emits=["data.prepared"])
    near = worker(tmp_path, "b", role="step", subscribes=["data.prepred"])
    far = worker(tmp_path, "c", role="step", subscribes=["step:nowhere"])
    found = scan(tmp_path)
    assert found.warnings == [
        Problem(
            near,
            None,
            'step "b" of flow "f" waits for "data.prepred", which nobody emits;'
            ' did you mean "data.prepared"?',
        ),
        Problem(
            far,
            None,
            'step "c" of flow "f" waits for "step:nowhere", which nobody emits;'
            " no worker of the flow says it emits it",
        ),
    ]
    assert set(found.flows()["f"].steps) == {"b", "c"}
