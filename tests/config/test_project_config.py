from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.config import ProjectConfig, RuntimeConfig, WorkerConfig
from nuxt_queue.errors import ConfigError


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def test_the_nearest_pyproject_upward_is_the_project(tmp_path: Path) -> None:
    project(tmp_path, '[tool.nuxt-queue]\nworkers = "outer"\n')
    inner = tmp_path / "inner"
    notebook = inner / "notebooks" / "train.ipynb"
    notebook.parent.mkdir(parents=True)
    notebook.touch()
    project(inner, '[tool.nuxt-queue]\nworkers = "server/queues"\n')
    found = ProjectConfig.find(notebook)
    assert (found.root, found.workers) == (inner, inner / "server" / "queues")


def test_the_file_of_jobs_is_below_the_project_or_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = tmp_path / "workers"
    workers.mkdir()
    monkeypatch.chdir(tmp_path)
    assert ProjectConfig.find(workers).data_dir == tmp_path / ".nuxt-queue"
    assert ProjectConfig.find(tmp_path).data_dir == tmp_path / ".nuxt-queue"
    project(workers, '[tool.nuxt-queue]\ndata_dir = "data"\n')
    assert ProjectConfig.find(workers).data_dir == workers / "data"


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'\n", "[tool.ruff]\n"])
def test_a_project_that_says_nothing_about_queues_has_defaults(tmp_path: Path, text: str) -> None:
    found = ProjectConfig.find(project(tmp_path, text))
    assert found == ProjectConfig(tmp_path, has_file=True)
    assert found.workers is None


def test_without_a_pyproject_the_folder_itself_is_the_root(tmp_path: Path) -> None:
    assert ProjectConfig.find(tmp_path).root == tmp_path


def test_built_in_runtimes_have_the_timeouts_of_the_spec(tmp_path: Path) -> None:
    timeouts = {name: r.timeout_ms for name, r in ProjectConfig(tmp_path).runtimes.items()}
    assert timeouts == {
        "python": 300000,
        "node": 300000,
        "node-isolated": 600000,
        "inprocess": 300000,
    }


def test_runtimes_are_changed_and_added_by_the_project(tmp_path: Path) -> None:
    text = """
    [tool.nuxt-queue.runtimes.python]
    venv = ".venv"
    timeout = 1000
    args = ["-X", "dev"]
    process = "fork"
    [tool.nuxt-queue.runtimes.node-isolated]
    command = "node22"
    [tool.nuxt-queue.runtimes.julia]
    command = "julia"
    """
    found = ProjectConfig.find(project(tmp_path, text))
    python = found.runtime("python")
    assert (python.enabled, python.command, python.venv) == (True, None, ".venv")
    assert (python.timeout_ms, python.args, python.process) == (1000, ["-X", "dev"], "fork")
    assert found.runtime("node-isolated").timeout_ms == 600000
    assert found.runtime("julia").command == "julia"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pythn", 'unknown runtime "pythn"; did you mean "python"?'),
        ("zig", 'unknown runtime "zig"; known: python, node, node-isolated, inprocess'),
        (
            "node",
            'runtime "node" is switched off; set enabled = true in [tool.nuxt-queue].runtimes.node',
        ),
    ],
)
def test_a_runtime_that_cannot_be_used_is_refused(tmp_path: Path, name: str, message: str) -> None:
    """host-contract 7.17."""
    found = ProjectConfig.find(
        project(tmp_path, "[tool.nuxt-queue.runtimes.node]\nenabled = false\n")
    )
    with pytest.raises(ConfigError) as caught:
        found.runtime(name)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("stated", "timeout_ms"),
    [
        ({"timeout": 5000, "flow": {"name": "f", "stepTimeout": 7000}}, 5000),
        ({"timeout": 5000, "worker": {"timeout": 6000}}, 6000),
        ({"flow": {"name": "f", "stepTimeout": 7000}}, 7000),
        ({}, 9000),
        ({"runtime": "node-isolated"}, 600000),
        ({"runtime": "unknown to the project"}, 300000),
    ],
)
def test_the_nearest_statement_of_a_timeout_counts(
    tmp_path: Path, stated: Any, timeout_ms: int
) -> None:
    """host-contract 7.17: worker, step, runtime, default."""
    found = ProjectConfig.find(
        project(tmp_path, "[tool.nuxt-queue.runtimes.python]\ntimeout = 9000\n")
    )
    assert found.timeout_ms(WorkerConfig.read(stated, stem="w")) == timeout_ms


BAD_TABLES = [
    ('workers = ""', '.workers is ""; expected a folder, as a string that is not empty'),
    ("worker = 'x'", ".worker is no known key; did you mean workers?"),
    ("runtimes = 3", ".runtimes is 3; expected a table for each runtime"),
    ("runtimes.python = 3", ".runtimes.python is 3; expected a table for each runtime"),
    (
        "runtimes.python.timeout = '5m'",
        '.runtimes.python.timeout is "5m"; expected whole milliseconds, from 1 to 2147483647',
    ),
    (
        "runtimes.python.timeoutt = 1",
        ".runtimes.python.timeoutt is no known key; did you mean timeout?",
    ),
    (
        "runtimes.python.process = 'thread'",
        '.runtimes.python.process is "thread"; expected "spawn", "fork" or "reuse"',
    ),
    (
        "runtimes.python = {process = 'fork', preload = ['not a module']}",
        (
            '.runtimes.python.preload[0] is "not a module";'
            ' expected a list of modules to import, such as ["pandas"]'
        ),
    ),
    (
        "runtimes.python.preload = ['pandas']",
        '.runtimes.python.preload is for process = "fork"; state that as well',
    ),
    ("runtimes.python.args = '-X'", '.runtimes.python.args is "-X"; expected a list of strings'),
    (
        "runtimes.pythn.timeout = 1",
        ".runtimes.pythn is not built in and has no command; did you mean python?",
    ),
    (
        "runtimes.zig.timeout = 1",
        ".runtimes.zig is not built in and has no command; state the program that runs its workers",
    ),
]


