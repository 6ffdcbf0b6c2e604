"""Usual configs are completed without pydantic, and exactly as it would (exporter P1, P5)."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtools.exporter import export_notebook
from nbtools.exporter.config import complete_usual
from nuxt_queue.config import KNOWN_RUNTIMES, complete_config, config_warnings
from nuxt_queue.errors import ConfigError

_TEXTS = st.sampled_from(["a", "b", "step:a", "", " a", "é", "a\nb", "\u202e", "python", "node"])
_ODD = st.sampled_from([None, True, 0, 1, -1, 1.0, 999, 1000, 2**31, [], {}, [1], {"a": 1}])
_VALUE = st.one_of(_TEXTS, st.lists(_TEXTS, max_size=3), _ODD)


def _some(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


_TIME = st.one_of(st.integers(900, 2**31), _ODD)
_LIMITS = {
    "runtime": st.one_of(st.sampled_from(KNOWN_RUNTIMES), _VALUE),
    "concurrency": st.one_of(st.integers(-1, 3), _ODD),
    "timeout": _TIME,
}
_FLOW = _some(
    name=_VALUE,
    role=st.one_of(st.sampled_from(["entry", "step"]), _VALUE),
    step=_VALUE,
    emits=_VALUE,
    subscribes=_VALUE,
    stepTimeout=_TIME,
)
_CONFIG = _some(
    queue=st.one_of(_VALUE, _some(name=_VALUE, prefix=_TEXTS)),
    flow=st.one_of(_FLOW, _ODD),
    worker=st.one_of(_some(**_LIMITS, autorun=_ODD), _ODD),
    other=_ODD,
    **_LIMITS,
)


@settings(max_examples=400, deadline=None)
@given(_CONFIG, st.sampled_from(["job", "my.job", "a:b"]))
def test_a_usual_config_is_completed_as_the_checker_does(config: dict[str, Any], stem: str) -> None:
    usual = complete_usual(config, stem)
    if usual is not None:
        completed = complete_config(config, stem=stem)
        assert usual == completed
        assert list(usual) == list(completed)
        assert [list(part) for part in usual.values() if isinstance(part, dict)] == [
            list(part) for part in completed.values() if isinstance(part, dict)
        ]
        assert not config_warnings(completed)


def test_what_is_usual_is_seen_as_such() -> None:
    """Else the test above would prove nothing."""
    for config in (
        {"queue": "greet", "runtime": "python"},
        {"queue": {"name": "q"}, "flow": {"name": ["f"], "role": "step", "subscribes": ["a"]}},
        {"flow": {"name": "f", "role": "entry", "step": "s", "emits": ["a", "b"]}, "timeout": 9000},
        {"worker": {"runtime": "node", "concurrency": 3, "timeout": 60_000}},
    ):
        assert complete_usual(config, "job") == complete_config(config, stem="job")


@pytest.mark.parametrize(
    "config",
    [{"queue": 5}, {"timeout": 5}, {"flow": {"role": "entry"}}, {"worker": {"time_out": 1}}],
)
def test_what_is_wrong_or_doubtful_is_left_to_the_checker(config: dict[str, Any]) -> None:
    assert complete_usual(config, "job") is None
    with contextlib.suppress(ConfigError):
        assert config_warnings(complete_config(config, stem="job"))


_LOADED = """
import sys
from nbtools.cli import main
assert main(sys.argv[1:]) == 0
heavy = {"pydantic", "nbformat", "nbconvert", "IPython", "jupyter_core", "asyncio", "tokenize",
         "difflib", "importlib.metadata", "nbtools.emulator", "nuxt_queue.config", "inspect"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("options", [[], ["--check"], ["--stdout"], ["--list"]])
def test_an_export_loads_only_what_it_needs(
    options: list[str], write_notebook: Callable[..., Path]
) -> None:
    """P5: no notebook library, no pydantic for usual settings and configs, no event loop."""
    notebook = write_notebook(("nq-export", "A = 1\n%my_magic"))
    project = notebook.with_name("pyproject.toml")
    project.write_text(
        '[tool.nuxt-queue]\nworkers = "."\n[tool.nuxt-queue.export]\n'
        'magics = { drop = ["%my_magic"] }\n'
    )
    notebook.with_suffix(".py").write_text(export_notebook(notebook).text)
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{_LOADED}",
         *options, str(notebook)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )  # fmt: skip
    assert done.stderr == "[]\n"
