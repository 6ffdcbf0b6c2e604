"""The program of a runtime: found once, at registration, or refused with what to do about it."""

from __future__ import annotations

import os
import shlex
import sys
import venv
from pathlib import Path

import pytest

from nuxt_queue.config import RuntimeConfig
from nuxt_queue.errors import ConfigError
from nuxt_queue.runner.programs import resolve_command
from tests.process.conftest import Host


def command_of(root: Path, name: str = "python", **settings: object) -> tuple[str, ...]:
    return resolve_command(name, RuntimeConfig.check(settings, "runtimes"), root)


def refusal(root: Path, name: str = "python", **settings: object) -> str:
    with pytest.raises(ConfigError) as caught:
        command_of(root, name, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


def python_that_is(path: Path, version: str) -> Path:
    """Write a program that answers the runner's question as another Python would."""
    return script(path, f"echo 'nq-python|{version}|/opt/{path.name}'")


def test_without_settings_nothing_is_looked_for(tmp_path: Path) -> None:
    assert command_of(tmp_path) == ()


def test_a_command_is_split_as_a_shell_would(tmp_path: Path) -> None:
    """host-contract 7.17."""
    tool = script(tmp_path / "bin dir" / "tool", "")
    found = command_of(tmp_path, "mine", command="'bin dir/tool' --flag 'a b' $HOME")
    assert found == (str(tool), "--flag", "a b", "$HOME")


def test_a_bare_name_is_looked_up_on_the_path_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = script(tmp_path / "tools" / "mytool", "")
    monkeypatch.setenv("PATH", f"/nowhere:{tool.parent}")
    assert command_of(tmp_path, "mine", command="mytool -x") == (str(tool), "-x")


def test_a_program_of_the_virtual_environment_comes_before_the_path(tmp_path: Path) -> None:
    """host-contract 7.17: the specification's own settings state both."""
    venv.create(tmp_path / ".venv", with_pip=False)
    python = str(tmp_path / ".venv" / "bin" / "python3")
    assert command_of(tmp_path, command="python3", venv=".venv") == (python,)
    assert command_of(tmp_path, "gpu", venv=".venv") == (str(tmp_path / ".venv/bin/python"),)


def test_a_shim_is_paid_for_once(tmp_path: Path) -> None:
    """A version manager's shim costs several times what the interpreter behind it does."""
    shim = script(tmp_path / "shims" / "python3", f'exec {shlex.quote(sys.executable)} "$@"')
    wrapper = script(tmp_path / "bin" / "python3", f'exec {shlex.quote(sys.executable)} "$@"')
    assert command_of(tmp_path, command=str(shim)) == (sys.executable,)
    # What sets something up for its Python is no shim, and stays.
    assert command_of(tmp_path, command=str(wrapper)) == (str(wrapper),)


def test_a_command_that_is_not_there_is_named_with_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults 90: wrong command, and an empty PATH."""
    monkeypatch.setenv("PATH", "/one:/two")
    assert refusal(tmp_path, command="python9") == (
        'runtimes.python.command: there is no "python9" on the path (/one, /two);'
        " install it, or give its whole path"
    )
    monkeypatch.setenv("PATH", ":".join(f"/{n}" for n in range(9)))
    assert "(/0, /1, /2, /3, /4, /5 and 3 more)" in refusal(tmp_path, "perl", command="perl")
    monkeypatch.setenv("PATH", "")
    assert "on the path (PATH is empty)" in refusal(tmp_path, "perl", command="perl")


def test_a_path_that_is_no_program_says_what_it_is(tmp_path: Path) -> None:
    """Faults 90: relative path, directory, not executable, a link that leads nowhere."""
    (tmp_path / "plain").write_text("")
    (tmp_path / "link").symlink_to("/nowhere/python")
    for command, says in (
        ("./nope", "nope does not exist; name another program"),
        (f"{tmp_path}", f"{tmp_path} is a directory; name the program in it"),
        ("./plain", "plain may not be executed; name a program, or allow it with chmod +x"),
        ("./link", "link leads to /nowhere/python, which is not there"),
    ):
        for runtime in ("python", "perl"):
            told = refusal(tmp_path, runtime, command=command)
            assert told.startswith(f"runtimes.{runtime}.command: {tmp_path}")
            assert told.endswith(says)


def test_a_virtual_environment_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    """Faults 90: missing venv, a folder that is none, one whose Python was removed."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken" / "bin").mkdir(parents=True)
    (tmp_path / "broken" / "bin" / "python").symlink_to("/nowhere/python3.11")
    good = tmp_path / "good"
    venv.create(good, with_pip=False)
    for given, says in (
        ("nope", f"there is no {tmp_path}/nope; make it with: python3 -m venv {tmp_path}/nope"),
        ("folder", f"{tmp_path}/folder is no virtual environment, it has no "),
        ("broken", "leads to /nowhere/python3.11, which is not there; its Python was removed; "),
    ):
        told = refusal(tmp_path, venv=given)
        assert told.startswith("runtimes.python.venv: ")
        assert says in told
    both = {"venv": "good", "command": "python9"}
    assert refusal(tmp_path, **both).startswith(f"runtimes.python.command: {good}/bin/python9 does")
    told = refusal(tmp_path, venv="good", command="/usr/bin/env")
    assert told.endswith("state the command or the venv, not both")


