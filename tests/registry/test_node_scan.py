"""Workers of Node in a folder, beside those of Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from nuxt_queue.config import ProjectConfig, RuntimeConfig
from nuxt_queue.errors import WorkerLoadError
from nuxt_queue.registry import ScanResult, read_worker, scan

WORKER = "export default defineQueueWorker(async (job, ctx) => 1)\n"


def worker(folder: Path, name: str, config: str | None = None) -> Path:
    """Write a worker of Node."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    stated = "" if config is None else f"export const config = defineQueueConfig({config})\n"
    path.write_text(stated + WORKER)
    return path


def reasons(found: ScanResult) -> dict[str, str]:
    """Return what is wrong by the name of the file."""
    return {problem.path.name: problem.reason for problem in found.problems}


def test_the_host_s_suffixes_are_workers_and_other_people_s_code_is_not(tmp_path: Path) -> None:
    """host-contract 1.1: its glob, and what no project means by a worker left out."""
    for name in ("a.ts", "b.js", "c.mjs", "d.cjs", "e.mts", "deep/er/f.cts", "my.worker.v2.ts"):
        worker(tmp_path, name)
    for name in ("types.d.ts", "types.d.mts", "node_modules/x/index.js", ".nuxt/x.ts", "x.jsx"):
        worker(tmp_path, name)
    found = scan(tmp_path)
    assert [entry.id for entry in found.entries] == [
        "a",
        "b",
        "c",
        "d",
        "deep/er/f",
        "e",
        "my.worker.v2",
    ]
    assert found.problems == []
    assert {(e.kind, e.worker["runtime"]) for e in found.entries} == {("ts", "node")}


def test_an_entry_is_what_the_host_s_registry_writes(tmp_path: Path) -> None:
    """host-contract 1.2, with the runtime and its longer timeout."""
    path = worker(
        tmp_path,
        "server/queues/heavy/compute.ts",
        "{ runtime: 'node-isolated', concurrency: 2,"
        " flow: { name: ['f'], role: 'entry', step: 'compute', emits: ['done'] } }",
    )
    found = scan(tmp_path / "server" / "queues", ProjectConfig(tmp_path))
    wire = found.entries[0].to_wire()
    config = wire.pop("config")
    assert wire == {
        "kind": "ts",
        "id": "heavy/compute",
        "name": "compute",
        "path": "/server/queues/heavy/compute.ts",
        "absPath": str(path),
        "queue": {"name": "compute"},
        "job": "compute",
        "flow": {
            "names": ["f"],
            "role": "entry",
            "step": "compute",
            "emits": ["done"],
            "subscribes": [],
        },
        "worker": {"runtime": "node-isolated", "concurrency": 2, "timeout": 600_000},
    }
    assert config["runtime"] == config["worker"]["runtime"] == "node-isolated"


def test_a_worker_without_a_config_has_the_defaults(tmp_path: Path) -> None:
    worker(tmp_path, "send-email.ts")
    entry = scan(tmp_path).entries[0]
    assert (entry.queue, entry.job, entry.flow) == ("send-email", "send-email", None)
    assert entry.worker == {"runtime": "node", "concurrency": 1, "timeout": 300_000}


@pytest.mark.parametrize("runtime", ["python", "inprocess"])
def test_a_file_of_node_cannot_ask_for_python(tmp_path: Path, runtime: str) -> None:
    worker(tmp_path, "w.ts", f"{{ runtime: '{runtime}' }}")
    reason = f'a .ts file cannot run as "{runtime}"; its runtime is "node"'
    assert reasons(scan(tmp_path)) == {"w.ts": reason}


def test_a_wrong_config_is_a_problem_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "w.ts"
    path.write_text(f"\n\nexport const config = {{ timeoutt: 3 }}\n{WORKER}")
    assert [str(problem) for problem in scan(tmp_path).problems] == [
        f"{path}:3: config.timeoutt is no known key; did you mean timeout?"
    ]


def test_a_slip_in_a_config_is_a_warning(tmp_path: Path) -> None:
    worker(tmp_path, "w.ts", "{ timeout: 30 }")
    found = scan(tmp_path)
    assert "timeouts are milliseconds" in found.warnings[0].reason
    assert found.warnings[0].line == 1


def test_the_same_name_in_two_languages_is_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "w.py").write_text("config = {}\ndef handler(job, ctx): ...\n")
    worker(tmp_path, "w.ts")
    assert 'queue "w" already has a job "w"' in reasons(scan(tmp_path))["w.ts"]


def test_a_flow_may_have_steps_in_both_languages(tmp_path: Path) -> None:
    worker(tmp_path, "b.ts", "{ flow: { name: 'f', role: 'step', subscribes: ['e'] } }")
    (tmp_path / "a.py").write_text(
        'config = {"flow": {"name": "f", "role": "entry", "emits": ["e"]}}\n'
        "def handler(job, ctx): ...\n"
    )
    found = scan(tmp_path)
    assert set(found.flows()["f"].steps) == {"b"}
    assert found.problems == found.warnings == []


def test_a_runtime_that_is_switched_off_has_no_workers(tmp_path: Path) -> None:
    worker(tmp_path, "w.ts")
    off = {"node": RuntimeConfig.check({"enabled": False}, "node")}
    assert reasons(scan(tmp_path, ProjectConfig(tmp_path, None, off))) == {
        "w.ts": 'runtime "node" is switched off;'
        " set enabled = true in [tool.nuxt-queue].runtimes.node"
    }


def test_types_alone_are_no_worker(tmp_path: Path) -> None:
    path = worker(tmp_path, "w.d.ts")
    with pytest.raises(WorkerLoadError, match="only declares types, and a worker is code"):
        read_worker(path)
