"""A job's process as a copy of a fork server: what is shared, what is not, and what is left."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.app import open_app
from nuxt_queue.errors import ConfigError, HandlerError, WorkerCrashedError, WorkerStartError
from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.runner.forked import ForkedProcesses
from nuxt_queue.runner.sweep import kill_marked, marks_of
from nuxt_queue.services.scope import Scope
from tests.process.conftest import QUICK, WAIT_S, WORKERS, Host, children, is_alive, settled
from tests.process.test_parent_death import survivors_of_a_killed_parent
from tests.pythons import newer_pythons

HOSTS = ("fork",)

TELLS = """
import os, random, sys
was_loaded = sorted({"decimal", "colorsys"} & set(sys.modules))
config = {"queue": "tells"}

def handler(job, ctx):
    import decimal
    seen = getattr(decimal, "seen", 0)
    decimal.seen = seen + 1
    return {
        "loaded": was_loaded, "seen": seen, "parent": os.getppid(), "pid": os.getpid(),
        "random": random.random(), "orphans": os.environ.get("NQ_WIRE_FDS"),
        "open": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
        "ignored": open("/proc/self/status").read().partition("SigIgn:")[2].split()[0],
    }
"""


def worker(host: Host, text: str, name: str = "worker.py") -> Path:
    """Write a worker file."""
    path = host.folder / name
    path.write_text(text)
    return path


def running(host: Host, runner: ChildProcessRunner, data: Any, n: int = 1) -> asyncio.Task[Any]:
    """Start a job of a run of its own."""
    context = host.service.for_job(Scope(f"job{n}", "q", f"run{n}", "f", "s"))
    return asyncio.create_task(settled(runner.execute({"id": str(n), "data": data}, context)))


async def job(host: Host, runner: ChildProcessRunner, data: Any = None) -> Any:
    """Run a job and return its result."""
    outcome = await running(host, runner, data)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def children_of(server: int) -> list[str]:
    """List the children of a fork server, zombies too; one is always made ahead."""
    return Path(f"/proc/{server}/task/{server}/children").read_text().split()


async def until(is_true: Any) -> None:
    """Wait until something that nobody tells us of is true."""
    async with asyncio.timeout(WAIT_S):
        while not is_true():  # noqa: ASYNC110 the kernel has no event for it
            await asyncio.sleep(0.01)


async def made_ahead(runner: ChildProcessRunner) -> None:
    """Wait until the copy for the next job is there."""
    source = runner.processes
    assert isinstance(source, ForkedProcesses)
    await until(lambda: source._ahead is not None and source._ahead.done())


async def test_what_is_preloaded_is_there_and_each_job_has_it_as_it_was(host: Host) -> None:
    """Peers 3: nothing that a job does to a module reaches the next."""
    runner = host.runner(worker(host, TELLS), preload=["decimal"])
    jobs = [await job(host, runner) for _ in range(3)]
    assert [got["loaded"] for got in jobs] == [["decimal"]] * 3
    assert [got["seen"] for got in jobs] == [0, 0, 0]
    assert len({got["parent"] for got in jobs}) == 1
    assert len({got["pid"] for got in jobs}) == 3
    assert len({got["random"] for got in jobs}) == 3


async def test_a_copy_has_what_a_fresh_process_has_and_no_more(host: Host) -> None:
    """The server's descriptors, ignored signals and variables stay with the server."""
    path = worker(host, TELLS)
    fresh, copy = [await job(host, host.runner(path, process=way)) for way in ("spawn", "fork")]
    assert len(copy["open"]) == len(fresh["open"])
    assert copy["ignored"] == fresh["ignored"]
    assert copy["orphans"] is None