def test_a_python_that_is_too_old_is_refused(tmp_path: Path) -> None:
    """Faults 90: Python 2, Python 3.8, the venv of another Python."""
    for version in ("2.7", "3.8", "3.10"):
        old = python_that_is(tmp_path / "old" / f"python{version}", version)
        assert refusal(tmp_path, command=str(old)) == (
            f"runtimes.python.command: {old} is Python {version}; workers need 3.11 or newer"
        )
    python_that_is(tmp_path / "venv38" / "bin" / "python", "3.8")
    assert "python is Python 3.8; workers need" in refusal(tmp_path, venv="venv38")
    new = python_that_is(tmp_path / "new" / "python4", "4.0")
    assert command_of(tmp_path, command=str(new)) == (str(new),)


OLD_PYTHONS = [
    python
    for version in ("2.7.*", "3.6.*", "3.8.*", "3.10.*")
    for python in Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(
        f"versions/{version}/bin/python"
    )
]


@pytest.mark.parametrize("python", OLD_PYTHONS, ids=lambda path: path.parts[-3])
def test_old_pythons_of_this_machine_understand_the_question(python: Path, tmp_path: Path) -> None:
    """Faults 90, with the real ones where there are any."""
    version = ".".join(python.parts[-3].split(".")[:2])
    assert f"is Python {version}; workers need 3.11" in refusal(tmp_path, command=str(python))


def test_a_program_that_is_no_python_is_shown_with_what_it_said(tmp_path: Path) -> None:
    loud = script(tmp_path / "loud", "echo first >&2; echo 'I am no Python' >&2; exit 3")
    assert refusal(tmp_path, command="./loud") == (
        f"runtimes.python.command: {loud} is no Python, it answered: I am no Python; for a program"
        " that takes the file itself, name a runtime of your own"
    )
    silent = script(tmp_path / "silent", "")
    assert "it answered: nothing" in refusal(tmp_path, command=str(silent))
    silent.write_bytes(b"\x7fELF nonsense")
    silent.chmod(0o755)
    assert "silent cannot be started: Exec format error" in refusal(tmp_path, command="./silent")
    silent.write_text("#!/no/such/interpreter\n")
    assert "cannot be started: No such file" in refusal(tmp_path, command="./silent")


def test_a_python_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nuxt_queue.runner.probe._ASK_S", 0.2)
    stuck = script(tmp_path / "stuck", "sleep 60 & wait")
    assert refusal(tmp_path, command="./stuck") == (
        f"runtimes.python.command: {stuck} did not answer within 0.2 s; name a Python"
    )


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("'unclosed", '"\'unclosed" cannot be split: No closing quotation'),
        ("''", "\"''\" names no program"),
        ("  ", "'  ' names no program"),
    ],
)
def test_a_command_that_cannot_be_split_is_refused(tmp_path: Path, command: str, says: str) -> None:
    assert refusal(tmp_path, command=command) == f"runtimes.python.command: {says}"


async def test_a_worker_of_another_command_is_lent_the_sdk_and_nothing_else(
    host: Host, tmp_path: Path
) -> None:
    """As `python3 worker.py` starts it, where nothing is installed."""
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import sys\n"
        "from nuxt_queue import run_worker\n"
        "from nuxt_queue.errors import ConfigError\n"
        "def handler(job, ctx):\n"
        "    ctx.state.set('seen', True)\n"
        "    return {'lent': [p for p in sys.path if 'nuxt' in p or 'site-packages' in p]}\n"
        "run_worker(handler)\n"
    )
    got = await host.run(worker, runtime="mine", command=(sys.executable, "-S"))
    assert [Path(path).parts[-3:] for path in got["lent"]] == [("nuxt_queue", "sdk", "lent")]
    assert await host.state.get("run1", "seen") is True
