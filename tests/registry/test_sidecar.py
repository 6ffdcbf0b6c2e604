"""A worker in another language: its config is in a file beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nuxt_queue.config import ProjectConfig
from nuxt_queue.errors import WorkerLoadError
from nuxt_queue.registry import read_worker, scan

SETTINGS = """
[tool.nuxt-queue.runtimes]
perl = {command = "perl", suffixes = [".pl", ".cgi"]}
perl5 = {command = "/opt/perl5", timeout = 7000}
off = {command = "off", enabled = false, suffixes = [".off"]}
"""


@pytest.fixture
def project(tmp_path: Path) -> ProjectConfig:
    (tmp_path / "pyproject.toml").write_text(SETTINGS, "utf-8")
    return ProjectConfig.find(tmp_path)


def worker(folder: Path, name: str, config: str | None = "", kind: str = "toml") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("print 1;\n")
    if config is not None:
        (folder / f"{name}.{kind}").write_text(config, "utf-8")
    return path


def test_only_what_a_runtime_claims_is_a_worker(tmp_path: Path, project: ProjectConfig) -> None:
    worker(tmp_path, "a.pl")
    worker(tmp_path, "b.cgi", '{"queue": "two"}', "json")
    worker(tmp_path, "sub/my.job.v2.pl", 'queue = "two"\nflow = {name = "f"}')
    worker(tmp_path, "Helper.pm", None)
    found = scan(tmp_path, project)
    assert found.problems == []
    assert [(e.kind, e.id, e.queue, e.job, e.worker["runtime"]) for e in found.entries] == [
        ("pl", "a", "a", "a", "perl"),
        ("cgi", "b", "two", "b", "perl"),
        ("pl", "sub/my.job.v2", "two", "my.job.v2", "perl"),
    ]
    assert scan(tmp_path).entries == []


def test_a_config_may_name_another_runtime_of_the_project(
    tmp_path: Path, project: ProjectConfig
) -> None:
    entry = read_worker(worker(tmp_path, "a.pl", 'runtime = "perl5"'), settings=project)
    assert (entry.worker["runtime"], entry.worker["timeout"]) == ("perl5", 7000)
    nested = worker(tmp_path, "b.pl", 'worker = {runtime = "perl5", timeout = 9000}')
    entry = read_worker(nested, settings=project)
    assert (entry.worker["runtime"], entry.worker["timeout"]) == ("perl5", 9000)


@pytest.mark.parametrize(
    ("name", "config", "kind", "says"),
    [
        ("a.pl", None, "", "has no config; state one in a.pl.toml beside it, for example queue.n"),
        ("a.pl", "queue = [", "toml", "a.pl.toml is not valid TOML: "),
        ("a.pl", "{", "json", "a.pl.json is not valid JSON: "),
        ("a.pl", "[1]", "json", "a.pl.json holds no object; write one with its config"),
        ("a.pl", "[" * 100_000, "json", "a.pl.json is not valid JSON: "),
        ("a.pl", " " * 2**21, "json", "a.pl.json is larger than 1 MiB"),
        ("a.pl", "concurency = 2", "toml", "a.pl.toml: config.concurency is no known key; did you"),
        ("a.pl", 'queue = "a:b"', "toml", 'a.pl.toml: config.queue.name is "a:b"; expected a name'),
        ("a.pl", 'runtime = "python"', "toml", 'a .pl file cannot run as "python"; its runtime is'),
        (
            "a.pl",
            'runtime = "prl"',
            "toml",
            'a.pl.toml: unknown runtime "prl"; did you mean "perl"',
        ),
        ("a.off", "", "toml", 'a.off.toml: runtime "off" is switched off; set enabled = true in'),
        ("a.rb", "", "toml", 'is no .py file, and no runtime of the settings claims ".rb"'),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_the_file(
    name: str, config: str | None, kind: str, says: str, tmp_path: Path, project: ProjectConfig
) -> None:
    """Faults 92."""
    path = worker(tmp_path, name, config, kind)
    with pytest.raises(WorkerLoadError) as caught:
        read_worker(path, settings=project)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_two_configs_are_one_too_many(tmp_path: Path, project: ProjectConfig) -> None:
    path = worker(tmp_path, "a.pl")
    worker(tmp_path, "a.pl", "{}", "json")
    with pytest.raises(WorkerLoadError, match=r"has two configs, .*a\.pl\.toml and .*; keep one"):
        read_worker(path, settings=project)


def test_a_pipe_or_a_folder_is_not_read(tmp_path: Path, project: ProjectConfig) -> None:
    (tmp_path / "a.pl.toml").mkdir()
    with pytest.raises(WorkerLoadError, match="is not a regular file"):
        read_worker(worker(tmp_path, "a.pl", None), settings=project)
    with pytest.raises(WorkerLoadError, match="does not exist"):
        read_worker(tmp_path / "nope.pl", settings=project)


def test_a_slip_in_a_config_is_a_warning_at_its_file(
    tmp_path: Path, project: ProjectConfig
) -> None:
    worker(tmp_path, "a.pl", "timeout = 30")
    (warning,) = scan(tmp_path, project).warnings
    assert str(warning) == (
        f"{tmp_path}/a.pl.toml: config.timeout is 30: timeouts are milliseconds;"
        " did you mean 30000?"
    )


def test_a_slip_in_the_settings_is_a_warning_of_the_scan(tmp_path: Path) -> None:
    """Faults 92: seconds where milliseconds are meant."""
    text = "[tool.nuxt-queue.runtimes.python]\ntimeout = 300\n"
    (tmp_path / "pyproject.toml").write_text(text, "utf-8")
    (warning,) = scan(tmp_path, ProjectConfig.find(tmp_path)).warnings
    assert str(warning).startswith(f"{tmp_path}/pyproject.toml: [tool.nuxt-queue].runtimes.python")
