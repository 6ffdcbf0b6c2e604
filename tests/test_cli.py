"""`nq` as a person types it: one line when something is wrong, and never a traceback of ours."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.cli import main

GREET = """
from nuxt_queue import define_config, define_worker, run_worker

config = define_config({"queue": {"name": "greet"}, "runtime": "python", "timeout": 20000})

@define_worker
async def handler(job, ctx):
    ctx.logger.info("greeting", {"name": job["data"]["name"]})
    await ctx.state.set("last", job["data"]["name"])
    await ctx.flow.emit("greeted", {"name": job["data"]["name"]})
    print("printed")
    return {"text": "Hello " + job["data"]["name"]}

if __name__ == "__main__":
    run_worker(handler)
"""

STEP = """
from nuxt_queue import run_worker

config = {{"queue": {{"name": "{name}"}}, "runtime": "python", "timeout": 20000, "flow": {{
    "name": "pair", "role": "{role}", "step": "{name}", "emits": {emits}, "subscribes": {subscribes}
}}}}

async def handler(job, ctx):
    {body}

if __name__ == "__main__":
    run_worker(handler)
"""


def worker(folder: Path, source: str, name: str = "greet.py") -> Path:
    path = folder / name
    path.write_text(source, "utf-8")
    return path


def pair(folder: Path, second: str) -> None:
    """Write a flow of two steps; `second` is the body of the second one's handler."""
    first = "await ctx.flow.emit('made', {'n': job['data']['n'] + 1})"
    texts = {"role": "entry", "emits": ["made"], "subscribes": [], "body": first}
    worker(folder, STEP.format(name="first", **texts), "first.py")
    texts = {"role": "step", "emits": [], "subscribes": ["made"], "body": second}
    worker(folder, STEP.format(name="second", **texts), "second.py")


def run(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    status = main([str(arg) for arg in argv])
    out, err = capsys.readouterr()
    return status, out, err


def test_run_prints_the_result_on_stdout_and_the_rest_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = worker(tmp_path, GREET)
    status, out, err = run(capsys, "run", path, "--data", '{"name": "Ada"}')
    assert status == 0
    assert json.loads(out) == {"text": "Hello Ada"}
    assert sorted(err.splitlines()) == [
        'emit   greeted  {"name": "Ada"}',
        'info   greeting  name="Ada"',
        'info   printed  stream="stdout"',
    ]


def test_run_json_is_one_object_with_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = worker(tmp_path, GREET)
    status, out, err = run(capsys, "run", path, "--data", '{"name": "Ada"}', "--json")
    report = json.loads(out)
    assert (status, err) == (0, "")
    assert list(report) == ["status", "result", "logs", "emits", "state", "events", "duration_ms"]
    assert report["status"] == "completed"
    assert report["emits"] == [{"name": "greeted", "payload": {"name": "Ada"}}]
    assert report["state"] == {"last": "Ada"}
    types = {event["type"] for event in report["events"]}
    assert types == {"step.started", "process.started", "log", "emit", "step.completed"}


def test_a_job_that_fails_says_why_and_where_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = worker(tmp_path, GREET)
    status, out, err = run(capsys, "run", path, "--data", "{}")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == f"failed: KeyError: 'name' ({path}:8)"
    status, out, _ = run(capsys, "run", path, "--data", "{}", "--json")
    error = json.loads(out)["error"]
    assert status == 1
    assert (error["type"], error["message"], error["phase"]) == ("KeyError", "'name'", "run")
    assert error["location"] == {"file": str(path), "line": 8, "function": "handler"}
    assert "nuxt_queue" not in error["traceback"]


def broken(line: str) -> str:
    return GREET.replace('    print("printed")\n', f"    {line}\n")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import pandsa\n" + GREET, "failed: ModuleNotFoundError: No module named 'pandsa'"),
        (broken("return {'a': [1, float('nan')]}"), "failed: ValuePathError: result.a[1] is NaN"),
        (broken("return object()"), "failed: ValuePathError: result is of type object"),
        (broken("import os; os._exit(7)"), "failed: WorkerCrashedError: worker process exited"),
        (broken("raise SystemExit(3)"), "failed: SystemExit: 3"),
    ],
)
def test_a_worker_that_cannot_do_its_job_is_one_clear_line(
    source: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "run", worker(tmp_path, source), "--data", '{"name": "A"}')
    assert (status, out) == (1, "")
    (told,) = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert told.startswith(said)
    assert "nuxt_queue/" not in err


def test_a_package_that_is_missing_is_named_with_the_python_that_misses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = worker(tmp_path, f"import pandsa.io\n{GREET}")
    _, _, err = run(capsys, "run", path)
    hint = err.splitlines()[-1]
    assert hint == f"hint: pandsa is not installed for {sys.executable}: install it there"


