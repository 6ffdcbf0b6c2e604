"""`nq doctor`: each thing ok, warn or FAIL, with what to do about it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from nuxt_queue.cli import main
from nuxt_queue.diagnosis import storage
from nuxt_queue.errors import QueueStorageError
from nuxt_queue.services.sqlite import Database, SqliteStateStore
from tests.cli.conftest import Project
from tests.redis_server import PrivateRedis, shared_redis


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return the project, in which `main` is called."""
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("REDIS_URL", raising=False)
    return project


def doctor(
    capsys: pytest.CaptureFixture[str], *argv: object
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Return its exit status and its findings by what was looked at."""
    status = main(["doctor", "--json", *map(str, argv)])
    out, err = capsys.readouterr()
    assert err == ""
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(out):
        found.setdefault(finding["what"], []).append(finding)
    return status, found


def test_a_project_that_is_well_is_told_what_is_there(
    here: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here.write("greet")
    monkeypatch.setattr(storage, "about_layer", lambda _directory: None)  # in a container too
    status, found = doctor(capsys)
    assert status == 0
    assert all(each["level"] == "ok" for of in found.values() for each in of), found
    assert list(found) == [
        "Python",
        "extra host",
        "extra redis",
        "extra notebook",
        "settings",
        "Node",
        "tsx",
        "workers",
        "backend",
        "SQLite",
        "data folder",
    ]
    assert "pydantic" in found["extra host"][0]["said"]
    assert found["data folder"][0]["said"].endswith("made when it is first used")
    assert not (here.root / ".nuxt-queue").exists()
    here.out("enqueue", "greet")
    assert doctor(capsys)[1]["data folder"][0]["said"].endswith("queue.sqlite3")


def test_it_reads_like_a_list_with_what_to_do_below(
    here: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    here.write("greet")
    assert main(["doctor", "--backend", "memory"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok    Python          3.")
    assert lines[-2:] == [
        "warn  backend         memory, as asked for: gone with the process that serves",
        "                      fix: use file or redis, so that nq enqueue and nq jobs reach it",
    ]


def test_workers_that_cannot_be_used_are_named_with_the_reason(
    here: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    here.write("greet")
    here.write("limited", queue={"name": "l", "defaultJobOptions": {"repeat": {"cron": "* * *"}}})
    here.write("other").write_text("def handler(job, ctx:\n", "utf-8")
    (here.root / "pyproject.toml").write_text(
        '[tool.nuxt-queue]\nworkers = "workers"\n'
        '[tool.nuxt-queue.runtimes.ruby]\ncommand = "no-such-ruby"\n'
    )
    here.write("red", runtime="ruby")
    status, found = doctor(capsys)
    said = [each["said"] for each in found["worker"] if each["level"] == "FAIL"]
    assert status == 1
    assert len(said) == 3, said
    assert any("other.py" in each and "'(' was never closed" in each for each in said)
    assert any("limited.py" in each and "holds repeat" in each for each in said)
    assert any('there is no "no-such-ruby" on the path' in each for each in said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("[tool.nuxt-queue\n", "is not valid TOML"),
        ('[tool.nuxt-queue]\nbackend = "mysql"\n', 'backend is "mysql"; expected "memory", "file"'),
        ('[tool.nuxt-queue]\ndata_directory = "x"\n', "did you mean data_dir?"),
        ("[tool.nuxt-queue]\ndata_dir = 3\n", "data_dir is 3; expected a folder"),
    ],
)
def test_settings_that_are_wrong_are_a_failure_and_the_rest_is_looked_at(
    here: Project, capsys: pytest.CaptureFixture[str], settings: str, said: str
) -> None:
    (here.root / "pyproject.toml").write_text(settings)
    status, found = doctor(capsys, here.workers)
    assert status == 1
    assert said in found["settings"][0]["said"]
    assert "SQLite" in found
    done = here.nq("jobs")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_folder_that_is_not_there_or_no_place_for_jobs_is_a_failure(
    here: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    file = here.root / "pyproject.toml"
    status, found = doctor(capsys, "nope", "--data-dir", file)
    assert status == 1
    assert found["workers"][0]["said"].startswith("nope does not exist")
    assert found["data folder"][0]["level"] == "FAIL"
    status, found = doctor(capsys, "--data-dir", file / "below")
    assert (status, found["data folder"][0]["level"]) == (1, "FAIL")


def test_an_older_redis_setting_that_loses_jobs_is_a_warning(
    here: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", shared_redis().url)
    here.write("greet")
    status, found = doctor(capsys)
    assert (status, found["backend"][0]["said"]) == (0, "redis, because REDIS_URL is set")
    well, warning = found["Redis"]
    assert shared_redis().url in well["said"]
    assert (warning["level"], warning["fix"]) == ("warn", "redis-cli config set appendonly yes")
    monkeypatch.setenv("REDIS_URL", "redis://ada:geheim@127.0.0.1:1/0")
    status, found = doctor(capsys)
    (away,) = found["Redis"]
    assert (status, away["level"], away["fix"]) == (1, "FAIL", "start it, or mend REDIS_URL")
    assert away["said"].startswith("cannot reach redis://ada:***@127.0.0.1:1/0: ")


def test_the_settings_choose_the_backend_before_redis_url_does(
    here: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here.root / "pyproject.toml").write_text(
        '[tool.nuxt-queue]\nworkers = "workers"\nbackend = "file"\ndata_dir = "kept"\n'
    )
    here.write("greet")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert doctor(capsys)[1]["backend"][0]["said"] == "file, as the settings say"
    assert main(["enqueue", "greet"]) == 0
    assert (Path("kept") / "queue.sqlite3").exists()


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        (["REPLICAOF 127.0.0.1 1"], "it is a read-only replica; give the address of the primary"),
        (
            ["ACL SETUSER ada on >geheim ~* +@all -@scripting"],
            "its user may not do this (this user has no permissions to run the 'evalsha' command)",
        ),
        (
            ["ACL SETUSER ada on >geheim ~* +@all -info -bzpopmin"],
            "its user may not do this (this user has no permissions to run the 'bzpopmin' command)",
        ),
        (["ACL SETUSER ada on >geheim ~other:* +@all"], "its user may not do this"),
        (["CONFIG SET maxmemory 1"], "it has no memory left"),
    ],
)
def test_a_redis_that_refuses_a_job_is_a_failure_and_nothing_is_left_in_it(
    here: Project,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    commands: list[str],
    said: str,
) -> None:
    """What answers to a greeting may still refuse what a server does with each job."""
    here.write("greet")
    server = PrivateRedis().start()
    login = "ada:geheim@" if "ACL" in commands[0] else ""
    monkeypatch.setenv("REDIS_URL", f"redis://{login}127.0.0.1:{server.port}/0")
    try:
        for command in commands:
            server.ask(*command.split())
        status, found = doctor(capsys)
        assert (status, found["Redis"][0]["level"]) == (1, "FAIL")
        assert said in found["Redis"][0]["said"].replace("User ada", "this user")
        assert "geheim" not in str(found)
        with redis.Redis(port=server.port) as client:
            assert not [key for key in client.scan_iter() if b":incr:" not in key]
    finally:
        server.stop()


def test_what_is_tried_leaves_nothing_behind(
    here: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Redis only the memory of a count, for a minute; on the disk nothing."""
    here.write("greet")
    before = sorted(here.root.rglob("*"))
    assert doctor(capsys)[0] == 0
    assert sorted(here.root.rglob("*")) == before
    server = PrivateRedis().start()
    monkeypatch.setenv("REDIS_URL", server.url)
    try:
        assert doctor(capsys)[1]["Redis"][0]["said"].endswith("; a job was run through it")
        with redis.Redis(port=server.port) as client:
            assert all(b":incr:" in key for key in client.scan_iter())
            assert all(0 < client.pttl(key) <= 60_000 for key in client.scan_iter())
    finally:
        server.stop()


def test_a_folder_that_takes_no_file_is_a_failure(
    here: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full or failing disk shows when something is written, and not before."""
    here.write("greet")

    async def full(*_: object) -> None:
        raise QueueStorageError("queue.sqlite3", "the disk is full")

    monkeypatch.setattr(SqliteStateStore, "set", full)
    status, found = doctor(capsys)
    assert (status, found["data folder"][0]["level"]) == (1, "FAIL")
    assert "the disk is full" in found["data folder"][0]["said"]
    assert not list(here.root.glob(".nq-doctor-*"))


def test_the_whole_file_is_checked_when_that_is_asked_for(
    here: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    here.write("greet")
    data = here.root / "data"
    asyncio.run(Database(data).close())
    with closing(sqlite3.connect(data / "queue.sqlite3")) as db, db:
        db.execute("INSERT INTO job_logs VALUES (7, 1, '')")

    def told(*options: object) -> list[Any]:
        found = doctor(capsys, "--backend", "file", "--data-dir", data, *options)[1]["data folder"]
        return [(each["level"], each["said"], each["fix"]) for each in found]

    assert [level for level, *_ in told()] == ["ok"]
    (_, (level, said, fix)) = told("--full")
    assert (level, said) == ("FAIL", f"{data / 'queue.sqlite3'}: 1 log lines belong to no job")
    assert f"mv {data / 'queue.sqlite3'}* {data / 'aside'}/" in fix
    with closing(sqlite3.connect(data / "queue.sqlite3")) as db, db:
        db.execute("DELETE FROM job_logs")
    assert told("--full")[1][:2] == ("ok", f"{data / 'queue.sqlite3'}, checked in full")
