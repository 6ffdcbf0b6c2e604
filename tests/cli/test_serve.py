"""`nq serve` in one process, what it serves put there and looked at by others."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.app import open_app
from nuxt_queue.cli.serve import _reloading
from tests.cli.conftest import WAIT_S, Project, Server, json_lines

STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")


DATA = ".nuxt-queue"


def test_jobs_of_other_processes_run_and_a_worker_edited_meanwhile_runs_the_next(
    project: Project,
) -> None:
    """The whole way: serve, enqueue, look, edit a worker while its job runs, stop with SIGTERM."""
    worker, go = project.write("greet", "old"), project.root / "go"
    with project.serving() as server:
        server.line("serving 1 worker of")
        first = project.out("enqueue", "greet", "--data", json.dumps({"n": 1, "until": str(go)}))
        server.line(f"greet {first}: info   old  n=1")
        project.write("greet", "new")
        server.line(f"{worker} has changed and is served as it is now")
        go.touch()
        server.line(f"greet {first}: completed in ")
        assert project.out("enqueue", "greet", "--data", '{"n": 2}', "--wait") == '"new 2"'
        states = json.loads(project.out("jobs", "greet", "--json"))
        assert [(job["state"], job["returnvalue"]) for job in states] == [
            ("completed", "new 2"),
            ("completed", "old 1"),
        ]
        server.stop()
        assert server.status() == 0
        server.line("nq: stopped")
    assert all(STAMP.match(line) for line in server.lines)


def test_a_broken_file_keeps_the_registration_and_a_removed_one_lets_its_jobs_wait(
    project: Project,
) -> None:
    worker = project.write("greet")
    with project.serving() as server:
        server.line("serving")
        worker.write_text("def handler(job, ctx:\n", "utf-8")
        line = server.line(f"{worker}: ")
        assert "'(' was never closed; it stays registered as it was" in line
        other = project.write("other")
        server.line(f"{other} is served")
        assert project.out("enqueue", "other", "--wait") == '"hello None"'
        project.write("greet", "mended")
        server.line(f"{worker} has changed")
        other.unlink()
        server.line(f"{other} is gone; its jobs are taken no more")
        assert project.out("enqueue", "greet", "--wait") == '"mended None"'


def test_a_job_that_outlasts_the_grace_waits_again_and_the_next_server_runs_it(
    project: Project,
) -> None:
    """Faults 53: nothing is lost, and no attempt is used up."""
    project.write("greet")
    with project.serving("--grace", "0") as server:
        server.line("serving")
        go = project.root / "go"
        job = project.out("enqueue", "greet", "--data", json.dumps({"until": str(go)}))
        server.line(f"{job}: started")
        server.stop()
        server.line("stopping: running jobs have 0 s, a second signal ends them now")
        assert server.status() == 0
    (kept,) = json.loads(project.out("jobs", "--json"))
    assert (kept["state"], kept["attemptsMade"]) == ("waiting", 0)
    go.touch()
    with project.serving() as server:
        server.line(f"{job}: completed")


def test_what_the_operator_says_comes_before_what_the_worker_says(project: Project) -> None:
    """`--concurrency`, `--no-reload` and `--data-dir`."""
    worker, go = project.write("greet", "old", concurrency=1), project.root / "go"
    with project.serving("--concurrency", 3, "--no-reload", "--data-dir", "kept") as server:
        server.line("from kept")
        until = json.dumps({"until": str(go)})
        for _ in range(3):
            job = project.out("enqueue", "greet", "--data-dir", "kept", "--data", until)
            server.line(f"{job}: info")  # it has read its file
        worker.write_text("x = (\n", "utf-8")
        go.touch()
        for _ in range(3):
            server.line("completed")
        server.stop()
        server.line("nq: stopped")
    assert not [line for line in server.lines if "was never closed" in line]
    assert (project.root / "kept" / "queue.sqlite3").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_and_a_hangup_stop_it_like_sigterm(project: Project, number: signal.Signals) -> None:
    """Faults 55."""
    project.write("greet")
    with project.serving() as server:
        server.line("serving")
        server.stop(number)
        assert server.status() == 0


def test_what_a_worker_logs_is_one_line_that_cannot_look_like_another(project: Project) -> None:
    """Faults 99."""
    project.write("greet", r"a\n2026-01-01T00:00:00.000Z nq: stopped\x1b[2J")
    with project.serving() as server:
        server.line("serving")
        project.out("enqueue", "greet", "--wait")
        line = server.line("info   a")
        assert r"a\n2026-01-01T00:00:00.000Z nq: stopped\x1b[2J  n=null" in line
        hostile = json.dumps({"fails": "no\n2026-01-01T00:00:00.000Z nq: stopped\x1b[2J"})
        project.out("enqueue", "greet", "--id", "a\u2028b", "--data", hostile)
        assert r"greet a\u2028b: failed after " in server.line("RuntimeError: no")
        server.stop()
        server.line("nq: stopped")
    assert all(line.isprintable() for line in server.lines)


def test_with_json_each_line_is_an_event_of_the_timeline(project: Project) -> None:
    project.write("greet")
    with project.serving("--json") as server:
        server.line("serving")
        job = project.out("enqueue", "greet", "--data", '{"fails": "no"}')
        server.line("step.failed")
        server.stop()
        server.line('"message": "stopped"')
    events = [line for line in json_lines(server.lines) if line.get("jobId") == job]
    assert [event["type"] for event in events] == ["step.started", "log", "step.failed"]
    assert events[-1]["data"]["error"] == "RuntimeError: no"


def test_a_reader_that_goes_away_stops_the_server_without_losing_a_job(project: Project) -> None:
    """As `nq serve | head -1` does."""
    project.write("greet")
    argv = [sys.executable, "-m", "nuxt_queue.cli", "serve"]
    process = subprocess.Popen(
        argv, cwd=project.root, env=project.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert b"serving" in process.stdout.readline()
        process.stdout.close()
        job = project.out("enqueue", "greet")
        assert process.wait(WAIT_S) == 0
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    (kept,) = json.loads(project.out("jobs", "--json"))
    assert (kept["id"], kept["state"]) == (job, "completed")


def get(address: str) -> tuple[int, str]:
    """Ask as a probe does."""
    try:
        with urllib.request.urlopen(address, timeout=WAIT_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_probe_is_told_how_it_is_and_prometheus_what_it_did(project: Project) -> None:
    project.write("greet")
    with project.serving("--metrics", "0") as server:
        address = server.line("/healthz and").split(" nq: ")[1].split("/healthz")[0]
        project.out("enqueue", "greet", "--wait")
        project.out("enqueue", "greet", "--data", '{"fails": "no"}')
        server.line("failed after")
        status, body = get(f"{address}/healthz")
        told: dict[str, Any] = json.loads(body)
        assert (status, told["status"], told["reasons"]) == (200, "ok", [])
        assert (told["backend"], told["workers"]) == ("file", 1)
        status, metrics = get(f"{address}/metrics")
        assert status == 200
        assert 'nq_jobs{queue="greet",state="completed"} 1.0' in metrics
        assert 'nq_job_attempts_total{job="greet",outcome="completed",queue="greet"} 1.0' in metrics
        assert 'nq_job_attempts_total{job="greet",outcome="failed",queue="greet"} 1.0' in metrics
        assert 'nq_job_attempt_seconds_count{job="greet",queue="greet"} 2.0' in metrics
        assert get(f"{address}/nope") == (404, "there are /healthz and /metrics\n")
        go = project.root / "go"
        job = project.out("enqueue", "greet", "--data", json.dumps({"until": str(go)}))
        server.line(f"{job}: started")
        server.stop()
        server.line("stopping")
        status, body = get(f"{address}/healthz")
        assert (status, json.loads(body)["reasons"]) == (503, ["stopping: no more jobs are taken"])
        go.touch()
        assert server.status() == 0


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}])
def test_a_terminal_gets_a_table_and_its_screen_back(project: Project, env: dict[str, str]) -> None:
    project.write("greet")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "nuxt_queue.cli", "serve"],
        cwd=project.root,
        env={**project.env, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", **env},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        said = read_until(ours, b"serving 1 worker")
        job = project.out("enqueue", "greet", "--data", '{"fails": "no"}')
        said += read_until(ours, f"{job}".encode(), b"failed after")
        os.killpg(process.pid, signal.SIGINT)
        said += read_until(ours, b"stopped")
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"waiting" in said
    assert b"completed" in said
    assert said.index(b"\x1b[?1049h") < said.index(b"\x1b[?1049l")  # the other screen, and back
    assert (b"\x1b[31m" in said) is not bool(env)  # what failed is red, where colours are wanted
    assert b"Traceback" not in said


def read_until(terminal: int, *parts: bytes) -> bytes:
    """Read from a terminal until it has shown all of some texts."""
    said, deadline = b"", time.monotonic() + WAIT_S
    while not all(part in said for part in parts):
        assert time.monotonic() < deadline, said
        try:
            said += os.read(terminal, 65_536)
        except OSError:  # the other side has closed it
            break
    assert all(part in said for part in parts), said
    return said


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nope"], "nq: nope does not exist; give the folder of the workers"),
        (["pyproject.toml"], "nq: pyproject.toml is not a directory"),
        (["--concurrency", "0"], "argument --concurrency: '0' is no whole number of 1 or more"),
        (["--grace", "soon"], "argument --grace: 'soon' is no whole number of 0 or more"),
        (["--backend", "mysql"], "argument --backend: invalid choice: 'mysql'"),
        (["--metrics", "99999"], "argument --metrics: '99999' is no port from 0 to 65535"),
        (["--metrics", "1", "--metrics-host", "192.0.2.1"], "nq: cannot listen on 192.0.2.1:1"),
        (["--metrics", "0", "--metrics-host", "nope.invalid"], "nq: cannot listen on nope.invalid"),
        (["--data-dir", "pyproject.toml"], "pyproject.toml"),
        (["--plain", "--json"], "not allowed with argument"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(
    project: Project, argv: list[str], said: str
) -> None:
    done = project.nq("serve", *argv)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in project.root.iterdir()} <= {"pyproject.toml", "workers", DATA}


def test_without_a_project_who_serves_and_who_enqueues_mean_the_same_file(
    project: Project,
) -> None:
    """As in a folder of a person who has just exported a first notebook."""
    (project.root / "pyproject.toml").unlink()
    project.write("greet")
    with project.serving("workers") as server:
        server.line(f"serving 1 worker of workers from {project.root / DATA}")
        assert project.out("enqueue", "greet", "--wait") == '"hello None"'
    assert not (project.workers / DATA).exists()


def test_a_folder_that_may_not_be_written_is_named(project: Project, tmp_path: Path) -> None:
    """Faults 75: as another user, since root may write everywhere."""
    if os.geteuid() == 0:
        locked = Path("/proc/1")  # the kernel refuses root here too
    else:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
    done = project.nq("serve", "--data-dir", locked / "q")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"nq: {locked}")
    assert done.stderr.count("\n") == 1


def address_of(server: Server) -> str:
    """Return where a server answers probes."""
    return server.line("/healthz and").split(" nq: ")[1].split("/healthz")[0]


def unwell(address: str, reason: str) -> None:
    """Wait until a server says that it is not well, and why."""
    deadline = time.monotonic() + WAIT_S
    status, body = get(f"{address}/healthz")
    while status != 503 or reason not in body:
        assert time.monotonic() < deadline, body
        status, body = get(f"{address}/healthz")


def test_a_connection_that_asks_nothing_is_no_traceback_at_the_end(project: Project) -> None:
    project.write("greet")
    with project.serving("--metrics", "0") as server:
        port = int(address_of(server).rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as asking:
            asking.sendall(b"GET /heal")
            get(f"http://127.0.0.1:{port}/healthz")  # by now the other is being listened to
            server.stop()
            assert server.status() == 0
    server.reader.join(WAIT_S)
    assert server.line("nq: stopped").endswith("stopped")
    assert not any("Traceback" in line or "Error" in line for line in server.lines)


def test_a_folder_that_another_takes_the_place_of_is_watched_on(project: Project) -> None:
    """As a deployment does it: at once by a move, or by deleting and copying."""
    project.write("greet")
    with project.serving("--metrics", "0") as server:
        server.line("serving 1 worker")
        address = address_of(server)
        other = project.root / "other"
        shutil.copytree(project.workers, other)
        shutil.rmtree(project.workers)
        server.line("does not exist; give the folder of the workers; what was registered stays")
        unwell(address, "is gone")
        other.rename(project.workers)
        project.write("again")
        server.line("again.py is served")
        shutil.copytree(project.workers, other)
        project.workers.rename(project.root / "old")
        other.rename(project.workers)
        project.write("third")
        server.line("third.py is served")


def test_an_odd_file_that_is_saved_meanwhile_does_not_end_the_watching(project: Project) -> None:
    project.write("greet")
    with project.serving("--plain") as server:
        server.line("serving 1 worker")
        (project.workers / "odd.py").write_text("# coding: punycode\nx = 1\n", "utf-8")
        server.line("odd.py: ")
        project.write("again")
        server.line("again.py is served")


@pytest.mark.parametrize("broken", ["watchfiles.awatch", "nuxt_queue.registrations.scan"])
async def test_whatever_the_watching_raises_it_goes_on(
    project: Project, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    project.write("greet")
    said = asyncio.Queue[str]()

    class Notes:
        def note(self, message: str, *, is_bad: bool = False) -> None:  # noqa: ARG002 as a display
            said.put_nowait(message)

    def surprise(*_: object, **__: object) -> None:
        raise LookupError("a surprise")

    monkeypatch.setattr("nuxt_queue.cli.serve._READ_S", 0.01)
    async with open_app(project.workers) as app, _reloading(app, Notes()):  # type: ignore[arg-type]
        with monkeypatch.context() as patch:
            patch.setattr(broken, surprise)
            project.write("again")
            while "a surprise" not in await asyncio.wait_for(said.get(), WAIT_S):
                pass
        project.write("third")
        while "third.py is served" not in await asyncio.wait_for(said.get(), WAIT_S):
            pass


def test_a_file_that_is_taken_away_is_told_and_nothing_is_lost_silently(project: Project) -> None:
    project.write("greet")
    with project.serving("--metrics", "0") as server:
        address = address_of(server)
        project.out("enqueue", "greet", "--wait")
        (project.root / DATA).rename(project.root / "gone")
        server.line("was moved or deleted while it was open")
        unwell(address, "was moved or deleted while it was open")
        server.stop()
        server.line("nq: stopped")
    assert sum("was moved or deleted" in line for line in server.lines) <= 4
    assert not any("Traceback" in line for line in server.lines)


def test_nohup_keeps_a_server_from_ending_with_its_terminal(project: Project) -> None:
    project.write("greet")
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does, and a child inherits
    try:
        with project.serving() as server:
            server.line("serving")
            server.stop(signal.SIGHUP)
            assert project.out("enqueue", "greet", "--wait") == '"hello None"'
            server.stop()
            assert server.status() == 0
    finally:
        signal.signal(signal.SIGHUP, ignored)


def test_the_settings_that_name_the_workers_are_those_that_count(project: Project) -> None:
    """And not others that lie further below."""
    project.write("greet")
    (project.workers / "pyproject.toml").write_text('[tool.nuxt-queue]\ndata_dir = "x"\n')
    with project.serving() as server:
        server.line(f"from {project.root / DATA}")
        assert project.out("enqueue", "greet", "--wait") == '"hello None"'
    assert not (project.workers / "x").exists()