def test_what_a_worker_logs_and_raises_cannot_write_lines_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Faults 99: line ends, colours and cursor movements are shown, and do nothing."""
    hostile = "a\\nfailed: no\\x1b[2J\\r\\u202eb"
    body = f'ctx.logger.warn("{hostile}"); raise RuntimeError("{hostile}")'
    status, _, err = run(capsys, "run", worker(tmp_path, broken(body)), "--data", '{"name": "A"}')
    shown = "a\\nfailed: no\\x1b[2J\\r\\u202eb"
    assert status == 1
    assert f"warn   {shown}" in err.splitlines()
    assert [line for line in err.splitlines() if line.startswith("failed: ")][-1].startswith(
        f"failed: RuntimeError: {shown} ("
    )
    assert all(line.isprintable() for line in err.splitlines())


@pytest.mark.parametrize("argv", [[], ["scan"], ["run"], ["flow"], ["flow", "start"]])
def test_every_command_says_how_it_is_used(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*argv, "--help"])
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    assert out.startswith(f"usage: {' '.join(['nq', *argv])} ")


def test_a_job_that_takes_too_long_is_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = worker(tmp_path, broken("import time; time.sleep(60)"))
    status, _, err = run(capsys, "run", path, "--data", '{"name": "A"}', "--timeout", 700)
    assert status == 1
    assert err.splitlines()[-1] == "failed: WorkerTimeoutError: Worker timeout after 700ms"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["run", "nope.py"], "nope.py: "),
        (["run", "."], ": "),
        (["run", "greet.ipynb"], "is a notebook; make a worker of it first: nq-export greet.ipynb"),
        (["run", "greet.py", "--data", '{"nam'], "nq: --data is not JSON"),
        (["run", "greet.py", "--data", "@nope.json"], "nq: --data: cannot read nope.json"),
        (["run", "greet.py", "--state", "[]"], "nq: --state is a JSON object"),
        (["run", "greet.py", "--timeout", "0"], "nq: timeout is 0; give milliseconds above 0"),
        (["run", "odd.py"], 'unknown runtime "rubby"'),
        (["scan", "nope"], "nq: nope does not exist"),
        (["scan", "greet.py"], "nq: greet.py is not a directory"),
        (["flow", "start", "nope", "--workers", "."], 'Flow not found: "nope"'),
    ],
)
def test_a_bad_call_is_one_line_and_exits_2(
    argv: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    worker(tmp_path, GREET)
    if "odd.py" in argv:
        worker(tmp_path, GREET.replace('"runtime": "python"', '"runtime": "rubby"'), "odd.py")
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "")
    assert said in err
    assert err.startswith("nq: ")
    assert err.count("\n") == 1


def test_data_comes_from_a_file_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "job.json").write_text('{"name": "Ada"}', "utf-8")
    path = worker(tmp_path, GREET)
    status, out, _ = run(capsys, "run", path, "--data", f"@{tmp_path / 'job.json'}")
    assert (status, json.loads(out)) == (0, {"text": "Hello Ada"})


def test_scan_lists_the_workers_and_names_what_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worker(tmp_path, GREET)
    worker(tmp_path, "x = 1\n", "helper.py")
    status, out, err = run(capsys, "scan", tmp_path)
    assert status == 1
    assert [line.split() for line in out.splitlines()] == [
        ["queue", "job", "runtime", "flow", "file"],
        ["greet", "greet", "python", "/greet.py"],
    ]
    assert err.startswith(f"problem: {tmp_path / 'helper.py'}")
    status, out, _ = run(capsys, "scan", tmp_path, "--json")
    (entry,) = json.loads(out)["entries"]
    assert entry["worker"]["timeout"] == 20000


def test_a_folder_without_workers_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "scan", tmp_path) == (0, "", f"no workers in {tmp_path}\n")


def test_a_flow_runs_to_its_end_and_shows_its_timeline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair(tmp_path, "return job['data']['n'] * 10")
    status, out, err = run(
        capsys, "flow", "start", "pair", "--workers", tmp_path, "--data", '{"n": 1}'
    )
    assert (status, err) == (0, 'first   emit   made  {"n": 2}\n')
    lines = [line.split() for line in out.splitlines()]
    assert [line[:2] for line in lines] == [
        ["step", "status"],
        ["first", "completed"],
        ["second", "completed"],
        ["flow", "pair"],
    ]
    status, out, _ = run(
        capsys, "flow", "start", "pair", "--workers", tmp_path, "--data", '{"n": 1}', "--json"
    )
    report: dict[str, Any] = json.loads(out)
    assert (status, report["status"]) == (0, "completed")
    results = [e["data"]["result"] for e in report["events"] if e["type"] == "step.completed"]
    assert results == [None, 20]


def test_a_flow_whose_step_fails_says_which_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair(tmp_path, "raise RuntimeError('no more')")
    status, out, _ = run(
        capsys, "flow", "start", "pair", "--workers", tmp_path, "--data", '{"n": 1}'
    )
    assert status == 1
    assert out.splitlines()[-1] == "flow pair failed: step second: RuntimeError: no more"
