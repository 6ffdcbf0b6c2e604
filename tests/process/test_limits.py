"""What a job may use: memory, processor time, descriptors, files, output (faults A1, A3, A11)."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.config import ProjectConfig
from nuxt_queue.errors import ConfigError, HandlerError, WorkerCrashedError
from nuxt_queue.registry import read_worker
from nuxt_queue.runner import ChildProcessRunner, Limits
from nuxt_queue.runner.endings import Endings
from nuxt_queue.runner.output import Output
from nuxt_queue.runner.run import JobRun
from nuxt_queue.worker_runner import child_runner
from tests.process.conftest import BOTH_WAYS, SCOPE, WAIT_S, WORKERS, Host

HOSTS = BOTH_WAYS

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("what", "limits", "kind", "says"),
    [
        ("memory", Limits(memory_mb=300), HandlerError, "MemoryError"),
        (
            "processor",
            Limits(cpu_seconds=1),
            WorkerCrashedError,
            "worker process was killed by SIGXCPU (24), for it had used its 1 s of processor time",
        ),
        ("descriptors", Limits(open_files=20), HandlerError, "OSError: [Errno 24] Too many open"),
        ("file", Limits(file_mb=1), HandlerError, "OSError: [Errno 27] File too large"),
    ],
)
async def test_a_job_that_uses_more_than_it_may_fails_by_name(
    host: Host, tmp_path: Path, what: str, limits: Limits, kind: type[Exception], says: str
) -> None:
    """Faults 6: 4 of 4, and this process does not grow with it."""
    before = _resident()
    with pytest.raises(kind) as caught:
        await host.run("uses_up.py", {"what": what}, limits=limits, cwd=tmp_path)
    assert str(caught.value).startswith(says)
    assert _resident() - before < 50 * MIB


async def test_a_limit_holds_for_what_the_job_starts_too(host: Host) -> None:
    """Faults 102: inherited, and for each of the five kinds."""
    limits = Limits(memory_mb=900, cpu_seconds=50, open_files=64, file_mb=7, processes=4000)
    names = ["RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_NPROC"]
    worker = host.folder / "worker.py"
    worker.write_text(
        "import json, subprocess, sys\n"
        "CODE = 'import json,resource,sys;print(json.dumps({n: resource.getrlimit(getattr('\\\n"
        "       'resource, n))[0] for n in sys.argv[1:]}))'\n"
        "def handler(job, ctx):\n"
        "    told = subprocess.run([sys.executable, '-S', '-c', CODE, *job['data']],\n"
        "                          capture_output=True, check=True)\n"
        "    return json.loads(told.stdout)\n"
    )
    assert list((await host.run(worker, names, limits=limits)).values()) == [
        900 * MIB,
        50,
        64,
        7 * MIB,
        4000,
    ]


async def test_a_limit_above_the_parent_s_own_is_the_parent_s_own(host: Host) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    data = {"what": "tells", "names": ["RLIMIT_NOFILE"]}
    got = await host.run("uses_up.py", data, limits=Limits(open_files=hard + 1))
    assert got == {"RLIMIT_NOFILE": hard}


async def test_a_worker_states_its_limits_and_its_project_the_rest(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker says comes first; variables add up; folders are below whoever states them."""
    monkeypatch.setenv("FROM_OUTSIDE", "yes")
    monkeypatch.setenv("NOT_ASKED_FOR", "yes")
    (tmp_path / "pyproject.toml").write_text(
        "[tool.nuxt-queue.runtimes.python]\n"
        "memory_mb = 800\nopen_files = 100\nmax_message = 1000\n"
        'env = {A = "project", B = "project"}\nenv_passthrough = ["FROM_OUTSIDE"]\n'
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "tells.py").write_text(
        "import os, resource\n"
        "config = {'queue': 'tells', 'worker': {'memory_mb': 700, 'env': {'A': 'worker'},\n"
        "                                       'cwd': 'data'}}\n"
        "def handler(job, ctx):\n"
        "    if job['data']: return 'x' * job['data']\n"
        "    names = ('A', 'B', 'FROM_OUTSIDE', 'NOT_ASKED_FOR')\n"
        "    return [resource.getrlimit(resource.RLIMIT_AS)[0] >> 20,\n"
        "            resource.getrlimit(resource.RLIMIT_NOFILE)[0],\n"
        "            os.path.basename(os.getcwd()), [os.environ.get(n) for n in names]]\n"
    )
    runner = child_runner(ProjectConfig.find(tmp_path), read_worker(tmp_path / "tells.py"), None)
    got = await runner.execute({"id": "1", "data": None}, host.service.for_job(SCOPE))
    assert got == [700, 100, "data", ["worker", "project", "yes", None]]
    with pytest.raises(HandlerError, match=r"result is 2,036 bytes .* allows 1,000; write a file"):
        await runner.execute({"id": "1", "data": 2000}, host.service.for_job(SCOPE))


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({"memory_mb": 0}, "config.worker.memory_mb is 0; expected a whole number of 1 or more"),
        ({"memoryMb": 5}, "config.worker.memoryMb is no known key; did you mean memory_mb?"),
        ({"cpu_seconds": 1.5}, "config.worker.cpu_seconds is 1.5; expected a whole number"),
        ({"env": {"A": 1}}, "config.worker.env.A is 1; expected a mapping of names to strings"),
        ({"env": {"A=B": "x"}}, "config.worker.env.A=B"),
        ({"env_passthrough": "HOME"}, 'config.worker.env_passthrough is "HOME"; expected a list'),
    ],
    ids=repr,
)
def test_a_limit_that_means_nothing_is_refused_with_its_place(
    tmp_path: Path, stated: dict[str, Any], says: str
) -> None:
    (tmp_path / "w.py").write_text(
        f"config = {{'queue': 'w', 'worker': {stated!r}}}\ndef handler(job, ctx): return 1\n"
    )
    with pytest.raises(Exception, match=r"config\.worker") as caught:
        read_worker(tmp_path / "w.py")
    assert says in str(caught.value)


