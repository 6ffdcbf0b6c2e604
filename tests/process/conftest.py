"""A host for real children: what they did, and a check that nothing of them is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.runner import ChildProcessRunner, Timeouts
from nuxt_queue.runner.reaper import reaper
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.event_stream import MemoryEventStream
from nuxt_queue.services.events import Event, EventBus
from nuxt_queue.services.payloads import decoded
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

WORKERS = Path(__file__).parent.parent / "samples" / "workers"
NODE_PACKAGES = Path(__file__).parent.parent / "node" / "node_modules"
# Every wait of the suite: long enough for a loaded machine, short enough for a hang.
WAIT_S = 20.0
# Short steps, so that what they bound can be tested in no time.
# A module that sets `HOSTS` to it holds for a process that was started and for one that was forked.
BOTH_WAYS = ("spawn", "fork")
QUICK = Timeouts(
    beside_s=WAIT_S, cancel_s=0.3, exit_s=0.3, ready_s=0.3, close_s=0.1, term_s=0.3, drain_s=0.3
)
SCOPE = Scope("job1", "q", "run1", "f", "train", "run1__train__attempt-1")


class Host:
    """Runs worker files as jobs and keeps what they did.

    Attributes:
        folder: An empty folder of the test.
        process: How a worker in Python has its process, unless a test says so itself.
    """

    def __init__(self, folder: Path, process: str = "spawn") -> None:
        self.folder, self.process = folder, process
        self._runners: list[ChildProcessRunner] = []
        self.state = MemoryStateStore()
        self.service = ContextService(self.state, EventBus(MemoryEventStream(max_events=100_000)))

    def runner(self, worker: str | Path, **options: Any) -> ChildProcessRunner:
        """Make a runner of a sample worker, or of a file."""
        path = worker if isinstance(worker, Path) else WORKERS / worker
        way = {"process": self.process} if options.get("runtime", "python") == "python" else {}
        runner = ChildProcessRunner(path, **{"timeout_ms": 15_000, **way, **options})
        self._runners.append(runner)
        return runner

    async def close(self) -> None:
        """Close the runners that were made."""
        for runner in self._runners:
            await runner.close()

    async def run(
        self, worker: str | Path, data: Any = None, *, scope: Scope = SCOPE, **options: Any
    ) -> Any:
        """Run one job and return its result."""
        handler = self.runner(worker, **options).create_handler()
        job = {"id": scope.job_id, "name": "train", "data": data, "attemptsMade": 0, "opts": {}}
        async with asyncio.timeout(WAIT_S):
            return await decoded(await handler(job, self.service.for_job(scope)))

    async def events(self, kind: str, run_id: str = "run1") -> list[dict[str, Any]]:
        """Return the data of a run's events of one type."""
        return [e.data for e in await self.service.bus.read(run_id) if e.type == kind]

    async def logs(self, run_id: str = "run1") -> list[str]:
        """Return the messages of everything that a run logged or printed."""
        return [data["message"] for data in await self.events("log", run_id)]

    async def printed(self, stream: str = "stdout") -> list[str]:
        """Return the lines that came over a stream."""
        return [d["message"] for d in await self.events("log") if d.get("stream") == stream]

    async def pid(self) -> int:
        """Return the process id of the last job."""
        return int((await self.events("process.started"))[-1]["pid"])

    def on(self, kind: str, listener: Callable[[dict[str, Any]], Any]) -> None:
        """Call a listener with the data of each event of a type."""

        def listen(event: Event) -> None:
            if event.type == kind:
                listener(event.data)

        self.service.bus.subscribe(listen)


async def settled(job: Awaitable[Any]) -> Any:
    """Return what a job came to: its result or its exception."""
    async with asyncio.timeout(WAIT_S):
        try:
            return await job
        except Exception as error:  # noqa: BLE001 whatever it is, it is the outcome
            return error


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


_others: set[int] = set()  # what other tests share, such as a server


def children() -> list[int]:
    """List this process's children but for the reaper and what was there before, zombies too."""
    found: set[int] = set()
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            found.update(map(int, (task / "children").read_text().split()))
    return sorted(found - _others - {reaper().pid})


def descriptors() -> set[str]:
    """List this process's open descriptors but the reaper's, with what they lead to."""
    found = set()
    told = reaper()._process
    reapers = str(told.stdin.fileno()) if told and told.stdin else ""
    for fd in Path("/proc/self/fd").iterdir():
        if fd.name == reapers:
            continue
        with contextlib.suppress(OSError):  # the one that listed the others
            found.add(f"{fd.name} {fd.readlink()}")
    return found


@pytest.fixture
def node_project(tmp_path: Path) -> Path:
    """A folder with the packages of `tests/node`, as a project has them that installed tsx."""
    assert NODE_PACKAGES.is_dir(), "the tests need tsx: npm ci --prefix tests/node"
    (tmp_path / "node_modules").symlink_to(NODE_PACKAGES)
    return tmp_path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a module with a host for each of its `HOSTS`."""
    ways = getattr(metafunc.module, "HOSTS", None)
    if ways and "host" in metafunc.fixturenames:
        metafunc.parametrize("host", ways, indirect=True)


@pytest.fixture
async def host(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Host]:
    """A host; after the test no child and no descriptor of its jobs is left."""
    reaper().start()
    _others.clear()
    _others.update(children())
    before = descriptors()
    problems: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: problems.append(context))
    host = Host(tmp_path, getattr(request, "param", "spawn"))
    yield host
    async with asyncio.timeout(WAIT_S):
        await host.close()
        while descriptors() - before or children():  # noqa: ASYNC110 transports close turns later
            await asyncio.sleep(0.01)
    assert problems == []
    assert len(asyncio.all_tasks()) == 1
