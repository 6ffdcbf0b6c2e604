"""`nq logs` and `nq jobs QUEUE ID`: what a job has logged can be read from any process."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from typing import Any

import pytest

from nuxt_queue.app import open_app
from nuxt_queue.cli import main
from nuxt_queue.cli.job_page import job_page
from nuxt_queue.cli.log_lines import LogLine, lines_of
from nuxt_queue.managers import JobOptions, JobRecord
from nuxt_queue.managers.job_logs import LogRecord
from nuxt_queue.rpc.codec import Encoded, text_of
from tests.cli.conftest import WAIT_S, Project, json_lines

TALKS = """
import pathlib, sys, time
from nuxt_queue import run_worker

config = {"queue": {"name": "talk"}, "runtime": "python", "timeout": 20000}

def handler(job, ctx):
    data = job["data"]
    ctx.logger.info("begun", {"n": data.get("n")})
    print("printed")
    print("complained", file=sys.stderr)
    while data.get("until") and not pathlib.Path(data["until"]).exists():
        time.sleep(0.01)
    ctx.logger.error("two\\nlines \\x1b[31m")
    if data.get("fails"):
        raise RuntimeError(data["fails"])
    return {"n": data.get("n")}

if __name__ == "__main__":
    run_worker(handler)
"""
LINES = [
    "TIME  info    begun  n=1",
    "TIME  stdout  printed",
    "TIME  stderr  complained",
    "TIME  error   two",
    "  | lines \\x1b[31m",
]


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return the project, in which `main` is called."""
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("REDIS_URL", raising=False)
    return project


