"""A folder of workers: `scan`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nuxt_queue.config import ProjectConfig, RuntimeConfig
from nuxt_queue.errors import RegistryError, WorkerNotFoundError
from nuxt_queue.registry import Problem, scan

SAMPLES = Path(__file__).parent.parent / "samples" / "workers"
PLAIN = "config = {}\ndef handler(job, ctx): ...\n"


def worker(folder: Path, name: str, config: object = None) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PLAIN.replace("{}", repr(config or {})), encoding="utf-8")
    return path


def reasons(problems: list[Problem]) -> dict[str, str]:
    return {problem.path.name: problem.reason for problem in problems}


def test_ids_queues_and_jobs_follow_the_host(tmp_path: Path) -> None:
    """host-contract 1.2."""
    worker(tmp_path, "plain.py")
    worker(tmp_path, "my.worker.v2.py")
    worker(tmp_path, "ml/train_model.py", {"queue": {"name": "training"}})
    worker(
        tmp_path,
        "ml/evaluate.py",
        {"queue": {"name": "ml"}, "flow": {"name": "f", "role": "entry", "step": "score"}},
    )
    worker(tmp_path, "ml/nameless.py", {"flow": {"role": "entry", "step": "lost"}})
    found = {entry.id: (entry.name, entry.queue, entry.job) for entry in scan(tmp_path).entries}
    assert found == {
        "ml/evaluate": ("evaluate", "ml", "score"),
        "ml/nameless": ("nameless", "nameless", "nameless"),
        "ml/train_model": ("train_model", "training", "train_model"),
        "my.worker.v2": ("my.worker.v2", "my.worker.v2", "my.worker.v2"),
        "plain": ("plain", "plain", "plain"),
    }


def test_an_entry_on_the_wire_is_what_the_host_registers() -> None:
    """multi-language-workers, Registry Integration; host-contract 1.1 for `flow.names`."""
    entry = scan(SAMPLES, ProjectConfig(SAMPLES.parent)).find("training", "train")
    wire = entry.to_wire()
    config = wire.pop("config")
    assert wire == {
        "kind": "py",
        "id": "states_everything",
        "name": "states_everything",
        "path": "/workers/states_everything.py",
        "absPath": str(SAMPLES / "states_everything.py"),
        "queue": {
            "name": "training",
            "defaultJobOptions": {
                "attempts": 3,
                "backoff": {"type": "exponential", "delay": 1000},
                "removeOnComplete": {"count": 100},
            },
            "prefix": "nq",
            "limiter": {"max": 10, "duration": 1000},
        },
        "job": "train",
        "flow": {
            "names": ["ml-flow"],
            "role": "step",
            "step": "train",
            "emits": ["model.trained"],
            "subscribes": ["data.prepared"],
            "stepTimeout": 600000,
        },
        "worker": {
            "runtime": "python",
            "concurrency": 2,
            "timeout": 300000,
            "lockDurationMs": 30000,
        },
    }
    assert config["flow"]["name"] == ["ml-flow"]
    assert (config["runtime"], config["concurrency"], config["timeout"]) == ("python", 2, 300000)


def test_the_samples_that_cannot_be_used_are_reported_with_line_and_reason() -> None:
    found = {p.path.name: (p.line, p.reason) for p in scan(SAMPLES).problems}
    computed = "config cannot be read without running the file: `int(os.environ['WORKERS'])` has to"
    assert found["computes_its_config.py"] == (7, f"{computed} be computed; write it out")
    assert found["imports_relatively.py"] == (
        3,
        (
            "a relative import fails in a worker, which is in no package;"
            " import the module by its name"
        ),
    )
    assert found["is_no_python.py"] == (2, "SyntaxError: invalid syntax")
    assert found["has_no_handler.py"][1].startswith("has no handler; define handler(job, ctx)")


def test_hidden_names_are_passed_over_and_a_file_reached_twice_counts_once(tmp_path: Path) -> None:
    """host-contract 1.1."""
    worker(tmp_path, "one.py")
    worker(tmp_path, ".hidden.py")
    worker(tmp_path, ".nq/helper.py")
    worker(tmp_path, "looks.py/inner.py")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "two.py").symlink_to(tmp_path / "one.py")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "looks.py" / "up").symlink_to(tmp_path, target_is_directory=True)
    found = scan(tmp_path)
    assert [entry.id for entry in found.entries] == ["looks.py/inner", "one"]
    assert found.problems == []


def test_links_out_of_the_folder_are_followed(tmp_path: Path) -> None:
    shared = worker(tmp_path, "shared/one.py")
    (tmp_path / "queues").mkdir()
    (tmp_path / "queues" / "ml").symlink_to(shared.parent, target_is_directory=True)
    assert [entry.id for entry in scan(tmp_path / "queues").entries] == ["ml/one"]


def test_a_link_to_itself_is_a_problem_and_nothing_else(tmp_path: Path) -> None:
    worker(tmp_path, "one.py")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    found = scan(tmp_path)
    assert [entry.id for entry in found.entries] == ["one"]
    assert "cannot be read" in reasons(found.problems)["loop.py"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("email.py", "hides the module email of the standard library from every worker beside"),
        ("nuxt_queue.py", "hides the module nuxt_queue of this package from every worker beside"),
        ("__init__.py", "__init__ is no worker's name"),
        ("__main__.py", "__main__ is no worker's name"),
    ],
)
def test_names_that_break_the_host_are_problems(tmp_path: Path, name: str, reason: str) -> None:
    """host-contract 1.3; faults 89."""
    worker(tmp_path, name)
    worker(tmp_path, "fine.py")
    found = scan(tmp_path)
    assert [entry.id for entry in found.entries] == ["fine"]
    assert reason in reasons(found.problems)[name]


def test_a_name_that_is_no_text_is_a_problem_that_can_be_printed(tmp_path: Path) -> None:
    """See faults 91."""
    (tmp_path / os.fsdecode(b"\xe9t\xe9.py")).write_text(PLAIN)
    (tmp_path / "two\nlines.py").write_text(PLAIN)
    problems = scan(tmp_path).problems
    assert len(problems) == 2
    for problem in problems:
        assert "\n" not in str(problem)
        json.dumps(problem.to_wire()).encode()
        str(problem).encode()


def test_odd_file_names_that_are_text_are_workers(tmp_path: Path) -> None:
    """See faults 91: nothing of a name is ever run by a shell."""
    names = ["-rf", "a b", "$(x)", "it's", "Übung", "x" * 250]
    for name in names:
        worker(tmp_path, f"{name}.py")
    found = scan(tmp_path)
    assert sorted(entry.id for entry in found.entries) == sorted(names)
    assert found.problems == []


def test_a_wrong_config_is_a_problem_at_the_line_of_the_config(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text('"""Doc."""\n\nconfig = {"timeoutt": 3}\ndef handler(job, ctx): ...\n')
    reason = "config.timeoutt is no known key; did you mean timeout?"
    assert scan(tmp_path).problems == [Problem(path, 3, reason)]
    assert str(scan(tmp_path).problems[0]) == f"{path}:3: {reason}"


def test_an_import_that_only_type_checkers_read_may_be_relative(tmp_path: Path) -> None:
    guarded = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .x import T\n"
    (tmp_path / "fine.py").write_text(f"{guarded}{PLAIN}")
    (tmp_path / "fails.py").write_text(f"{guarded}else:\n    from .x import T\n{PLAIN}")
    found = scan(tmp_path)
    assert [entry.id for entry in found.entries] == ["fine"]
    assert [(p.path.name, p.line) for p in found.problems] == [("fails.py", 5)]


def test_a_queue_and_job_taken_twice_is_a_problem_that_names_both_files(tmp_path: Path) -> None:
    """host-contract 1.2: the same last segment is the same queue; the first file has it."""
    first = worker(tmp_path, "a/train.py")
    second = worker(tmp_path, "b/train.py")
    found = scan(tmp_path)
    assert [entry.id for entry in found.entries] == ["a/train"]
    assert found.problems == [
        Problem(
            second,
            None,
            f'queue "train" already has a job "train", from {first};'
            " give one of them a queue or a step of its own",
        )
    ]


def test_two_jobs_may_share_a_queue(tmp_path: Path) -> None:
    worker(tmp_path, "a.py", {"queue": "q"})
    worker(tmp_path, "b.py", {"queue": "q"})
    found = scan(tmp_path)
    assert [(entry.queue, entry.job) for entry in found.entries] == [("q", "a"), ("q", "b")]
    assert found.find("q", "b").id == "b"


def test_an_unknown_job_is_answered_with_those_of_its_queue(tmp_path: Path) -> None:
    worker(tmp_path, "a.py", {"queue": "q"})
    worker(tmp_path, "b.py", {"queue": "other"})
    with pytest.raises(WorkerNotFoundError) as caught:
        scan(tmp_path).find("q", "b")
    assert str(caught.value) == 'No handler for job "b" on queue "q". Available: a'


def test_a_slip_in_a_config_is_a_warning_and_the_worker_is_there(tmp_path: Path) -> None:
    worker(tmp_path, "quick.py", {"timeout": 30})
    found = scan(tmp_path)
    assert [entry.worker["timeout"] for entry in found.entries] == [30]
    assert "timeouts are milliseconds" in reasons(found.warnings)["quick.py"]


def test_the_settings_say_which_runtimes_there_are_and_their_timeouts(tmp_path: Path) -> None:
    """host-contract 7.17."""
    for runtime in ("python", "julia", "zig", "inprocess"):
        worker(tmp_path, f"queues/{runtime}.py", {"runtime": runtime})
    runtimes = {
        "python": RuntimeConfig.check({"timeout": 5000}, "python"),
        "julia": RuntimeConfig.check({"command": "julia", "timeout": 7000}, "julia"),
        "inprocess": RuntimeConfig.check({"enabled": False}, "inprocess"),
    }
    found = scan(tmp_path / "queues", ProjectConfig(tmp_path, None, runtimes))
    assert {entry.path: entry.worker["timeout"] for entry in found.entries} == {
        "/queues/julia.py": 7000,
        "/queues/python.py": 5000,
    }
    assert reasons(found.problems) == {
        "inprocess.py": (
            'runtime "inprocess" is switched off;'
            " set enabled = true in [tool.nuxt-queue].runtimes.inprocess"
        ),
        "zig.py": 'unknown runtime "zig"; known: python, julia, inprocess',
    }


@pytest.mark.parametrize("runtime", ["node", "node-isolated"])
def test_a_python_file_cannot_ask_for_node(tmp_path: Path, runtime: str) -> None:
    worker(tmp_path, "w.py", {"runtime": runtime})
    assert "cannot run as" in reasons(scan(tmp_path).problems)["w.py"]


def test_a_folder_that_is_missing_or_none_is_one_line(tmp_path: Path) -> None:
    path = worker(tmp_path, "one.py")
    for wrong, what in ((tmp_path / "no", "does not exist"), (path, "is not a directory")):
        with pytest.raises(RegistryError) as caught:
            scan(wrong)
        assert str(caught.value) == f"{wrong} {what}; give the folder of the workers"


def test_an_empty_folder_has_no_workers(tmp_path: Path) -> None:
    assert scan(tmp_path).to_wire() == {"entries": [], "problems": [], "warnings": []}


def test_a_scan_is_json_and_the_same_every_time(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "c/a.py", "email.py"):
        worker(tmp_path, name)
    once = json.dumps(scan(str(tmp_path)).to_wire(), allow_nan=False)
    assert json.dumps(scan(tmp_path).to_wire()) == once