def test_a_limit_stated_at_the_top_is_shown_its_place(tmp_path: Path) -> None:
    (tmp_path / "w.py").write_text(
        "config = {'queue': 'w', 'memory_mb': 5}\ndef handler(job, ctx): return 1\n"
    )
    with pytest.raises(Exception, match=r"did you mean config\.worker\.memory_mb\?"):
        read_worker(tmp_path / "w.py")


@pytest.mark.parametrize("name", ["timeout_ms", "max_message", "max_output"])
def test_a_runner_refuses_terms_that_cannot_be(name: str) -> None:
    terms: dict[str, Any] = {name: 0}
    with pytest.raises(ConfigError, match="is 0; give"):
        ChildProcessRunner(WORKERS / "echo.py", **terms)


FLOODS = """
import os
def handler(job, ctx):
    fd, size, line = job["data"]
    chunk = (b"x" * (line - 1) + b"\\n") * max(1, (1 << 20) // line) if line else b"x" * (1 << 20)
    for _ in range(size >> 20):
        view = memoryview(chunk)
        while view:
            view = view[os.write(fd, view):]
    return "answered"
"""


def test_a_short_line_counts_as_much_as_its_record_takes() -> None:
    output = Output(1_000)

    taken = [output.take("stdout", b"x") for _ in range(500)].count("x")

    assert taken < 20
    assert len(output.left_out()) == 1


@pytest.mark.parametrize(("fd", "stream"), [(1, "stdout"), (2, "stderr")])
async def test_a_flood_without_a_newline_is_cut_capped_and_counted(
    host: Host, fd: int, stream: str
) -> None:
    """Faults 24 and 33: 200 MB; this process does not grow with it."""
    worker = host.folder / "worker.py"
    worker.write_text(FLOODS)
    size, limit = 200 * MIB, 2 * MIB
    before = _resident()
    assert await host.run(worker, [fd, size, 0], max_output=limit) == "answered"

    *pieces, note = await host.events("log")
    assert {len(piece["message"]) for piece in pieces} == {64 * 1024}
    kept = sum(len(piece["message"]) for piece in pieces)
    assert limit - 128 * 1024 < kept <= limit
    assert note["message"].startswith(f"… truncated {size - kept + 1}"[:14])
    assert note["message"].endswith(f" bytes of {stream}: a job may print {limit}")
    assert _resident() - before < 2 * 64 * MIB


async def test_a_flood_of_a_dying_worker_leaves_its_last_words(host: Host) -> None:
    """Faults 33: read to its end, and the end is in the error."""
    worker = host.folder / "worker.py"
    worker.write_text(
        "import os, sys\n"
        "def handler(job, ctx):\n"
        "    for _ in range(100): os.write(2, b'\\xff\\x00garbage' * 100_000)\n"
        "    os.write(2, b'\\nhalf a last line')\n"
        "    os._exit(1)\n"
    )
    with pytest.raises(WorkerCrashedError) as caught:
        await host.run(worker, max_output=MIB)
    assert len(caught.value.stderr_tail) <= 5 * 8 * 1024
    assert str(caught.value).endswith("its last words: half a last line")


async def test_a_slow_listener_slows_the_worker_and_loses_nothing(host: Host) -> None:
    """Faults 28: what waits here is bounded, the rest waits in the worker."""
    worker = host.folder / "worker.py"
    worker.write_text(
        "def handler(job, ctx):\n"
        "    for n in range(3_000):\n"
        "        ctx.logger.info(str(n), {'fill': 'x' * 2_000})\n"
    )
    seen: list[str] = []
    most = 0

    async def slowly(event: Any) -> None:
        nonlocal most
        if event.type == "log":
            seen.append(event.data["message"])
            most = max(most, run.backlog)
            if len(seen) % 100 == 0:
                await asyncio.sleep(0.01)  # the fault itself: a listener that takes its time

    host.service.bus.subscribe(slowly)
    runner = host.runner(worker)
    run = JobRun(
        runner.launch, runner.processes, runner.terms, host.service.for_job(SCOPE), Endings()
    )
    async with asyncio.timeout(WAIT_S):
        await run.execute({"id": "1", "data": None})
    assert seen == [str(n) for n in range(3_000)]
    assert most < 2 * MIB


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
