"""The commands of docs/operating.md print what the page shows; its tables are complete."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from nuxt_queue.cli import main
from tests.cli.conftest import Project

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text("utf-8")
CONSOLES = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
MASKS = (
    (r"\b\d{13}-\w+", "ID"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\bpid \d+", "PID"),
    (r"\b\d+(\.\d+)? s\b", "SECONDS"),
    (r" +", " "),
)


def masked(text: str, root: Path | None = None) -> str:
    """Return a text without what is different at every run."""
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text)
    return text.replace(f"{root}/", "").strip()


def file_of_the_page(kind: str, name: str) -> str:
    found = re.search(
        rf"^```{kind}\n# {re.escape(name)}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
    )
    assert found is not None
    return found[1]


def commands() -> list[tuple[str, str]]:
    """Return the commands of the page and what each prints."""
    found = re.findall(r"^\$ nq (.*)\n((?:[^$].*\n)*)", "".join(CONSOLES), re.MULTILINE)
    return [(command, printed) for command, printed in found]


def test_the_commands_of_the_page_print_what_it_shows(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for kind, name in (("toml", "pyproject.toml"), ("python", "workers/greet.py")):
        (tmp_path / name).write_text(file_of_the_page(kind, name), "utf-8")
    shown = dict(commands())
    lines = shown.pop("serve").splitlines()
    shown.pop("doctor --backend redis")
    assert len(shown) == 8
    with project.serving() as server:
        assert masked(server.line("serving"), tmp_path) == masked(lines[0])
        for command, printed in shown.items():
            if command == "jobs":
                server.line("attempt 2: KeyError: 'name'")
            out = project.out(*shlex.split(command))
            assert masked(out, tmp_path) == masked(printed), command
        server.stop()
        server.line("stopped")
    said = [masked(line, tmp_path) for line in server.lines]
    for line in lines[:4]:
        assert masked(line) in said


def test_the_commands_of_the_readme_print_what_it_shows(tmp_path: Path) -> None:
    project = Project(tmp_path)
    worker = file_of_the_page("python", "workers/greet.py")
    (project.workers / "greet.py").write_text(worker, "utf-8")
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (session,) = re.findall(
        r"^```console\n(\$ nq enqueue.*?)^```", readme, re.MULTILINE | re.DOTALL
    )
    with project.serving() as server:
        server.line("serving")
        for command, printed in re.findall(r"^\$ nq (.*)\n((?:[^$].*\n)*)", session, re.MULTILINE):
            assert masked(project.out(*shlex.split(command))) == masked(printed), command


def test_the_table_of_options_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out.partition("options:")[2]))
    table = PAGE.partition("| option | for |")[2].partition("\n\n")[0]
    assert set(re.findall(r"--[a-z][a-z-]*", table)) == known - {"--help"}


def test_the_doctor_of_the_page_speaks_like_the_real_one(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("greet")
    done = project.nq("doctor", "--backend", "redis", REDIS_URL="redis://localhost:1/0")
    (shown,) = [printed for command, printed in commands() if command.startswith("doctor")]
    heads = [line[:20] for line in shown.splitlines()]
    said = [line[:20] for line in done.stdout.splitlines()]
    assert [head for head in heads if head not in said] == []