HOLDS = """
import atexit, mmap, os, random, socket, tempfile, weakref
import numpy
folder = tempfile.TemporaryDirectory(dir=".")
atexit.register(lambda: open("hooks", "a").write("server\\n"))
reads = open("records")
binary = open("records", "rb", buffering=0)
writes = open("shared.log", "w"); writes.write("from the import\\n")
ours, theirs = socket.socketpair()
mapped = mmap.mmap(os.open("mapped", os.O_RDWR), 4)
unseeded, seeded = random.Random(), random.Random(7)
generator, fixed = numpy.random.default_rng(), numpy.random.default_rng(7)
legacy, legacy_fixed = numpy.random.RandomState(), numpy.random.RandomState(7)
"""

USES = """
import atexit, os, tempfile
import holds

def handler(job, ctx):
    kept = tempfile.TemporaryDirectory(dir=".")
    atexit.register(lambda: open("hooks", "a").write("job\\n"))
    holds.writes.write("from a job\\n")
    return {
        "lines": [holds.reads.readline(), holds.binary.read(3).decode()],
        "drawn": [holds.unseeded.random(), holds.generator.random(), holds.legacy.rand()],
        "fixed": [holds.seeded.random(), holds.fixed.random(), holds.legacy_fixed.rand()],
        "folder": os.path.isdir(holds.folder.name), "own": kept.name,
    }
"""


