"""`nq enqueue`, `nq jobs`, `nq retry` and `nq flow` on queues that another process serves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nuxt_queue.cli import main
from tests.cli.conftest import WAIT_S, Project


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return the project, in which `main` is called."""
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("REDIS_URL", raising=False)
    return project


def run(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    status = main([str(arg) for arg in argv])
    out, err = capsys.readouterr()
    return status, out.strip(), err


def test_a_job_has_the_defaults_of_its_worker_unless_it_says_otherwise(
    here: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = {"name": "greet", "defaultJobOptions": {"attempts": 4, "backoff": 10}}
    here.write("greet", queue=queue)
    _, job_id, _ = run(capsys, "enqueue", "greet", "--data", '{"n": 1}')
    run(capsys, "enqueue", "greet", "--id", "mine", "--attempts", "2", "--delay", "60000")
    _, again, _ = run(capsys, "enqueue", "greet", "--id", "mine", "--data", '{"other": 1}')
    assert again == "mine"
    mine, first = json.loads(run(capsys, "jobs", "greet", "--json")[1])
    assert (first["id"], first["state"], first["data"]) == (job_id, "waiting", {"n": 1})
    assert (first["opts"]["attempts"], mine["opts"]["attempts"]) == (4, 2)
    assert (mine["state"], mine["data"]) == ("delayed", {})
    status, out, err = run(capsys, "jobs", "--state", "delayed")
    assert (status, err) == (0, "")
    assert [line.split()[:6] for line in out.splitlines()] == [
        ["job", "queue", "name", "state", "attempts", "age"],
        ["mine", "greet", "greet", "delayed", "0", "of"],
    ]
    counts = run(capsys, "jobs", "--counts", "--json")[1]
    assert json.loads(counts)["greet"]["waiting"] == 1
    assert json.loads(run(capsys, "jobs", "greet", "mine", "--json")[1])["id"] == "mine"


def test_where_there_are_no_jobs_the_queues_are_named(
    here: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    said = f"no workers in {here.workers}, so no queues\n"
    assert run(capsys, "jobs") == (0, "", said)
    here.write("greet")
    assert run(capsys, "jobs", "--state", "failed") == (0, "", "no failed jobs in greet\n")
    said = "no jobs in gret; the workers have: greet\n"
    assert run(capsys, "jobs", "gret") == (0, "", said)
    assert run(capsys, "retry", "greet", "--failed")[2] == 'no job of queue "greet" has failed\n'


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["enqueue", "nope"], 2, 'serves the queue "nope"; known: greet, two'),
        (["enqueue", "greet", "nope"], 2, 'No handler for job "nope" on queue "greet".'),
        (["enqueue", "two"], 2, 'queue "two" has several jobs, name one of: left, right'),
        (["enqueue", "greet", "--data", "{"], 2, "--data is not JSON"),
        (["enqueue", "greet", "--data", "NaN"], 2, "data is NaN"),
        (["enqueue", "greet", "--data", '"\\ud800"'], 2, "data"),
        (["enqueue", "greet", "--opts", "[]"], 2, "--opts is a JSON object of job options"),
        (["enqueue", "greet", "--opts", '{"attemps": 2}'], 2, 'did you mean "attempts"?'),
        (["enqueue", "greet", "--opts", '{"attempts": "2"}'], 2, "job option \"attempts\" is '2'"),
        (["enqueue", "greet", "--id", "a:b"], 2, 'a job id must not contain ":"'),
        (["enqueue", "greet", "--workers", "nope"], 2, "nope does not exist"),
        (["jobs", "--data-dir", "pyproject.toml"], 2, "pyproject.toml"),
        (["jobs", "greet", "nope"], 1, 'queue "greet" has no job "nope"'),
        (["retry", "greet", "nope"], 2, 'queue "greet" has no job "nope"'),
        (["retry", "greet"], 2, "name the jobs to retry, or say --failed"),
        (["retry", "greet", "1", "--failed"], 2, "name the jobs to retry, or say --failed"),
        (["flow", "start", "nope", "--detach"], 2, 'Flow not found: "nope"'),
        (["flow", "start", "nope", "--backend", "file"], 2, "say --detach to leave it to nq serve"),
        (["flow", "show", "nope"], 2, 'Flow run not found: "nope"'),
        (["flow", "cancel", "nope"], 2, 'Flow run not found: "nope"'),
        (["enqueue", "greet", "--backend", "memory"], 2, "memory of one process"),
        (["jobs", "--backend", "memory"], 2, "use --backend file or redis, here and for nq serve"),
        (["flow", "list", "--backend", "memory"], 2, "memory of one process"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    here: Project, capsys: pytest.CaptureFixture[str], argv: list[str], status: int, said: str
) -> None:
    here.write("greet")
    for name in ("left", "right"):
        flow = {"name": "f", "role": "entry" if name == "left" else "step", "step": name}
        if name == "right":
            flow["subscribes"] = "x"
        here.write(name, queue={"name": "two"}, flow=flow)
    got, out, err = run(capsys, *argv)
    assert (got, out) == (status, "")
    assert err.startswith("nq: ")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["enqueue"],
        ["retry", "greet", "--nope"],
        ["jobs", "--limit", "0"],
        ["jobs", "--state", "gone"],
        ["enqueue", "greet", "--attempts", "many"],
        ["enqueue", "greet", "--delay", "-1"],
        ["flow", "sideways"],
        ["serv"],
    ],
)
def test_what_cannot_be_understood_says_how_it_is_used(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    err = capsys.readouterr().err
    assert ended.value.code == 2
    assert err.startswith("usage: nq")
    assert len([line for line in err.splitlines() if ": error: " in line]) == 1


@pytest.mark.parametrize(
    "argv",
    [["serve"], ["enqueue"], ["jobs"], ["logs"], ["retry"], ["doctor"], ["conformance"]]
    + [["flow", name] for name in ("list", "show", "cancel", "resolve", "emit")],
)
def test_every_command_says_how_it_is_used(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*argv, "--help"])
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    assert out.startswith(f"usage: {' '.join(['nq', *argv])} ")


