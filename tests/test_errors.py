"""The errors: their tree is the documented one, and each survives a pickle."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest

from nuxt_queue import errors
from nuxt_queue.errors import (
    ConfigError,
    FlowCancelledError,
    HandlerError,
    InternalError,
    InvalidParamsError,
    InvalidRequestError,
    JobError,
    JobStalledError,
    MethodNotFoundError,
    NotSupportedByHost,
    NuxtQueueError,
    ParseError,
    PeerClosedError,
    QueueClosedError,
    QueueError,
    QueueStorageError,
    QueueUnreachableError,
    RegistryError,
    RpcError,
    ValuePathError,
    WorkerCancelledError,
    WorkerCrashedError,
    WorkerLoadError,
    WorkerNotFoundError,
    WorkerStartError,
    WorkerTimeoutError,
)


def documented_tree() -> dict[str, str | None]:
    """Read name and parent of each class from the tree in the module's docstring."""
    assert errors.__doc__ is not None
    tree = errors.__doc__.split("```")[1]
    parents: dict[str, str | None] = {}
    above: list[str] = []
    for line in tree.strip("\n").splitlines():
        found = re.match(r"([│ ]*(?:[├└]── )?)(\w+)", line)
        assert found is not None, line
        depth, name = len(found[1]) // 4, found[2]
        parents[name] = above[depth - 1] if depth else None
        above[depth:] = [name]
    return parents


def test_the_documented_tree_is_the_real_one() -> None:
    real = {
        name: None if kind is NuxtQueueError else kind.__bases__[0].__name__
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, BaseException)
    }
    assert documented_tree() == real
    assert set(real) == set(errors.__all__)


def test_the_documented_codes_are_the_real_ones() -> None:
    assert errors.__doc__ is not None
    codes = dict(re.findall(r"(\w+)\s+(-32\d\d\d)$", errors.__doc__, re.MULTILINE))
    assert len(codes) == 5
    for name, code in codes.items():
        assert getattr(errors, name).code == int(code)


EXAMPLES: list[tuple[NuxtQueueError, str]] = [
    (NuxtQueueError("a sentence"), "a sentence"),
    (NuxtQueueError(), "NuxtQueueError"),
    (ConfigError("worker.timeout is 0"), "worker.timeout is 0"),
    (RegistryError("no"), "no"),
    (
        WorkerNotFoundError("q", "x", ["a", "b"]),
        'No handler for job "x" on queue "q". Available: a, b',
    ),
    (WorkerNotFoundError("q", "x"), 'No handler for job "x" on queue "q". Available: none'),
    (WorkerLoadError("w.py", "no handler"), "w.py: no handler"),
    (WorkerLoadError("w.py", "no handler", 3), "w.py:3: no handler"),
    (QueueError("full"), "full"),
    (QueueClosedError("the file manager is closed"), "the file manager is closed"),
    (FlowCancelledError("r1"), "flow run r1 was cancelled, so the step was not run"),
    (QueueStorageError("/d/q.sqlite", "disk full"), "/d/q.sqlite: disk full"),
    (QueueUnreachableError("redis://h:1/0", "refused"), "cannot reach redis://h:1/0: refused"),
    (WorkerStartError("j1", ["python9", "-P"], "not found"), "cannot start python9: not found"),
    (WorkerTimeoutError("j1", 1500), "Worker timeout after 1500ms"),
    (
        WorkerTimeoutError("j1", 2500, "import", "loading"),
        "Worker timeout after 2500ms, before its file had been imported",
    ),
    (WorkerCancelledError("j1"), "Worker cancelled"),
    (
        WorkerCrashedError("j1", "exited with code 9", 9, "", "import"),
        "worker process exited with code 9 while its file was imported",
    ),
    (
        WorkerCrashedError("j1", "was killed by SIGSEGV (11)", -11, "a\nlast words\n\n"),
        "worker process was killed by SIGSEGV (11); its last words: last words",
    ),
    (
        JobStalledError("j1", 3),
        "job stalled more than allowable limit: the process that ran it was lost in attempt 3",
    ),
    (WorkerCrashedError("j1", "exited with code 7"), "worker process exited with code 7"),
    (HandlerError("j1", "ValueError", "bad", {"traceback": "tb"}), "ValueError: bad"),
    (HandlerError("j1", "KeyboardInterrupt", ""), "KeyboardInterrupt"),
    (ValuePathError("result.a[3].loss", "is NaN"), "result.a[3].loss is NaN"),
    (RpcError("no", {"a": 1}, -32050), "no"),
    (ParseError("no"), "no"),
    (InvalidRequestError("no"), "no"),
    (MethodNotFoundError("no"), "no"),
    (NotSupportedByHost("no"), "no"),
    (InvalidParamsError("no"), "no"),
    (InternalError("no", data=[1]), "no"),
    (PeerClosedError("gone"), "gone"),
]


@pytest.mark.parametrize(("error", "sentence"), EXAMPLES, ids=lambda e: repr(e)[:60])
def test_an_error_says_its_fields_in_one_sentence(error: NuxtQueueError, sentence: str) -> None:
    assert str(error) == sentence
    assert error.message == sentence


@pytest.mark.parametrize("error", [e for e, _ in EXAMPLES], ids=lambda e: repr(e)[:60])
def test_an_error_survives_a_pickle_and_a_copy(error: NuxtQueueError) -> None:
    """Fields are constructor arguments, so that an error can cross a process."""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.args == error.args
        assert vars(again) == vars(error)


def test_each_class_has_an_example() -> None:
    only_a_base = {JobError.__name__}
    assert {type(error).__name__ for error, _ in EXAMPLES} == set(errors.__all__) - only_a_base


def test_a_timeout_is_also_python_s_timeout_error() -> None:
    with pytest.raises(TimeoutError):
        raise WorkerTimeoutError("j1", 5)


def test_a_refused_value_is_also_python_s_value_error() -> None:
    with pytest.raises(ValueError, match="is NaN"):
        raise ValuePathError("result", "is NaN")


def test_a_job_error_says_where_the_job_failed() -> None:
    data: dict[str, Any] = {"phase": "import", "traceback": "Traceback ..."}
    error = HandlerError("j1", "ImportError", "no module", data)
    assert WorkerStartError("j1", ["x"], "no").phase == "spawn"
    assert WorkerCrashedError("j1", "no").phase == "run"
    assert WorkerTimeoutError("j1", 5).phase == "run"
    assert HandlerError("j1", "E", "").phase == "run"
    assert error.phase == "import"
    assert error.traceback == "Traceback ..."
    assert error.job_id == "j1"


def test_an_error_of_the_wire_keeps_an_unusual_code() -> None:
    assert RpcError("no").code == -32000
    assert RpcError("busy", code=-32001).code == -32001
    assert RpcError.code == -32000
