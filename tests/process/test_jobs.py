"""A job in a process of its own: what the handler gets, and what comes back."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.errors import ConfigError, HandlerError, ValuePathError, WorkerStartError
from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.services.scope import Scope
from tests.process.conftest import BOTH_WAYS, SCOPE, WAIT_S, WORKERS, Host

HOSTS = BOTH_WAYS


@pytest.mark.parametrize("worker", ["echo.py", "async_echo.py"])
async def test_a_worker_answers_with_or_without_a_run_worker_of_its_own(
    host: Host, worker: str
) -> None:
    """host-contract 7 row 5."""
    assert await host.run(worker, {"x": [1, None]}) == {"x": [1, None]}


async def test_a_worker_may_end_in_asyncio_run(host: Host) -> None:
    """D3 and host-contract 7 row 4."""
    assert await host.run("asyncio_run.py", {"x": 1}) == {"seen": {"x": 1}}
    assert await host.logs() == ["handling"]
    assert await host.state.get("run1", "seen") == {"x": 1}


async def test_a_handler_gets_the_envelope_and_the_whole_context(host: Host) -> None:
    """D4, and host-contract 7 rows 15 and 16."""
    scope = Scope("j", "q", "r", "f", "s", "r__s__attempt-3", 3, {"t": 1}, {"type": "event"})

    got = await host.run("says_who_it_is.py", {"x": 1}, scope=scope)

    assert got["job"] == {
        "id": "j",
        "name": "train",
        "data": {"x": 1},
        "attemptsMade": 0,
        "opts": {},
    }
    assert got["context"] == {
        "jobId": "j",
        "queue": "q",
        "flowId": "r",
        "flowName": "f",
        "stepName": "s",
        "stepId": "r__s__attempt-3",
        "attempt": 3,
        "trigger": {"t": 1},
        "awaitConfig": {"type": "event"},
    }


async def test_a_worker_runs_as_the_main_program_of_its_own_group(host: Host) -> None:
    """Section G 1 and 2 of the faults: its folder at the end of the path."""
    got = await host.run("says_who_it_is.py")

    worker = str(WORKERS / "says_who_it_is.py")
    assert (got["name"], got["file"], got["main"]) == ("__main__", worker, worker)
    assert got["argv"] == [worker]
    assert got["cwd"] == got["path"][-1] == str(WORKERS)
    assert got["leads_its_group"]


VALUES: list[Any] = [
    None,
    0,
    False,
    "",
    [],
    {},
    -0.0,
    5e-324,
    1e308,
    0.1 + 0.2,
    2**53 + 1,
    2**64,
    10**400,
    "\u2028\u2029\u0085\x0b\x0c\x1c\r\n\0\x7f",
    "é😀\ufeff\uffff",
    {"": {"\0": ["\u2028"]}},
    {"jsonrpc": "2.0", "id": 1, "result": "FORGED"},
    {"error": {"code": 1, "message": "m"}},
    {"result": 1},
    {"jsonrpc": "2.0", "method": "ctx.state.set", "params": {}},
    [[[[[[]]]]]],
]


async def test_any_value_comes_back_as_it_was(host: Host) -> None:
    """Faults 31, 36, 37, 38 and 42: the job goes there and the result comes back, byte for byte."""
    assert repr(await host.run("echo.py", VALUES)) == repr(VALUES)


@pytest.mark.parametrize("value", [None, 0, False, "", {"error": 1}], ids=repr)
async def test_a_result_that_looks_like_none_is_a_result(host: Host, value: Any) -> None:
    """Faults 42 and host-contract 7 row 10."""
    assert repr(await host.run("async_echo.py", value)) == repr(value)


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 1 << 20])
async def test_a_large_value_comes_back_whole(host: Host, size: int) -> None:
    """Faults 25, and host-contract 7 rows 8 and 22: lines on both sides of the pipe's buffer."""
    overhead = len('{"jsonrpc":"2.0","result":"","id":1}')
    for length in (size - overhead - 1, size - overhead, size):
        text = "x" * length
        assert await host.run("echo.py", text) == text


async def test_two_jobs_at_once_in_one_runner_share_nothing(host: Host, tmp_path: Path) -> None:
    """host-contract 7 row 6: state, log lines and processes are apart."""
    handler = host.runner("meets_another.py").create_handler()

    async def run(n: int) -> Any:
        job = {"id": f"job{n}", "data": {"n": n, "meet": str(tmp_path)}}
        scope = Scope(f"job{n}", "q", f"run{n}", "f", "s")
        return await handler(job, host.service.for_job(scope))

    async with asyncio.timeout(WAIT_S):
        one, two = await asyncio.gather(run(1), run(2))

    assert (one["mine"], one["job"], two["mine"], two["job"]) == (1, "job1", 2, "job2")
    assert one["pid"] != two["pid"]
    assert [len(await host.logs(f"run{n}")) for n in (1, 2)] == [1, 1]


async def test_a_job_loads_little_of_the_standard_library(host: Host) -> None:
    """Section 0 row 4 of the faults: a plain handler pays for no event loop."""
    modules = set(await host.run("lists_modules.py", process="spawn"))

    for name in (
        "asyncio",
        "logging",
        "inspect",
        "typing",
        "dataclasses",
        "traceback",
        "threading",
    ):
        assert name not in modules