def test_help_loads_nothing_that_is_slow() -> None:
    """`nq --help` and a shell's completion wait for every module."""
    heavy = {"pydantic", "rich", "watchfiles", "prometheus_client", "redis", "bullmq", "sqlite3"}
    code = (
        "import sys; from nuxt_queue.cli import main\n"
        "try: main(['--help'])\n"
        f"except SystemExit: print(sorted(set(sys.modules) & {heavy!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_has_seen_enough_is_no_error(here: Project) -> None:
    """`nq jobs | head -1`."""
    here.write("greet")
    here.out("enqueue", "greet", "--data", json.dumps({"n": "x" * 10_000}))
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "nuxt_queue.cli", "jobs", "--json"],
            cwd=here.root,
            env=here.env,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=WAIT_S,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_names_that_the_encoding_does_not_have_are_written_as_escapes(here: Project) -> None:
    here.write("greet")
    here.out("enqueue", "greet", "--id", "müller-日本")
    done = here.nq("jobs", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"m\xfcller-\u65e5\u672c" in done.stdout


def test_who_waits_for_a_job_that_nobody_takes_is_told_where_it_waits(project: Project) -> None:
    project.write("greet")
    process = subprocess.Popen(
        [sys.executable, "-m", "nuxt_queue.cli", "enqueue", "greet", "--wait"],
        cwd=project.root,
        env=project.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert f"waits in {project.root / '.nuxt-queue'}: is that where nq serve runs" in said
        with project.serving():
            out, err = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.wait(WAIT_S)
    assert (process.returncode, out, err) == (0, '"hello None"\n', "")


def test_a_job_that_failed_is_retried_when_it_is_asked_for(project: Project) -> None:
    project.write("greet")
    go = project.root / "go"
    with project.serving() as server:
        done = project.nq("enqueue", "greet", "--data", '{"fails": "no luck"}', "--wait")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.endswith("failed: RuntimeError: no luck\n")
        (job,) = json.loads(project.out("jobs", "--state", "failed", "--json"))
        assert project.out("retry", "greet", "--failed") == job["id"]
        server.line("failed after 0")
        server.line("started, attempt 2")
        server.line("attempt 2: RuntimeError: no luck")
        completed = project.nq("retry", "greet", project.out("enqueue", "greet", "--id", "fine"))
        assert completed.returncode == 2
        assert "only a failed job can be retried" in completed.stderr
    assert not go.exists()


ENTRY = {"name": "pair", "role": "entry", "step": "first", "emits": ["made"]}


def pair(project: Project) -> Path:
    """Write a flow of two steps; the second waits for a file, which is returned."""
    go = project.root / "go"
    first = project.write("first", flow=ENTRY)
    text = first.read_text("utf-8")
    emit = f'await ctx.flow.emit("made", {{"until": "{go}"}})\n    return'
    first.write_text(text.replace("return", emit, 1), "utf-8")
    step = {"name": "pair", "role": "step", "step": "second", "subscribes": ["made"]}
    project.write("second", flow=step)
    return go


def test_a_flow_that_is_left_to_a_server_can_be_looked_at_and_ends(project: Project) -> None:
    go = pair(project)
    with project.serving() as server:
        server.line("serving 2 workers")
        run_id = project.out("flow", "start", "pair", "--detach")
        server.line(f"second {run_id}__second: started")
        listed = [line.split() for line in project.out("flow", "list").splitlines()]
        assert listed[1] == ["pair", "1", "0", "0", "0", "1"]
        assert listed[-1][:2] == [run_id, "pair"]
        assert listed[-1][3:] == ["running", "first", "completed,", "second", "running"]
        go.touch()
        server.line(f"flow pair {run_id}: completed")
        done = project.nq("flow", "show", run_id)
        assert done.stdout.splitlines()[-1] == "flow pair completed"
        assert [line.split()[:2] for line in done.stdout.splitlines()[1:3]] == [
            ["first", "completed"],
            ["second", "completed"],
        ]


def test_a_flow_that_is_cancelled_starts_no_further_step(project: Project) -> None:
    go = pair(project)
    waits = project.out("flow", "start", "pair", "--detach")  # nobody serves it yet
    assert len(json.loads(project.out("jobs", "--json"))) == 1
    assert project.out("flow", "cancel", waits) == "flow pair cancelled"
    assert json.loads(project.out("jobs", "--json")) == []
    with project.serving() as server:
        runs = project.out("flow", "start", "pair", "--detach")
        server.line(f"{runs}__second: started")
        project.out("flow", "cancel", runs)
        go.touch()
        server.line(f"{runs}__second: completed")
    run = json.loads(project.out("flow", "show", runs, "--json"))
    assert (run["status"], run["steps"]["first"]) == ("cancelled", "completed")


def test_what_a_step_waits_for_can_be_answered_from_the_command_line(project: Project) -> None:
    for name, awaited in (
        ("hooked", {"type": "webhook"}),
        ("heard", {"type": "event", "event": "approved"}),
    ):
        flow = {"name": name, "role": "entry", "step": name, "awaitBefore": awaited}
        project.write(name, flow=flow)
    with project.serving() as server:
        hooked = project.out("flow", "start", "hooked", "--detach")
        heard = project.out("flow", "start", "heard", "--detach")
        early = project.nq("flow", "resolve", hooked, "nope")
        assert (early.returncode, early.stdout) == (2, "")
        assert 'step "nope" of flow run' in early.stderr
        nobody = project.nq("flow", "emit", "denied")
        assert (nobody.returncode, nobody.stderr) == (1, "no run waits for denied\n")

        said = project.out("flow", "resolve", hooked, "hooked", "--data", '{"by": "Ada"}')
        reached = project.out("flow", "emit", "approved", "--data", '{"by": "Bob"}')

        assert said in ("flow hooked running", "flow hooked completed")
        assert reached == heard
        server.line(f"flow hooked {hooked}: completed")
        server.line(f"flow heard {heard}: completed")
    events = json.loads(project.out("flow", "show", hooked, "--json"))["events"]
    (resolved,) = [each for each in events if each["type"] == "await.resolved"]
    assert resolved["data"]["triggerData"] == {"by": "Ada"}


def test_how_the_last_runs_ended_is_listed_with_what_went_wrong(project: Project) -> None:
    flow = {"name": "solo", "role": "entry", "step": "only"}
    project.write("only", flow=flow)
    with project.serving() as server:
        failed = project.out("flow", "start", "solo", "--detach", "--data", '{"fails": "no luck"}')
        server.line(f"flow solo {failed}: failed")
    other = project.out("flow", "start", "solo", "--detach")
    project.out("flow", "cancel", other)

    last = [line.split(maxsplit=4) for line in project.out("flow", "list").splitlines()[-3:]]

    assert last[0] == ["ended", "flow", "started", "status", "steps"]
    assert [line[0] for line in last[1:]] == [other, failed]
    assert (last[1][3:], last[2][3]) == (["cancelled", "only queued"], "failed")
    assert "RuntimeError: no luck" in last[2][4]
    assert failed not in project.out("flow", "list", "--ended", "1")
    ended = json.loads(project.out("flow", "list", "--json"))["ended"]
    assert [run["id"] for run in ended] == [other, failed]


@pytest.mark.parametrize("argv", [["jobs"], ["enqueue", "greet"], ["flow", "list"]])
def test_a_redis_that_is_away_is_named_without_its_password(
    project: Project, argv: list[str]
) -> None:
    """Faults 59."""
    project.write("greet")
    done = project.nq(*argv, REDIS_URL="redis://ada:geheim@127.0.0.1:1/0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nq: cannot reach redis://ada:***@127.0.0.1:1/0: ")
    assert done.stderr.count("\n") == 1
    assert "geheim" not in done.stderr


@pytest.mark.parametrize("argv", [["jobs"], ["serve"], ["doctor"]])
def test_an_address_of_redis_that_cannot_be_read_is_not_repeated(
    project: Project, argv: list[str]
) -> None:
    done = project.nq(*argv, REDIS_URL="redis://ada:geheim@host:port")
    assert done.returncode in (1, 2)
    said = done.stdout + done.stderr
    assert "the address of Redis cannot be read" in said
    assert "geheim" not in said
    assert "Traceback" not in said
