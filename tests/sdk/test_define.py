"""What a worker file states is checked where it is stated: host-contract 7 row 29, faults 82."""

from __future__ import annotations

import asyncio
import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue import (
    define_config,
    define_queue_config,
    define_queue_worker,
    define_worker,
    run_worker,
)
from nuxt_queue.errors import ValuePathError


def plain(job: Any, ctx: Any) -> Any:
    return job, ctx


async def coroutine(job: Any, ctx: Any) -> Any:
    return job, ctx


class Callables:
    def method(self, job: Any, ctx: Any) -> Any:
        return job, ctx

    async def __call__(self, job: Any, ctx: Any) -> Any:
        return job, ctx

    @staticmethod
    def static(job: Any, ctx: Any) -> Any:
        return job, ctx


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


HANDLERS: dict[str, Callable[..., Any]] = {
    "a function": plain,
    "a coroutine function": coroutine,
    "a lambda": lambda job, ctx: (job, ctx),
    "with a default": lambda job, ctx, extra=1: (job, ctx, extra),
    "with any arguments": lambda *args: args,
    "with one and any": lambda job, *rest, key=1, **more: (job, rest, key, more),
    "with a keyword": lambda job, ctx, *, key=1: (job, ctx, key),
    "an object": Callables(),
    "a method": Callables().method,
    "a static method": Callables.static,
    "a partial": functools.partial(lambda model, job, ctx: (model, job, ctx), "model"),
    "a partial coroutine": functools.partial(coroutine),
    "a decorated function": decorated(plain),
    "a decorated coroutine": decorated(coroutine),
}


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
def test_a_handler_stays_the_function_that_it_is(handler: Callable[..., Any]) -> None:
    """Bare, called, and as a call; no wrapper is put around it."""
    assert define_worker(handler) is handler
    assert define_worker()(handler) is handler
    assert define_queue_worker(handler) is handler


def generator(job: Any, ctx: Any) -> Any:
    yield job, ctx


async def async_generator(job: Any, ctx: Any) -> Any:
    yield job, ctx


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (lambda: None, "must take exactly two arguments: job and ctx"),
        (lambda _job: None, "must take exactly two arguments: job and ctx"),
        (lambda _job, _ctx, _more: None, "must take exactly two arguments: job and ctx"),
        (lambda _job, _ctx, *, key: key, "must take exactly two arguments: job and ctx"),
        (lambda **_named: None, "must take exactly two arguments: job and ctx"),
        (generator, "is a generator; a handler returns its result instead of yielding"),
        (async_generator, "is a generator; a handler returns its result instead of yielding"),
    ],
    ids=["none", "one", "three", "a keyword", "names only", "a generator", "an async generator"],
)
def test_a_function_that_cannot_be_a_handler_is_refused_with_its_line(
    handler: Callable[..., Any], says: str
) -> None:
    line = handler.__code__.co_firstlineno
    with pytest.raises(TypeError) as caught:
        define_worker(handler)
    assert says in str(caught.value)
    assert f"{Path(__file__).name}:{line}" in str(caught.value)


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (5, "a handler is a function (job, ctx), not int"),
        ("handler", "a handler is a function (job, ctx), not str"),
        (functools.partial(plain, 1, 2), "must take exactly two arguments, job and ctx"),
        (functools.partial(generator), "is a generator"),
        (decorated(generator), "is a generator"),
        (decorated(lambda _job: None), "must take exactly two arguments, job and ctx"),
        (object, "must take exactly two arguments, job and ctx"),
    ],
    ids=["int", "str", "partial", "partial generator", "generator", "decorated", "class"],
)
def test_what_cannot_be_a_handler_is_refused(handler: Any, says: str) -> None:
    with pytest.raises(TypeError) as caught:
        define_worker(handler)
    assert says in str(caught.value)


def test_a_config_comes_back_as_a_plain_dictionary() -> None:
    given = {"queue": "q", "worker": {"timeout": 5}, "flow": {"emits": ("a", "b")}}
    config = define_config(given)

    assert type(config) is dict
    assert json.loads(json.dumps(config, allow_nan=False)) == {
        "queue": "q",
        "worker": {"timeout": 5},
        "flow": {"emits": ["a", "b"]},
    }
    assert define_queue_config(given) == config
    assert define_config() == {}


def test_a_config_may_be_given_by_name() -> None:
    assert define_config(queue="q", timeout=5) == {"queue": "q", "timeout": 5}
    assert define_config({"queue": "q", "timeout": 5}, timeout=6) == {"queue": "q", "timeout": 6}
    assert define_config(config=1) == {"config": 1}


@pytest.mark.parametrize("config", [[1], "queue", 5, {"a"}], ids=repr)
def test_a_config_that_is_no_mapping_is_refused(config: Any) -> None:
    with pytest.raises(TypeError, match=f"a config is a dictionary, not {type(config).__name__}"):
        define_config(config)


def test_a_config_that_json_cannot_hold_is_refused_with_its_place() -> None:
    with pytest.raises(ValuePathError, match=r"^config\.worker\.timeout is inf"):
        define_config({"worker": {"timeout": float("inf")}})


def test_run_worker_does_nothing_where_no_host_has_started_the_process() -> None:
    """D3: in a test or a notebook; the handler is not called, stdin is not read."""

    def handler(_job: Any, _ctx: Any) -> None:
        raise AssertionError

    finished = run_worker(handler)
    assert asyncio.run(finished) is None


async def test_run_worker_may_be_awaited_in_a_notebook() -> None:
    assert await run_worker(coroutine) is None


def test_run_worker_refuses_what_cannot_be_a_handler() -> None:
    with pytest.raises(TypeError, match="two arguments"):
        run_worker(lambda: None)


def test_a_worker_that_is_run_by_hand_says_how_to_run_it(tmp_path: Path) -> None:
    worker = tmp_path / "train.py"
    worker.write_text(
        "from nuxt_queue import run_worker\n"
        "def handler(job, ctx): raise SystemExit(5)\n"
        "if __name__ == '__main__':\n"
        "    run_worker(handler)\n"
    )
    done = subprocess.run(
        [sys.executable, str(worker)], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0
    assert done.stdout == ""
    assert done.stderr == (
        "train.py is a queue worker; try it with:  nq run train.py --data '{}'\n"
    )
