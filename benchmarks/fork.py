"""What a job that needs pandas costs: a fresh process, a copy of one that has it, or a warm one.

First start, one exchange and end over bare pipes, with a copy that was made ahead as the runner has
it, and with one that is asked for when the job is there.  Then whole jobs as managers run them, the
sweep for what was left included.  Then a thousand without a pause, and what is left of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paired import clean_environment, clean_python, medians_of, process, report, time_of
from start import BOOTSTRAP, EXECUTE

from nuxt_queue.runner import ChildProcessRunner
from nuxt_queue.runner.reaper import reaper
from nuxt_queue.runner.runtimes import FORK_SERVER
from nuxt_queue.services.context import ContextService
from nuxt_queue.services.events import EventBus
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import MemoryStateStore

WORKER = "import pandas\ndef handler(job, ctx):\n    return 1\n"
TOLD = {"NUXT_QUEUE_CHILD_PROCESS": "1", "NQ_RPC_FRAMING": "lines"}
ROUNDS = 25
PAUSE_S = 0.02  # before each: while a queue is not full there is time to make a copy ahead
COPIES = 1_000

Copy = tuple[int, int, int]


class Copies:
    """Asks a fork server for copies, over a bare socket."""

    def __init__(self, control: socket.socket, worker: Path) -> None:
        self._control, self._worker = control, worker
        self._ahead: list[Copy] = []

    def make(self) -> Copy:
        """Have a copy made; it waits for its job."""
        (its_requests, requests), (answers, its_answers) = os.pipe(), os.pipe()
        folder = str(self._worker.parent)
        what = {"worker": str(self._worker), "cwd": folder, "env": TOLD}
        pid = self._ask(what, its_requests, its_answers, 2, 2)["pid"]
        os.close(its_requests)
        os.close(its_answers)
        return pid, requests, answers

    def make_ahead(self) -> None:
        """Have the copy made that `use_ahead` is going to use, unless it is there."""
        if not self._ahead:
            self._ahead.append(self.make())

    def use_ahead(self) -> None:
        """Give that copy its job, and see it end."""
        self.use(self._ahead.pop())

    def use(self, copy: Copy) -> None:
        """Give a copy its job, and see it end."""
        pid, requests, answers = copy
        os.write(requests, b"\n")
        exchange(requests, answers)
        os.close(requests)
        os.close(answers)
        assert self._ask({"reap": pid}) == {"returncode": 0}

    def _ask(self, what: dict[str, Any], *descriptors: int) -> dict[str, Any]:
        socket.send_fds(self._control, [json.dumps(what).encode()], descriptors)
        said: dict[str, Any] = json.loads(self._control.recv(1 << 16))
        return said


@contextmanager
def fork_server(worker: Path) -> Iterator[Copies]:
    """Start a fork server that has pandas."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    unused = os.pipe()
    wire = {"NQ_WIRE_FDS": f"{unused[0]},{unused[1]}"}
    server = subprocess.Popen(
        [sys.executable, "-P", str(FORK_SERVER), str(theirs.fileno()), "pandas"],
        env={**clean_environment(), **wire},
        pass_fds=(theirs.fileno(), *unused),
    )
    for fd in unused:
        os.close(fd)
    with theirs:
        pass
    assert json.loads(ours.recv(1 << 16)) == {"problems": []}
    with ours:
        yield Copies(ours, worker)
    server.wait()


def exchange(requests: int, answers: int) -> None:
    """Send a job, and wait for its result and the end of the wire."""
    os.write(requests, EXECUTE + b"\n")
    said = b""
    while chunk := os.read(answers, 1 << 16):
        said += chunk
    assert b'"result":1' in said


def spawn(worker: Path) -> None:
    """Start a process, give it its job, and see it end."""
    with subprocess.Popen(
        [sys.executable, "-P", BOOTSTRAP, str(worker)],
        env={**clean_environment(), **TOLD},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdin
        assert child.stdout
        exchange(child.stdin.fileno(), child.stdout.fileno())


def job(loop: asyncio.AbstractEventLoop, runner: ChildProcessRunner) -> Callable[[], object]:
    """Return a call that runs one whole job."""
    service = ContextService(MemoryStateStore(), EventBus())

    def run() -> None:
        job = runner.execute({"id": "1", "data": {}}, service.for_job(Scope("1", "q")))
        assert loop.run_until_complete(job) == 1

    return run


def rounds(
    sides: Mapping[str, Callable[[], object]], pause: Callable[[], object]
) -> Iterator[Mapping[str, float]]:
    """Time every side once a round, with a pause before each."""
    for n in range(ROUNDS + 1):
        found = {}
        for name, run in sides.items():
            pause()
            found[name] = time_of(run)
        if n:  # the first starts what is to be warm
            yield found


def bare_pipes(worker: Path, bare: Callable[[], object]) -> None:
    """Print what start, one exchange and end take."""
    ahead, asked_for = "fork, made ahead", "fork, asked for"
    with fork_server(worker) as copies:
        sides = {
            "bare python": bare,
            "spawn": lambda: spawn(worker),
            asked_for: lambda: copies.use(copies.make()),
            ahead: copies.use_ahead,
        }

        def pause() -> None:
            copies.make_ahead()
            time.sleep(PAUSE_S)

        found = medians_of(rounds(sides, pause))
    report(
        "A worker that imports pandas: start, one exchange, end",
        found,
        {ahead: ("bare python", 0.7)},
        faster={ahead: ("spawn", 40)},
    )


def whole_jobs(worker: Path, bare: Callable[[], object]) -> None:
    """Print what whole jobs take, and what many of them leave."""
    loop = asyncio.new_event_loop()
    runners = {
        "spawn": ChildProcessRunner(worker),
        "fork": ChildProcessRunner(worker, process="fork", preload=["pandas"]),
        "reuse": ChildProcessRunner(worker, process="reuse"),
    }
    jobs = {name: job(loop, runner) for name, runner in runners.items()}
    sides = {"bare python": bare, **jobs}
    found = medians_of(rounds(sides, lambda: loop.run_until_complete(asyncio.sleep(PAUSE_S))))
    forks = runners.pop("fork")
    for runner in runners.values():
        loop.run_until_complete(runner.close())
    report(
        "Whole jobs of it, the sweep for what they left included",
        found,
        {"reuse": ("bare python", 0.3)},
        faster={"fork": ("spawn", 25), "reuse": ("spawn", 100)},
    )
    before, started = footprint(), time.perf_counter()
    for _ in range(COPIES):
        jobs["fork"]()
    each_ms = (time.perf_counter() - started) * 1000 / COPIES
    loop.run_until_complete(asyncio.sleep(0.1))  # the last copy that is made ahead
    after = footprint()
    loop.run_until_complete(forks.close())
    loop.close()
    verdict = "ok" if before == after else "MISSED"
    print(f"\n{COPIES} copies without a pause, {each_ms:.1f} ms each")
    print(f"  descriptors {before[0]} -> {after[0]}, children {before[1]} -> {after[1]} {verdict}")


def footprint() -> tuple[int, int]:
    """Return this process's open descriptors, and its children but the reaper."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return len([*Path("/proc/self/fd").iterdir()]), len({*children} - {str(reaper().pid)})


def main() -> None:
    """Print the ratios, and what is left."""
    bare = process(clean_python(), "-c", "pass")
    with tempfile.TemporaryDirectory() as folder:
        worker = Path(folder) / "worker.py"
        worker.write_text(WORKER)
        bare_pipes(worker, bare)
        whole_jobs(worker, bare)


if __name__ == "__main__":
    main()
