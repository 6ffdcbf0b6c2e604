"""A handler that no job can be given to is refused when it is registered, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nuxt_queue.errors import WorkerLoadError
from nuxt_queue.registry import read_worker, scan

CONFIG = 'config = {"queue": {"name": "w"}}\n'

WRONG = {
    "one argument": ("def handler(job): ...", 2, "two arguments"),
    "three arguments": ("def handler(job, ctx, more): ...", 2, "two arguments"),
    "a keyword that must be given": ("def handler(job, ctx, *, key): ...", 2, "two arguments"),
    "a generator": ("def handler(job, ctx):\n    yield 1", 2, "is a generator"),
    "an async generator": ("async def handler(job, ctx):\n    yield 1", 2, "is a generator"),
    "one under another name": (
        "from nuxt_queue import run_worker\ndef work(job): ...\nrun_worker(work)",
        3,
        "handler `work`",
    ),
    "one that is marked": (
        "from nuxt_queue import define_worker\n@define_worker\ndef work(): ...\nhandler = work",
        4,
        "handler `work`",
    ),
}

RIGHT = {
    "two arguments": "def handler(job, ctx): ...",
    "defaults": "def handler(job, ctx, retries=3): ...",
    "any number": "def handler(*args): ...",
    "a generator inside": (
        "def handler(job, ctx):\n    def inner():\n        yield 1\n    return list(inner())"
    ),
    "another decorator, which may change everything": (
        "import functools\ndef deco(f): return f\n@deco\ndef handler(): ..."
    ),
    "a class that is called": (
        "class Handler:\n    def __call__(self, job, ctx): ...\nhandler = Handler()"
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_handler_that_takes_no_job_and_context_is_a_problem(name: str, tmp_path: Path) -> None:
    """Faults 82."""
    source, line, says = WRONG[name]
    path = tmp_path / "w.py"
    path.write_text(CONFIG + source, "utf-8")
    with pytest.raises(WorkerLoadError, match=says) as refusal:
        read_worker(path)
    assert str(refusal.value).startswith(f"{path}:{line}: handler")
    assert scan(tmp_path).entries == []


@pytest.mark.parametrize("name", RIGHT)
def test_a_handler_that_may_be_right_is_taken(name: str, tmp_path: Path) -> None:
    (tmp_path / "w.py").write_text(CONFIG + RIGHT[name], "utf-8")
    found = scan(tmp_path)
    assert [entry.name for entry in found.entries] == ["w"], found.problems


NOT_ONE = {
    "two that are run": (
        "def a(job, ctx): ...\ndef b(job, ctx): ...\nrun_worker(a)\nrun_worker(b)",
        "gives `a` and `b` to run_worker, and a worker has one handler; make a file of each",
    ),
    "two that are marked": (
        "@define_worker\ndef a(job, ctx): ...\n@define_worker\ndef handler(job, ctx): ...",
        "marks `a` and `handler`, and a worker has one handler; make a file of each",
    ),
    "one that nothing runs": (
        "@define_worker\ndef a(job, ctx): ...",
        "nothing runs `a`: name it handler, or end the file with run_worker(a)",
    ),
    "one that is defined twice": (
        "def handler(job, ctx): ...\nasync def handler(job, ctx): ...",
        "defines `handler` twice, in lines ",
    ),
}


@pytest.mark.parametrize("name", NOT_ONE)
def test_a_worker_has_one_handler(name: str, tmp_path: Path) -> None:
    """Faults 92: two handlers, or none that runs."""
    source, says = NOT_ONE[name]
    (tmp_path / "w.py").write_text(CONFIG + source, "utf-8")
    (problem,) = scan(tmp_path).problems
    assert problem.reason.startswith(says)


@pytest.mark.parametrize(
    "source",
    [
        "@define_worker\ndef a(job, ctx): ...\nrun_worker(a)",
        "@define_worker\ndef a(job, ctx): ...\nnuxt_queue.run_worker(a)",
        "from nuxt_queue import run_worker as go\n@define_worker\ndef a(job, ctx): ...\ngo(a)",
        "@define_worker\ndef a(job, ctx): ...\nhandler = a",
        "@define_worker\ndef a(job, ctx): ...\nfrom elsewhere import handler",
        "def a(job, ctx): ...\nif 1:\n    run_worker(a)\nelse:\n    run_worker(a)",
    ],
)
def test_a_worker_that_may_have_one_handler_is_taken(source: str, tmp_path: Path) -> None:
    (tmp_path / "w.py").write_text(CONFIG + source, "utf-8")
    assert scan(tmp_path).problems == []
