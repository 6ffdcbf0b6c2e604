"""What a person types never ends in a traceback of ours."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nuxt_queue.cli import entry, main
from tests.cli.conftest import WAIT_S, Project
from tests.redis_server import PrivateRedis


@pytest.mark.parametrize(
    ("package", "argv", "extra"),
    [
        ("pydantic", ["jobs"], "host"),
        ("rich", ["serve"], "host"),
        ("prometheus_client", ["serve", "--metrics", "0"], "host"),
        ("redis", ["jobs", "--backend", "redis"], "redis"),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(
    project: Project, package: str, argv: list[str], extra: str
) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from nuxt_queue.cli import main; main({argv})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.root,
        env=project.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    line = done.stderr.strip()
    assert line.startswith(f"nq: this needs the extra `{extra}`: pip install 'nuxt-queue[{extra}]'")
    assert "\n" not in line


def test_what_nobody_foresaw_is_one_line_and_a_traceback_only_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(_args: argparse.Namespace) -> int:
        raise TypeError("no\nidea")

    parser = argparse.ArgumentParser()
    parser.set_defaults(command=bug)
    monkeypatch.setattr(entry, "_parser", lambda: parser)
    monkeypatch.delenv("NQ_TRACEBACK", raising=False)
    assert main([]) == 1
    assert capsys.readouterr().err == (
        r"nq: a bug of nq: TypeError: no\nidea; NQ_TRACEBACK=1 shows where, for a report" "\n"
    )
    monkeypatch.setenv("NQ_TRACEBACK", "1")
    with pytest.raises(TypeError):
        main([])


def test_a_folder_that_went_away_under_the_shell_is_one_line(project: Project) -> None:
    gone = project.root / "gone"
    gone.mkdir()
    code = (
        "import os, sys; from nuxt_queue.cli import main\n"
        f"os.rmdir({str(gone)!r}); sys.exit(main(['jobs']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=gone,
        env=project.env,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "nq: No such file or directory\n"


def test_an_argument_that_is_no_text_is_refused(project: Project) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nuxt_queue.cli", "jobs", b"\xff\n"],
        cwd=project.root,
        env=project.env,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nq: an argument is not UTF-8: \\udcff\\n\n"


def test_ctrl_c_while_it_waits_is_one_line_and_130(project: Project) -> None:
    project.write("greet")
    # Tests that run in the background of a shell are started with Ctrl-C ignored.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from nuxt_queue.cli import main; sys.exit(main(['enqueue', 'greet', '--wait']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=project.root,
        env=project.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + WAIT_S
        while json.loads(project.out("jobs", "--counts", "--json"))["greet"]["waiting"] == 0:
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.wait(WAIT_S)
    assert (process.returncode, out, err) == (130, "", "nq: interrupted\n")


def test_a_redis_that_refuses_the_login_ends_the_server_with_the_reason(project: Project) -> None:
    """Faults 66: NOAUTH and a wrong password; waiting would not mend it."""
    project.write("greet")
    redis = PrivateRedis(args=["--requirepass", "right"]).start()
    try:
        for login in ("", ":wrong@"):
            url = f"redis://{login}127.0.0.1:{redis.port}/0"
            done = project.nq("serve", REDIS_URL=url)
            assert done.returncode == 2
            assert done.stderr.count("\n") == 1
            assert "it refuses the login; put user and password into REDIS_URL" in done.stderr
            assert "wrong" not in done.stderr.replace("refuses", "")
    finally:
        redis.stop()


def test_a_full_disk_ends_a_command_with_one_line(project: Project) -> None:
    """What is printed to /dev/full cannot be written."""
    project.write("greet")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nuxt_queue.cli", "jobs", "--counts"],
            cwd=project.root,
            env=project.env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
    assert done.stderr.splitlines()[0] == "nq: No space left on device"
    assert "Traceback" not in done.stderr
    assert done.returncode != 0


@pytest.mark.parametrize(
    "closed", ["<&-", ">&-", "<&- >&- 2>&-", ">/dev/full"], ids=["in", "out", "all", "full"]
)
def test_a_standard_stream_that_is_closed_or_full_is_no_bug(project: Project, closed: str) -> None:
    project.write("greet")
    nq = f"{sys.executable} -m nuxt_queue.cli"
    for command in ("jobs --json", "--help", "enqueue greet --data -"):
        done = subprocess.run(
            ["sh", "-c", f"echo '{{}}' | {nq} {command} {closed}"],
            cwd=project.root,
            env=project.env,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert done.returncode in (0, 2), (command, done)
        assert "a bug of nq" not in done.stderr
        assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://:geheim@127.0.0.1:1/0?foo=bar", 'the address of Redis has no option "foo"'),
        ("redis://:geheim@127.0.0.1:nope/0", "the address of Redis cannot be read"),
    ],
)
def test_an_address_that_cannot_be_used_is_a_bad_call(
    project: Project, url: str, said: str
) -> None:
    done = project.nq("jobs", REDIS_URL=url)
    assert done.returncode == 2
    assert said in done.stderr
    assert "geheim" not in done.stderr


@pytest.mark.parametrize(
    "setting",
    [
        'redis = "redis://ada:geheim@h/0"',
        'backend = "redis://ada:geh@eim@h"',
        'redis.url = ["redis://ada:geheim@h/0"]',
    ],
)
def test_a_password_in_the_wrong_setting_is_not_repeated(project: Project, setting: str) -> None:
    (project.root / "pyproject.toml").write_text(f"[tool.nuxt-queue]\n{setting}\n")
    done = project.nq("jobs")
    assert done.returncode == 2
    assert "//***@h" in done.stderr
    assert "geh" not in done.stderr


def test_what_a_result_holds_cannot_move_the_cursor(project: Project) -> None:
    project.write("greet", "\\x9b2J\\u202e\\x7f ü")
    with project.serving() as server:
        server.line("serving")
        said = project.out("enqueue", "greet", "--wait")
    assert said.isprintable()
    assert json.loads(said) == "\x9b2J\u202e\x7f ü None"


def test_a_queue_that_nobody_has_cannot_be_retried_in_silence(project: Project) -> None:
    project.write("greet")
    done = project.nq("retry", "great", "--failed")
    assert (done.returncode, done.stdout) == (2, "")
    assert 'no job of queue "great" has failed, and no worker has it' in done.stderr
    assert project.nq("retry", "greet", "--failed").returncode == 0