class Nq:
    """Commands that are run in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *argv: str) -> tuple[int, str, str]:
        status = main(argv)
        out, err = self._capsys.readouterr()
        return status, out.strip(), err

    def out(self, *argv: str) -> str:
        status, out, err = self(*argv)
        assert (status, err) == (0, "")
        return out


@pytest.fixture
def nq(here: Project, capsys: pytest.CaptureFixture[str]) -> Nq:
    """Return what runs commands in the project."""
    assert here.root
    return Nq(capsys)


def untimed(text: str) -> list[str]:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text).splitlines()


def follow(project: Project, *argv: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nuxt_queue.cli", "logs", *map(str, argv), "--follow"],
        cwd=project.root,
        env=project.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop_reading(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    process.stdout.close()


def complaints(ended: subprocess.Popen[str]) -> str:
    assert ended.stderr is not None
    with ended.stderr:
        return ended.stderr.read()


def test_what_jobs_have_logged_is_read_while_they_run_and_afterwards(
    project: Project, nq: Nq
) -> None:
    (project.workers / "talk.py").write_text(TALKS, "utf-8")
    end = project.root / "end"
    with project.serving() as server:
        server.line("serving")
        for name, fails in (("good", None), ("bad", "no luck")):
            data = {"n": 1, "fails": fails, "until": str(end)}
            nq.out("enqueue", "talk", "--id", name, "--data", json.dumps(data))
        followers = [follow(project, name) for name in ("good", "bad")]
        headed = follow(project, "good")
        stopped = follow(project, "good")
        for each in (headed, stopped):
            assert each.stdout is not None
            assert untimed(each.stdout.readline()) == LINES[:1]
        stop_reading(headed)
        assert (headed.wait(WAIT_S), complaints(headed)) == (0, "")
        stopped.send_signal(signal.SIGINT)
        assert (stopped.wait(WAIT_S), complaints(stopped)) == (130, "nq: interrupted\n")
        stop_reading(stopped)

        end.touch()
        told = [each.communicate(timeout=WAIT_S) for each in followers]
        server.stop()
        server.line("stopped")

    assert [each.returncode for each in followers] == [0, 1]
    assert untimed(told[0][0]) == LINES
    # Of three pipes that are written at once, each line is in its place among those of its own.
    assert sorted(untimed(told[1][0])) == sorted(LINES)
    assert told[1][1] == "nq: job bad failed: RuntimeError: no luck\n"
    assert untimed(nq.out("logs", "good")) == LINES
    assert len(untimed(nq.out("logs", "bad", "--queue", "talk", "--last", "1"))) in (1, 2)
    first, *others = json_lines(nq.out("logs", "bad", "--json").splitlines())
    assert {key: first[key] for key in ("queue", "jobId", "attempt", "level", "message")} == {
        "queue": "talk", "jobId": "bad", "attempt": 1, "level": "info", "message": "begun",
    }  # fmt: skip
    assert first["metadata"] == {"n": 1}
    assert {each.get("stream") for each in others} == {"stdout", "stderr", None}
    page = nq.out("jobs", "talk", "bad")
    assert "state     failed\nattempts  1 of 1\n" in page
    assert "reason    RuntimeError: no luck\nplace     " in page
    assert "traceback of attempt 1\n  | Traceback (most recent call last):\n" in page
    assert sorted(untimed(page)[-6:]) == sorted(["log", *LINES])
    whole = json.loads(nq.out("jobs", "talk", "bad", "--json"))
    assert whole["logs"][0]["message"] == "begun"
    assert "Traceback" in whole["stacktrace"][0]


def test_what_an_id_names_is_said_where_it_was_not_expected(project: Project, nq: Nq) -> None:
    flow = {"name": "f", "role": "entry", "step": "one"}
    project.write("one", words="first", flow=flow)
    project.write("two")
    run = nq.out("flow", "start", "f", "--detach", "--data", '{"n": 3}')
    for queue in ("one", "two"):
        nq.out("enqueue", queue, "--id", "twice")
    with project.serving() as server:
        server.line("serving")
        followed = follow(project, run)
        out, err = followed.communicate(timeout=WAIT_S)
        assert (followed.returncode, err) == (0, "")
        assert untimed(out) == ["TIME  one  info    first  n=3"]
        server.stop()

    for argv, status, said in (
        (
            ["flow", "show", "twice"],
            2,
            "it is a job of queue one: nq jobs one twice, nq logs twice",
        ),
        (["flow", "show", "x"], 2, 'Flow run not found: "x"; nq flow list shows those that'),
        (["jobs", "one", run], 1, f"it is a run of flow f: nq flow show {run}"),
        (["jobs", "three", "twice"], 1, "it is a job of queue one: nq jobs one twice"),
        (
            ["logs", "twice"],
            2,
            'several queues have a job "twice", name one with --queue: one, two',
        ),
        (["logs", "x"], 1, 'no run "x", and no job of that id in the queues one, two'),
        (["logs", "x", "--backend", "memory"], 2, "memory of one process"),
    ):
        got, out, err = nq(*argv)
        assert (got, out) == (status, "")
        assert said in err
        assert err.count("\n") == 1


def test_a_job_that_has_not_run_has_no_lines_and_older_ones_are_not_kept(
    project: Project, nq: Nq
) -> None:
    project.write("greet")
    nq.out("enqueue", "greet", "--id", "new", "--opts", '{"keepLogs": 2}')
    assert nq("logs", "new") == (0, "", "nq: job new is waiting and has not run yet\n")

    async def talk(_job: dict[str, Any], context: Any) -> None:
        for n in range(3):
            await context.log("info", str(n))

    async def work() -> None:
        place = project.root / ".nuxt-queue"
        async with open_app(project.workers, backend="file", data_dir=place, serve=False) as app:
            over = asyncio.Event()
            app.manager.on("greet", "completed", lambda _: over.set())
            await app.manager.register_worker("greet", "greet", talk)
            async with asyncio.timeout(WAIT_S):
                await over.wait()

    asyncio.run(work())
    status, out, err = nq("logs", "new")
    assert (status, [line.split()[-1] for line in out.splitlines()]) == (0, ["1", "2"])
    assert err == "nq: the newest 2 lines; older ones are not kept\n"


HOSTILE = "\x1b]0;x\x07\u202e\r\nTraceback"


def test_nothing_that_a_job_holds_can_pass_for_a_line_of_ours_or_move_the_cursor() -> None:
    record = LogRecord(HOSTILE, "info", 1, 1, None, {HOSTILE: HOSTILE})
    job = JobRecord(
        HOSTILE, HOSTILE, HOSTILE, Encoded(text_of({HOSTILE: HOSTILE})),
        JobOptions(job_id=HOSTILE), 0, "failed",
        attempts_made=2, progress=HOSTILE, failed_reason=HOSTILE, stacktrace=[HOSTILE, HOSTILE],
    )  # fmt: skip

    page = job_page(job, [record] * 20)
    lines = lines_of(LogLine(record, HOSTILE), "TIME", 5)

    for line in (*page, *lines):
        assert line.isprintable()
        assert not line.startswith("Traceback")
    assert page.count("  | Traceback") == 2 + 10


@pytest.mark.parametrize(
    ("stack", "place"),
    [
        ('  File "/w/a.py", line 3, in f\n  File "/lib/b.py", line 9, in g\n', "/lib/b.py, line 9"),
        (
            '  File "/a.py", line 3, in f  [n.ipynb, cell 4, line 2]\n  File "/b.py", line 9, in g',
            "n.ipynb, cell 4, line 2",
        ),
        ("no frames", None),
    ],
)
def test_a_failed_job_says_in_which_cell_it_failed(stack: str, place: str | None) -> None:
    job = JobRecord("1", "a", "q", Encoded(b"null"), JobOptions(), 0, "failed", failed_reason="bad")
    job.stacktrace, job.attempts_made = ["first", stack], 3

    page = job_page(job, [])

    found = [line for line in page if line.startswith("place")]
    assert found == ([] if place is None else [f"place     {place}"])
    shown = "\n".join(page)
    assert "traceback of attempt 2\n  | first\n\ntraceback of attempt 3\n" in shown