async def test_what_is_preloaded_is_kept_apart_or_named(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    for name, text in (("holds.py", HOLDS), ("records", "one\ntwo\n"), ("mapped", "1234")):
        (host.folder / name).write_text(text)
    runner = host.runner(
        worker(host, USES),
        preload=["holds"],
        env={"PYTHONPATH": str(host.folder)},
        cwd=host.folder,
    )
    jobs = [await job(host, runner) for _ in range(3)]
    folders = [each for each in host.folder.iterdir() if each.name.startswith("tmp")]
    assert len(folders) == 1  # the server's; each job's own went with the job
    await runner.close()

    assert [each["lines"] for each in jobs] == [["one\n", "one"]] * 3
    assert [each["folder"] for each in jobs] == [True] * 3
    for n in range(3):
        assert len({each["drawn"][n] for each in jobs}) == 3
        assert len({each["fixed"][n] for each in jobs}) == 1
    assert (host.folder / "hooks").read_text().split() == ["job"] * 3 + ["server"]
    assert (host.folder / "shared.log").read_text().splitlines() == [
        "from the import",
        *["from a job"] * 3,
    ]
    assert not folders[0].exists()
    warned = [record.getMessage() for record in caplog.records]
    for what, count in (("shared.log for writing", 1), ("socket:[", 2)):
        assert len([line for line in warned if what in line]) == count, what
    assert [line for line in warned if "has mapped" in line and "/mapped into memory" in line]
    assert not any("records" in line for line in warned)


async def test_random_numbers_of_numpy_are_not_those_of_the_last_job(host: Host) -> None:
    """A copy of its generator would give every job the same numbers."""
    text = "import numpy\ndef handler(job, ctx): return numpy.random.random()\n"
    runner = host.runner(worker(host, text), preload=["numpy.random"])
    assert len({await job(host, runner) for _ in range(4)}) == 4


async def test_workers_that_are_started_alike_share_a_server(host: Host) -> None:
    one, two = worker(host, TELLS), worker(host, TELLS, "two.py")
    runners = [
        host.runner(one),
        host.runner(two),
        host.runner(two, env={"A": "1"}),
        host.runner(two, preload=["decimal"]),
    ]
    parents = [(await job(host, runner))["parent"] for runner in runners]
    assert parents[0] == parents[1]
    assert len(set(parents)) == 3
    await runners[0].close()
    assert is_alive(parents[0])
    await runners[1].close()
    assert not is_alive(parents[0])
    assert is_alive(parents[2])


async def test_a_server_outlives_its_runner_for_the_jobs_that_run(host: Host) -> None:
    """And a runner that has been closed can still run jobs, one at a time."""
    started = asyncio.Event()
    host.on("log", lambda _data: started.set())
    runner = host.runner("takes_too_long.py", timeout_ms=1_000, timeouts=QUICK)
    running_job = running(host, runner, "sleep")
    await asyncio.wait_for(started.wait(), WAIT_S)
    await runner.close()
    assert len(children()) == 1
    assert str(await running_job) == "Worker timeout after 1000ms"
    assert children() == []

    closed = host.runner("echo.py")
    await closed.close()
    assert await job(host, closed, 5) == 5
    assert children() == []


async def test_a_server_that_was_killed_is_replaced_and_its_jobs_go_on(host: Host) -> None:
    """Only how a job's process ended is lost with it."""
    text = (
        "import os, sys, time\n"
        "def handler(job, ctx):\n"
        "    ctx.logger.info('ready', {'parent': os.getppid()})\n"
        "    while os.getppid() == job['data']['parent']: time.sleep(0.01)\n"
        "    if job['data']['how'] == 'die': os._exit(3)\n"
        "    return job['data']['how']\n"
    )
    ready: asyncio.Queue[int] = asyncio.Queue()
    host.on("log", lambda data: ready.put_nowait(data.get("parent", 0)))
    runner = host.runner(worker(host, text))
    (server,) = {(await job(host, host.runner(worker(host, TELLS, "tells.py"))))["parent"]}
    jobs = [
        running(host, runner, {"parent": server, "how": how}, n)
        for n, how in enumerate(("return", "die"))
    ]
    for _ in jobs:
        assert await asyncio.wait_for(ready.get(), WAIT_S) == server
    os.kill(server, signal.SIGKILL)
    returned, died = await asyncio.gather(*jobs)
    assert returned == "return"
    assert type(died) is WorkerCrashedError
    assert died.reason == "closed the protocol channel"
    assert died.returncode is None

    again = await job(host, host.runner(host.folder / "tells.py"))
    assert again["parent"] != server


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGKILL"])
@pytest.mark.parametrize("whom", ["copy", "server"])
async def test_a_signal_between_jobs_costs_no_job(host: Host, name: str, whom: str) -> None:
    """To the copy that was made ahead, or to the fork server."""
    runner = host.runner(worker(host, TELLS))
    server = (await job(host, runner))["parent"]
    await made_ahead(runner)
    (ahead,) = children_of(server)
    os.kill(server if whom == "server" else int(ahead), getattr(signal, name))
    if name in {"SIGUSR1", "SIGKILL"} and whom == "copy":
        while is_alive(int(ahead)):  # not through the loop, which must not have heard of it
            time.sleep(0.001)  # noqa: ASYNC251
    for _ in range(2):
        assert (await job(host, runner))["loaded"] is not None


async def test_a_server_does_not_mind_the_signals_of_a_stop(host: Host) -> None:
    """Faults 55: a service is stopped with a signal to each of its processes."""
    runner = host.runner(worker(host, TELLS))
    server = (await job(host, runner))["parent"]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(server, number)
    assert (await job(host, runner))["parent"] == server


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("no_such_module", "cannot preload no_such_module: ModuleNotFoundError: No module named"),
        ("raises", "cannot preload raises: ValueError: not today"),
        ("exits", "cannot preload exits: SystemExit: 3"),
        ("threads", "preloading has started threads, which no copy has: Ticker"),
    ],
)
async def test_a_module_that_cannot_be_preloaded_is_told_of_and_costs_no_job(
    host: Host, module: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name, text in (
        ("raises", "raise ValueError('not today')"),
        ("exits", "import sys; sys.exit(3)"),
        (
            "threads",
            (
                "import threading, time\n"
                "threading.Thread(target=time.sleep, args=(60,), name='Ticker', daemon=True)"
                ".start()"
            ),
        ),
    ):
        (host.folder / f"{name}.py").write_text(text)
    runner = host.runner("echo.py", preload=[module], env={"PYTHONPATH": str(host.folder)})
    assert await job(host, runner, 1) == 1
    assert says in caplog.text


async def test_a_server_that_cannot_start_fails_its_jobs_with_its_last_words(host: Host) -> None:
    """And it is tried again for the next."""
    (host.folder / "dies.py").write_text(
        "import os, sys\nif not os.path.exists('mended'):\n"
        "    print('no licence', file=sys.stderr, flush=True)\n    os._exit(7)\n"
    )
    options = {"env": {"PYTHONPATH": str(host.folder)}, "cwd": host.folder}
    runner = host.runner("echo.py", preload=["dies"], **options)
    outcomes = await asyncio.gather(*(running(host, runner, n, n) for n in range(3)))
    assert {type(outcome) for outcome in outcomes} == {WorkerStartError}
    assert str(outcomes[0]).endswith(
        "its fork server exited with code 7; its last words: no licence"
    )
    (host.folder / "mended").touch()
    assert await job(host, runner, 1) == 1


async def test_a_job_that_is_cancelled_while_its_server_starts_leaves_nothing(host: Host) -> None:
    (host.folder / "slow.py").write_text("import time\ntime.sleep(0.3)\n")
    options = {"env": {"PYTHONPATH": str(host.folder)}, "timeouts": QUICK}
    runner = host.runner("echo.py", preload=["slow"], **options)
    given_up, waited_for = running(host, runner, 1, 1), running(host, runner, 2, 2)
    await asyncio.sleep(0.05)  # the fault itself: while it imports
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert await waited_for == 2


async def test_a_copy_that_was_made_for_a_cancelled_job_is_reaped(host: Host) -> None:
    """At whatever moment it is cancelled: also between the question and the copy."""
    runner = host.runner(worker(host, TELLS), timeouts=QUICK)
    server = (await job(host, runner))["parent"]
    for turns in range(40):
        given_up = running(host, runner, 1, 1)
        for _ in range(1 + turns // 4):
            await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
    assert (await job(host, runner))["parent"] == server
    await until(lambda: len(children_of(server)) == 1)


async def test_a_server_that_is_stuck_is_killed_and_replaced(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that waits for a lock in a copy, for instance: nothing waits for it without a bound."""
    monkeypatch.setattr("nuxt_queue.runner.forkserver._ANSWER_S", 0.3)
    runner = host.runner(worker(host, TELLS))
    server = (await job(host, runner))["parent"]
    await made_ahead(runner)
    os.kill(server, signal.SIGSTOP)
    assert (await job(host, runner))["parent"] == server  # it was made ahead, and ends without it
    await until(lambda: not is_alive(server))
    assert (await job(host, runner))["parent"] != server


async def test_a_fork_that_the_system_refuses_is_a_start_that_failed(host: Host) -> None:
    """Faults 93: too many processes, for example; the next may succeed."""
    (host.folder / "refuses.py").write_text(
        "import errno, os\nfork = os.fork\n"
        "def refuse():\n"
        "    if os.path.exists('full'): raise BlockingIOError(errno.EAGAIN, 'no')\n"
        "    return fork()\n"
        "os.fork = refuse\n"
    )
    (host.folder / "full").touch()
    environment = {"PYTHONPATH": str(host.folder)}
    runner = host.runner("echo.py", preload=["refuses"], env=environment, cwd=host.folder)
    with pytest.raises(WorkerStartError, match="Resource temporarily unavailable"):
        await job(host, runner, 1)
    (host.folder / "full").unlink()
    assert await job(host, runner, 1) == 1


@pytest.mark.parametrize("python", newer_pythons())
async def test_newer_pythons_make_copies_too(host: Host, python: str) -> None:
    """From 3.12 on Python warns of a fork beside threads, which may be an error."""
    (host.folder / "ticks.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    text = "import os\ndef handler(job, ctx): return [job['data'], os.getppid()]\n"
    runner = host.runner(
        worker(host, text),
        command=(python,),
        args=("-W", "error"),
        preload=["ticks"],
        env={"PYTHONPATH": str(host.folder)},
    )
    jobs = [await job(host, runner, n) for n in range(3)]
    assert [data for data, _ in jobs] == [0, 1, 2]
    assert len({parent for _, parent in jobs}) == 1


async def test_a_folder_that_is_gone_is_named(host: Host) -> None:
    runner = host.runner("echo.py", cwd=host.folder / "gone")
    with pytest.raises(WorkerStartError, match=r"its folder .*gone does not exist"):
        await job(host, runner)


async def test_a_copy_writes_out_what_it_left_open_and_calls_its_hooks(host: Host) -> None:
    """It ends before the interpreter would take itself down, and nothing of its own is lost."""
    text = (
        "import atexit, gzip, sys, threading, time\n"
        "sys.stdout.write('no newline')\n"
        "class Holder: pass\n"
        "def late():\n"
        "    time.sleep(0.05)\n"
        "    Holder.thread.write('from a thread')\n"
        "def handler(job, ctx):\n"
        "    Holder.plain = open('plain', 'w'); Holder.plain.write('é' * 3)\n"
        "    Holder.packed = gzip.open('packed', 'wt'); Holder.packed.write('packed')\n"
        "    Holder.hook = open('hook', 'w'); atexit.register(Holder.hook.write, 'from a hook')\n"
        "    Holder.thread = open('thread', 'w'); threading.Thread(target=late).start()\n"
        "    atexit.register(sys.stdout.write, ' at all')\n"
        "    Holder.closed = open('closed', 'w'); Holder.closed.close()\n"
    )
    runner = host.runner(worker(host, text), preload=["gzip", "threading"])
    await job(host, runner)
    written = {name: (host.folder / name).read_text() for name in ("plain", "hook", "thread")}
    assert written == {"plain": "ééé", "hook": "from a hook", "thread": "from a thread"}
    assert gzip.decompress((host.folder / "packed").read_bytes()) == b"packed"
    assert await host.logs("run1") == ["no newline at all"]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("run_worker(handler)\nimport sys; sys.exit(3)", "exited with code 3"),
        ("run_worker(handler)\nraise ValueError('afterwards')", "exited with code 1"),
        ("run_worker(handler)\nimport sys; sys.exit('sorry')", "exited with code 1"),
        ("run_worker(handler)\nimport sys; sys.exit(0)", None),
    ],
)
async def test_an_exit_code_of_a_copy_is_what_python_would_make_it(
    host: Host, text: str, warning: str | None
) -> None:
    """Its server reaps it and tells."""
    head = "from nuxt_queue import run_worker\ndef handler(job, ctx): return 1\n"
    assert await job(host, host.runner(worker(host, head + text))) == 1
    warnings = [line for line in await host.logs("run1") if line.startswith("the worker")]
    assert warnings == ([f"the worker {warning} after its answer"] if warning else [])


async def test_exit_codes_reach_a_host_that_ignores_sigchld(host: Host) -> None:
    """Faults 58: they are lost for processes of its own."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        runner = host.runner("dies_by_signal.py")
        with pytest.raises(WorkerCrashedError, match=r"was killed by SIGKILL \(9\)"):
            await job(host, runner, "oom")
        text = "import signal\ndef handler(job, ctx): return int(signal.getsignal(17))\n"
        assert await job(host, host.runner(worker(host, text))) == int(signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGCHLD, before)


async def test_what_escaped_from_one_job_is_not_taken_for_another_s(host: Host) -> None:
    """Both are forks of one server, and what they fork leaves their groups without any exec."""
    runner = host.runner(WORKERS / "lets_processes_escape.py", timeout_ms=2_500, timeouts=QUICK)
    hangs = running(host, runner, "hang", 1)
    async with asyncio.timeout(WAIT_S):
        while len(await host.state.all("run1")) < 3:  # noqa: ASYNC110 it tells us when it has three
            await asyncio.sleep(0.01)
    first = await host.state.all("run1")
    assert await running(host, runner, "return", 2) == "return"
    second = await host.state.all("run2")
    assert not any(map(is_alive, second.values()))
    assert all(map(is_alive, first.values()))
    await hangs
    assert not any(map(is_alive, first.values()))


async def test_a_mark_of_a_copy_kills_neither_its_server_nor_other_copies(host: Host) -> None:
    """All of them are made by one server, which has a mark too."""
    pids: asyncio.Queue[str] = asyncio.Queue()
    host.on("log", lambda data: pids.put_nowait(data["message"]))
    text = (
        "import os, time\n"
        "def handler(job, ctx):\n"
        "    ctx.logger.info(str(os.getpid()))\n"
        "    while not os.path.exists('go'): time.sleep(0.01)\n"
        "    return 'went on'\n"
    )
    runner = host.runner(worker(host, text))
    one = running(host, runner, None, 1)
    mark = min(marks_of(int(await asyncio.wait_for(pids.get(), WAIT_S))))
    two = running(host, runner, None, 2)
    await asyncio.wait_for(pids.get(), WAIT_S)
    assert await asyncio.to_thread(kill_marked, range(mark, mark + 1)) == 1
    assert type(await one) is WorkerCrashedError
    (host.folder / "go").touch()
    assert await two == "went on"


async def test_nothing_survives_a_killed_parent_its_fork_server_included() -> None:
    """Performance D9: stuck in C, stopped, deaf, each with a child and one that left."""
    for _ in range(3):
        assert await survivors_of_a_killed_parent("1", "--copies", count=13) == []


async def test_a_thousand_copies_leave_nothing_behind(host: Host) -> None:
    """Faults 20: no zombie, no process, no descriptor, in the server neither."""
    runner = host.runner(worker(host, TELLS))
    first = await job(host, runner)
    server = first["parent"]

    def footprint() -> tuple[int, int, int, list[int]]:
        ours, its = (len([*Path(f"/proc/{pid}/fd").iterdir()]) for pid in ("self", server))
        return ours, its, len(children_of(server)), children()

    await made_ahead(runner)
    before = footprint()
    assert before[2:] == (1, [server])
    free = asyncio.Semaphore(6)

    async def one(n: int) -> Any:
        async with free:
            return await running(host, runner, n, n)

    async with asyncio.timeout(50):
        jobs = await asyncio.gather(*(one(n) for n in range(1_000)))
    assert {got["parent"] for got in jobs} == {server}
    assert {len(got["open"]) for got in jobs} == {len(first["open"])}
    await until(lambda: footprint() == before)


async def test_a_project_says_that_its_workers_are_forked(tmp_path: Path, host: Host) -> None:
    """The settings reach the processes of a served folder, and leave with it."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.nuxt-queue.runtimes.python]\nprocess = "fork"\npreload = ["decimal"]\n'
    )
    worker(host, TELLS, "tells.py")
    async with open_app(tmp_path) as app:
        assert app.workers.problems == []
        results: asyncio.Queue[Any] = asyncio.Queue()
        app.manager.on("tells", "completed", lambda event: results.put_nowait(event.returnvalue))
        for _ in range(2):
            await app.manager.enqueue("tells", "tells", {})
        one, two = [await asyncio.wait_for(results.get(), WAIT_S) for _ in range(2)]
    assert one["loaded"] == ["decimal"]
    assert one["parent"] == two["parent"]
    assert not is_alive(one["parent"])


@pytest.mark.parametrize(
    ("runtime", "options", "says"),
    [
        ("node", {}, 'runtimes.node.process is "fork", which only Python can; use "reuse"'),
        ("perl", {"command": ("perl",)}, "its command runs one job and ends"),
    ],
)
async def test_what_cannot_be_forked_is_refused_by_name(
    host: Host, runtime: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        host.runner("echo.py", runtime=runtime, process="fork", **options)


async def test_macos_is_refused_with_a_reason(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ConfigError, match="which is for Linux: on macOS a copy of a process"):
        host.runner("echo.py")
    with contextlib.suppress(HandlerError):
        await host.run("echo.py", 1, process="spawn")