async def test_a_worker_needs_nothing_installed(host: Host, tmp_path: Path) -> None:
    """The runner lends it its own copy of the SDK, and no other package."""
    worker = tmp_path / "bare.py"
    worker.write_text(
        "from nuxt_queue import define_worker\n"
        "import sys\n"
        "@define_worker\n"
        "def handler(job, ctx):\n"
        "    return [p for p in sys.path if p.endswith('site-packages')]\n"
    )
    assert await host.run(worker, args=("-S",)) == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("nan", "ValuePathError: result.a[3].loss is NaN"),
        ("object", "ValuePathError: result.model is of type Odd"),
        ("coroutine", "ValuePathError: result[0] is a coroutine: `await` it first"),
        ("deep", "ValuePathError: result[0]"),
        ("raises", "SystemExit: 5"),
    ],
)
async def test_a_result_that_json_cannot_hold_fails_with_its_place(
    host: Host, data: str, says: str
) -> None:
    """Faults 9, 35, 39 and 41."""
    with pytest.raises(HandlerError) as caught:
        await host.run("returns_anything.py", data)
    assert str(caught.value).startswith(says)


async def test_a_result_of_another_type_has_its_one_form(host: Host) -> None:
    assert await host.run("returns_anything.py", "path") == ["model.bin"]


async def test_a_job_that_json_cannot_hold_starts_no_process(host: Host) -> None:
    with pytest.raises(ValuePathError, match=r"^job\.data\.x is NaN"):
        await host.run("echo.py", {"x": float("nan")})
    assert await host.events("process.started") == []


# The least that answers a job, with its own path.
PERL = """
use JSON::PP;
my $id = decode_json(scalar <STDIN>)->{id};
utf8::decode(my $path = $0);
print encode_json({ jsonrpc => '2.0', id => $id, result => $path }), "\\n";
"""


async def test_a_worker_may_lie_anywhere(host: Host, tmp_path: Path) -> None:
    """Faults 91: no shell ever sees the path, whatever the runtime."""
    names = [
        "a b.py",
        "é😀.py",
        "new\nline.py",
        "quote'\".py",
        "$(x).py",
        "-c.py",
        "#.py",
        "x" * 252 + ".py",
        "`id`.py",
        "a;b&c|d.py",
        "*?[x].py",
        "back\\slash\t.py",
        " lead.py",
    ]
    for name in names:
        worker = tmp_path / f"dir {len(name)}" / name
        worker.parent.mkdir(exist_ok=True)
        worker.write_text("def handler(job, ctx): return __file__")
        assert await host.run(worker) == str(worker)
        worker.write_text(PERL, "utf-8")
        assert await host.run(worker, runtime="perl", command=("perl",)) == str(worker)


async def test_a_worker_may_be_a_link(host: Host, tmp_path: Path) -> None:
    link = tmp_path / "link.py"
    link.symlink_to(WORKERS / "echo.py")
    assert await host.run(link, 5) == 5


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timeout_ms": 0}, "timeout is 0; give milliseconds above 0"),
        ({"timeout_ms": -5}, "timeout is -5; give milliseconds above 0"),
        ({"timeout_ms": None}, "timeout is None; give milliseconds above 0"),
        ({"timeout_ms": float("inf")}, "timeout is inf; give milliseconds above 0"),
        ({"timeout_ms": "5"}, "timeout is '5'; give milliseconds above 0"),
        ({"timeout_ms": True}, "timeout is True; give milliseconds above 0"),
        ({"timeout_ms": 1.5}, "timeout is 1.5; give milliseconds above 0"),
        ({"runtime": "ruby"}, "unknown runtime 'ruby'"),
        ({"worker_path": WORKERS}, "is a directory; give the path of a worker file"),
        ({"worker_path": "no such.py"}, "the worker no such.py does not exist"),
    ],
    ids=repr,
)
def test_settings_that_cannot_work_are_refused_at_once(options: dict[str, Any], says: str) -> None:
    """Faults 16 and 90."""
    with pytest.raises(ConfigError) as caught:
        ChildProcessRunner(**{"worker_path": WORKERS / "echo.py", **options})
    assert says in str(caught.value)


async def test_a_python_that_is_not_there_is_named(host: Host, tmp_path: Path) -> None:
    """Faults 90 and host-contract 7 row 7: the job fails, the host does not."""
    for python, says in (
        (str(tmp_path / "no python"), "No such file or directory"),
        (str(tmp_path), "Permission denied"),
    ):
        with pytest.raises(WorkerStartError, match=says) as caught:
            await host.run("echo.py", command=(python,))
        assert str(caught.value).startswith(f"cannot start {python}: ")
        assert caught.value.phase == "spawn"


async def test_a_worker_that_is_gone_when_its_job_comes_is_named(
    host: Host, tmp_path: Path
) -> None:
    """Faults 91: deleted between registration and run."""
    worker = tmp_path / "gone" / "worker.py"
    worker.parent.mkdir()
    worker.write_text("def handler(job, ctx): return 1")
    handler = host.runner(worker).create_handler()
    worker.unlink()
    with pytest.raises(HandlerError, match=r"FileNotFoundError: .*worker\.py") as caught:
        await handler({"id": "1", "data": None}, host.service.for_job(SCOPE))
    assert caught.value.phase == "import"
    worker.parent.rmdir()
    with pytest.raises(WorkerStartError, match=r"its folder .* does not exist"):
        await handler({"id": "1", "data": None}, host.service.for_job(SCOPE))


async def test_another_python_may_be_named(host: Host) -> None:
    got = await host.run("says_who_it_is.py", command=(sys.executable,), args=("-X", "utf8"))
    assert got["name"] == "__main__"


async def test_thirty_jobs_leave_nothing_behind(host: Host) -> None:
    """Faults 20: no zombie, no descriptor; the fixture looks after the last one."""
    runner = host.runner("echo.py").create_handler()

    async def run(n: int) -> Any:
        return await runner({"id": str(n), "data": n}, host.service.for_job(SCOPE))

    async with asyncio.timeout(WAIT_S):
        for start in range(0, 30, 6):
            batch = range(start, start + 6)
            assert list(await asyncio.gather(*map(run, batch))) == list(batch)
