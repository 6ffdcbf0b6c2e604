"""A process that dies: the job fails at once, with the cause and the last words (faults A1)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from typing import Any

import pytest

from nuxt_queue.errors import HandlerError, WorkerCrashedError
from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.services.state import MemoryStateStore
from tests.process.conftest import BOTH_WAYS, QUICK, SCOPE, WAIT_S, Host, settled

HOSTS = BOTH_WAYS


@pytest.mark.parametrize(
    ("how", "name", "number"),
    [
        ("kill", "SIGSEGV", 11),
        ("null", "SIGSEGV", 11),
        ("faulthandler", "SIGSEGV", 11),
        ("abort", "SIGABRT", 6),
        ("oom", "SIGKILL", 9),
    ],
)
async def test_a_signal_is_named_with_the_last_words(
    host: Host, how: str, name: str, number: int
) -> None:
    """Faults 1 and 7."""
    with pytest.raises(WorkerCrashedError) as caught:
        await host.run("dies_by_signal.py", how)

    assert caught.value.reason == f"was killed by {name} ({number})"
    assert caught.value.returncode == -number
    assert "last words" in caught.value.stderr_tail
    assert str(caught.value).startswith(f"worker process was killed by {name} ({number}); its last")
    assert caught.value.phase == "run"
    assert caught.value.duration_ms is not None


@pytest.mark.parametrize("code", [0, 1, 7, 255, 300])
async def test_an_exit_without_a_result_is_a_failure_whatever_its_code(
    host: Host, code: int
) -> None:
    """Faults 2 and 3, and host-contract 7 row 7; 300 is shown as the 44 that the system keeps."""
    with pytest.raises(WorkerCrashedError) as caught:
        await host.run("exits_early.py", code)

    assert str(caught.value) == (
        f"worker process exited with code {code & 255} without a result; its last words: last words"
    )
    assert caught.value.returncode == code & 255
    assert len(caught.value.stderr_tail) <= 8 * 1024
    assert "before the end" in await host.logs()
    assert len(await host.printed("stderr")) == 2_001


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ([], "SystemExit"),
        (["msg"], "SystemExit: msg"),
        ([0], "SystemExit: 0"),
        ([300], "SystemExit: 300"),
    ],
    ids=repr,
)
async def test_sys_exit_in_a_handler_is_an_error_like_any_other(
    host: Host, args: list[Any], text: str
) -> None:
    """Faults 3."""
    with pytest.raises(HandlerError) as caught:
        await host.run("calls_sys_exit.py", args)
    assert str(caught.value) == text


FORMS: dict[str, tuple[str, str]] = {
    "plain": ("KeyError", "'gone'"),
    "lock": ("HoldsALock", "cannot be pickled"),
    "str raises": ("StrRaises", "<its __str__ raised RuntimeError>"),
    "itself": ("RefersToItself", "refers to itself"),
    "huge": ("ValueError", "characters left out"),
    "deep": ("RecursionError", "maximum recursion depth exceeded"),
    "group": ("ExceptionGroup", "many (2 sub-exceptions)"),
    "cause": ("ValueError", "outer"),
    "circle": ("ValueError", "a"),
    "surrogate": ("ValueError", r"half \ud800 a pair"),
    "KeyboardInterrupt": ("KeyboardInterrupt", ""),
    "CancelledError": ("CancelledError", ""),
    "GeneratorExit": ("GeneratorExit", ""),
    "MemoryError": ("MemoryError", ""),
}


@pytest.mark.parametrize("in_a_coroutine", [False, True], ids=["plain", "coroutine"])
@pytest.mark.parametrize("form", FORMS)
async def test_an_exception_of_any_form_arrives_with_type_message_and_traceback(
    host: Host,
    form: str,
    in_a_coroutine: bool,  # noqa: FBT001 pytest fills it in
) -> None:
    """Faults 4 and 5: never silent, capped, and our own frames are not in it."""
    with pytest.raises(HandlerError) as caught:
        await host.run("raises.py", {"form": form, "async": in_a_coroutine})

    error, (name, text) = caught.value, FORMS[form]
    assert error.type == name
    assert text in error.text
    assert len(error.text) <= 65 * 1024
    assert name in error.traceback
    assert "raises.py" in error.traceback
    assert "nuxt_queue" not in error.traceback
    assert len(error.traceback) <= 130 * 1024
    assert error.phase == "run"
    assert error.data["retryable"] is True
    assert error.data["location"]["file"].endswith("raises.py")
    assert type(error.data["location"]["line"]) is int


async def test_the_cause_of_an_exception_is_told(host: Host) -> None:
    """Faults 4: the chain."""
    with pytest.raises(HandlerError) as caught:
        await host.run("raises.py", {"form": "cause", "async": False})
    assert caught.value.data["cause"] == {"type": "KeyError", "message": "'inner'"}
    assert "direct cause" in caught.value.traceback
    assert caught.value.data["location"]["function"] == "chain"


async def test_a_stop_iteration_is_a_failure(host: Host) -> None:
    with pytest.raises(HandlerError, match="StopIteration: 5"):
        await host.run("raises.py", {"form": "StopIteration", "async": False})
    with pytest.raises(HandlerError, match="RuntimeError: coroutine raised StopIteration"):
        await host.run("raises.py", {"form": "StopIteration", "async": True})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("segfaults", "was killed by SIGSEGV (11)"),
        ("exits", "exited with code 3 without a result"),
        ("list segfaults", "was killed by SIGSEGV (11)"),
        ("list exits", "exited with code 3 without a result"),
        ("set segfaults", "was killed by SIGSEGV (11)"),
        ("object exits", "exited with code 3 without a result"),
    ],
)
async def test_a_process_that_dies_of_its_result_has_failed(
    host: Host, data: str, reason: str
) -> None:
    """Faults 9: 6 of 6."""
    with pytest.raises(WorkerCrashedError) as caught:
        await host.run("returns_anything.py", data)
    assert caught.value.reason == reason


async def test_a_process_that_dies_at_import_is_told_with_its_last_words(host: Host) -> None:
    """Faults 8."""
    with pytest.raises(WorkerCrashedError) as caught:
        await host.run("dies_at_import.py")
    assert str(caught.value) == (
        "worker process exited with code 9 without a result while its file was imported;"
        " its last words: no licence found"
    )
    assert caught.value.phase == "import"


@pytest.mark.parametrize(
    ("worker", "how"),
    [
        ("dies_after_answer.py", "was killed by SIGSEGV (11)"),
        ("dies_in_atexit.py", "exited with code 7"),
    ],
)
async def test_a_process_that_dies_after_its_answer_has_completed_with_a_warning(
    host: Host, worker: str, how: str
) -> None:
    """Faults 8."""
    assert await host.run(worker) == "answered"
    assert (await host.events("log"))[-1] == {
        "level": "warn",
        "message": f"the worker {how} after its answer",
    }


async def test_a_process_killed_at_any_time_settles_its_job_once(host: Host) -> None:
    """Faults 7: killed from outside while it starts, works and writes its result."""
    chance = random.Random(7)
    runner = host.runner("takes_its_time.py")
    pids: asyncio.Queue[int] = asyncio.Queue()
    host.on("process.started", lambda data: pids.put_nowait(data["pid"]))

    async def run(delay_s: float) -> str:
        task = asyncio.create_task(
            runner.execute({"id": "1", "data": None}, host.service.for_job(SCOPE))
        )
        pid = await asyncio.wait_for(pids.get(), WAIT_S)
        await asyncio.sleep(delay_s)  # the fault itself: at a random time
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        outcome = await settled(task)
        if isinstance(outcome, WorkerCrashedError):
            assert outcome.reason == "was killed by SIGKILL (9)"
            return "failed"
        assert outcome == ["result"] * 20_000
        return "completed"

    async with asyncio.timeout(WAIT_S):
        ends = [await run(chance.random() * 0.12) for _ in range(20)]
    assert set(ends) <= {"failed", "completed"}
    assert "failed" in ends


async def test_a_line_that_was_half_written_is_never_a_result(host: Host) -> None:
    """Faults 7."""
    worker = (
        "import os, sys\n"
        "def handler(job, ctx):\n"
        "    fd = max(int(n) for n in os.listdir('/proc/self/fd') if n.isdigit() and\n"
        "             os.path.exists(f'/proc/self/fd/{n}') and int(n) > 2)\n"
        '    os.write(fd, b\'{"jsonrpc":"2.0","id":1,"result":{"half":\')\n'
        "    os._exit(0)\n"
    )
    with pytest.raises(WorkerCrashedError, match="exited with code 0 without a result"):
        await host.run(_file(host, worker))


async def test_calls_that_nobody_answers_do_not_keep_a_dead_job(host: Host) -> None:
    """Faults 48: a store that hangs and a process that dies."""
    asked = _hang(host)
    with pytest.raises(WorkerCrashedError, match="exited with code 4"):
        await host.run("asks_and_ends.py", "exit", timeouts=QUICK)
    assert asked.is_set()


async def test_calls_that_nobody_answers_do_not_keep_a_job_beyond_its_timeout(host: Host) -> None:
    """Faults 47 and 48."""
    _hang(host)
    with pytest.raises(TimeoutError, match="Worker timeout after 300ms"):
        await host.run("asks_and_ends.py", "wait", timeout_ms=300, timeouts=QUICK)


async def test_calls_that_nobody_answers_end_with_a_cancelled_job(host: Host) -> None:
    """Faults 48: the parent stops."""
    asked = _hang(host)
    job = asyncio.create_task(host.run("asks_and_ends.py", "wait", timeouts=QUICK))
    await asyncio.wait_for(asked.wait(), WAIT_S)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(job, WAIT_S)


class Hanging(MemoryStateStore):
    """A store that never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def read(self, scope_key: str, key: str) -> Any:
        """Say that it was asked, and no more."""
        del scope_key, key
        self.asked.set()
        await asyncio.Event().wait()


def _hang(host: Host) -> asyncio.Event:
    store = host.service.state = Hanging()
    return store.asked


def _file(host: Host, text: str) -> Any:
    path = host.folder / "worker.py"
    path.write_text(text)
    return path


async def test_a_job_that_is_cancelled_while_its_process_starts_leaves_nothing(host: Host) -> None:
    """The fixture looks for what is left: a process, a descriptor, a task."""
    runner: ChildProcessRunner = host.runner("echo.py", timeouts=QUICK)
    for turns in range(12):
        job = asyncio.create_task(
            runner.execute({"id": "1", "data": None}, host.service.for_job(SCOPE))
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(job, WAIT_S)