@pytest.mark.parametrize(("line", "message"), BAD_TABLES)
def test_a_wrong_setting_is_refused_with_file_path_value_and_fix(
    tmp_path: Path, line: str, message: str
) -> None:
    file = project(tmp_path, f"[tool.nuxt-queue]\n{line}\n") / "pyproject.toml"
    with pytest.raises(ConfigError) as caught:
        ProjectConfig.find(tmp_path)
    assert str(caught.value) == f"{file} [tool.nuxt-queue]{message}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"tool = [", " is not valid TOML: "),
        (b"name = '\xff'", " is not valid TOML: "),
        (b"tool = {nuxt-queue = 3}", " [tool.nuxt-queue] is no table; write its keys below"),
        (b"tool = 3", None),
    ],
)
def test_a_broken_pyproject_is_one_line(tmp_path: Path, data: bytes, message: str | None) -> None:
    (tmp_path / "pyproject.toml").write_bytes(data)
    if message is None:
        assert ProjectConfig.find(tmp_path) == ProjectConfig(tmp_path, has_file=True)
        return
    with pytest.raises(ConfigError) as caught:
        ProjectConfig.find(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'pyproject.toml'}{message}")
    assert "\n" not in str(caught.value)


def test_a_runtime_config_of_its_own_is_fresh_processes_for_five_minutes() -> None:
    runtime = RuntimeConfig.check({}, "runtimes.python")
    assert (runtime.process, runtime.timeout_ms, runtime.enabled) == ("spawn", 300000, True)


USELESS_SETTINGS = [
    ('runtimes.node.venv = ".venv"', ".node.venv is a Python's; state a command instead"),
    (
        'runtimes.python.suffixes = [".pyw"]',
        ".python.suffixes is for runtimes of your own; python has its files",
    ),
    (
        'runtimes.x = {command = "x", suffixes = [".py"]}',
        '.x.suffixes holds ".py": such a file states its runtime itself',
    ),
    (
        'runtimes.x = {command = "x", suffixes = [".toml"]}',
        '.x.suffixes holds ".toml", which is never a worker',
    ),
    (
        'runtimes.x = {command = "x", suffixes = ["pl"]}',
        '.x.suffixes[0] is "pl"; expected a list of file suffixes such as [".pl"]',
    ),
    (
        'runtimes = {x={command="x", suffixes=[".pl"]}, y={command="y", suffixes=[".pl"]}}',
        '.y.suffixes holds ".pl", which x has already; keep it once',
    ),
    (
        "runtimes.python.timeoutSeconds = 30",
        ".python.timeoutSeconds is no known key; did you mean timeout, in milliseconds?",
    ),
]


@pytest.mark.parametrize(("lines", "message"), USELESS_SETTINGS)
def test_settings_that_would_have_no_effect_are_refused(
    tmp_path: Path, lines: str, message: str
) -> None:
    """Faults 92."""
    file = project(tmp_path, f"[tool.nuxt-queue]\n{lines}\n") / "pyproject.toml"
    with pytest.raises(ConfigError) as caught:
        ProjectConfig.find(tmp_path)
    assert str(caught.value) == f"{file} [tool.nuxt-queue].runtimes{message}"


def test_a_timeout_that_was_probably_meant_in_seconds_is_a_warning(tmp_path: Path) -> None:
    """Faults 92."""
    found = ProjectConfig.find(
        project(tmp_path, "[tool.nuxt-queue.runtimes.python]\ntimeout = 300\n")
    )
    (warning,) = found.warnings
    assert warning == (
        "[tool.nuxt-queue].runtimes.python.timeout is 300: timeouts are milliseconds;"
        " did you mean 300000?"
    )
    assert ProjectConfig(tmp_path).warnings == []


def test_a_suffix_has_one_runtime(tmp_path: Path) -> None:
    text = '[tool.nuxt-queue.runtimes.perl]\ncommand = "perl"\nsuffixes = [".pl"]\n'
    found = ProjectConfig.find(project(tmp_path, text))
    assert (found.claimed_by(".pl"), found.claimed_by(".py")) == ("perl", None)


def test_redis_is_at_home_unless_the_project_or_the_environment_says_otherwise(
    tmp_path: Path,
) -> None:
    """host-contract 4: the prefix is the host's; its later version has another."""
    nowhere = ProjectConfig(tmp_path).redis
    stated = ProjectConfig.find(
        project(tmp_path, '[tool.nuxt-queue.redis]\nurl = "redis://r:1/2"\nprefix = "{nvent}"\n')
    ).redis

    assert (nowhere.address({}), nowhere.prefix) == ("redis://localhost:6379/0", "nq")
    assert (stated.address({}), stated.prefix) == ("redis://r:1/2", "{nvent}")
    assert stated.address({"REDIS_URL": "redis://e:3"}) == "redis://e:3"


def test_a_prefix_that_would_mix_keys_up_is_refused(tmp_path: Path) -> None:
    """Faults 97."""
    project(tmp_path, '[tool.nuxt-queue.redis]\nprefix = "nq:*"\n')

    with pytest.raises(ConfigError, match=r'redis\.prefix is "nq:\*"; expected letters, digits'):
        ProjectConfig.find(tmp_path)
