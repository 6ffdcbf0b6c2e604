"""The fork server: imports once what jobs need, then forks a copy of itself for each job.

It has one thread, no event loop and no TLS, since what another thread holds at a fork is held for
ever in the copy.  It is told what to do over a socket, a message at a time, and a copy gets its
ends of the pipes with the message:

```
-> {"worker": "/w/a.py", "cwd": "/w", "env": {...}} and four descriptors
<- {"pid": 7}     it leads a session and waits for a byte before it begins
-> {"reap": 7}    the parent has seen its end
<- {"returncode": 0}
```

It reaps nothing by itself: until its parent has killed the group of a copy, the copy's number must
stay its own.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import signal
import socket
import sys
import threading

from nuxt_queue.rpc import methods
from nuxt_queue.sdk.preloaded import Preloaded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["run_and_end", "serve"]

# What the SDK loads only when a job needs it: here it costs no job anything.
_LATER = ("nuxt_queue.rpc.forms", "nuxt_queue.sdk.failures", "nuxt_queue.sdk.loop")
_MESSAGE_BYTES = 1 << 17
_ENDS = 4  # requests, answers, stdout, stderr
# A stop of the whole service signals every process of it: the server ends with its parent.
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What holds data back, the outer ones first: text over bytes, compressed over plain.
_FILE: Any = io.IOBase.__base__  # the class in C: an abstract one takes its time to tell
_FILES: tuple[tuple[type, ...], ...] = (
    (io.TextIOBase,),
    (io.BufferedIOBase,),
    (io.BufferedWriter, io.BufferedRandom),
)
_exit_code = 1


def serve(control_fd: int, preload: Sequence[str]) -> str:
    """Serve until the parent hangs up.

    Args:
        control_fd: The socket to the parent.
        preload: The modules to import.

    Returns:
        In each copy, the path of the worker that it is to run; never in the server.
    """
    control = socket.socket(fileno=control_fd)
    for unused in os.environ.pop(methods.ENV_WIRE_FDS).split(","):
        os.close(int(unused))
    dispositions = {number: signal.signal(number, signal.SIG_IGN) for number in _STOPS}
    # A parent that ignores SIGCHLD hands that down, and then no exit code could be had.
    dispositions[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    gc.disable()
    preloaded = Preloaded()
    problems = [
        problem for name in (*_LATER, *preload) if (problem := _load(name))
    ] + _lost_threads()
    gc.collect()
    preloaded.look()
    gc.freeze()  # so that collecting in a copy does not touch, and so copy, the server's memory
    control.send(json.dumps({"problems": problems + preloaded.problems}).encode())
    while True:
        message, ends, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, _ENDS)
        if not message:
            preloaded.end()
            os._exit(0)
        request = json.loads(message)
        answer = _reap(request["reap"]) if "reap" in request else _fork()
        if answer is None:
            control.close()
            preloaded.keep_apart(lambda: _end(preloaded))
            return _become(request, ends, dispositions)
        for fd in ends:
            os.close(fd)
        control.send(json.dumps(answer).encode())
        preloaded.seed()


def _load(name: str) -> str | None:
    try:
        importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001 a job that needs it says the same, with the place
        return f"cannot preload {name}: {type(error).__name__}: {error}"
    return None


def _lost_threads() -> list[str]:
    """Name the threads that importing has started: no copy has them."""
    names = [thread.name for thread in threading.enumerate()[1:]]
    return [f"preloading has started threads, which no copy has: {', '.join(names)}"] * bool(names)


def _reap(pid: int) -> dict[str, Any]:
    _, status = os.waitpid(pid, 0)
    return {"returncode": os.waitstatus_to_exitcode(status)}


def _fork() -> dict[str, Any] | None:
    """Make a copy that leads a session; None in the copy."""
    ready, is_ready = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(is_ready)
        os.close(ready)
        return {"errno": error.errno}
    if pid == 0:
        os.close(ready)
        os.setsid()
        os.close(is_ready)
        return None
    os.close(is_ready)
    os.read(ready, 1)  # its end, or the copy's
    os.close(ready)
    return {"pid": pid}


def _become(request: dict[str, Any], ends: Sequence[int], dispositions: dict[Any, Any]) -> str:
    """Take on, in the copy, everything that `exec` gives to a process."""
    requests, answers, printed, complaints = ends
    for fd, standard in ((requests, 0), (answers, 1), (complaints, 2)):
        os.dup2(fd, standard)
        os.close(fd)
    os.environ.update(request["env"])
    os.environ[methods.ENV_STDOUT_FD] = str(printed)
    worker: str = request["worker"]
    sys.argv = [worker]
    sys.path.append(os.path.dirname(worker))
    gc.enable()
    if not os.read(0, 1):  # the parent has no job for it
        os._exit(0)
    # Only now: a signal that came before was not meant for the job.
    for number, disposition in dispositions.items():
        if disposition is not None:
            signal.signal(number, disposition)
    os.chdir(request["cwd"])
    return worker


def run_and_end(run: Callable[[str], None], worker: str) -> None:
    """Run a worker in its copy, and have the copy end where an interpreter would begin to.

    Threads are waited for and `atexit` hooks called, as ever.  To take down all modules that the
    server has loaded would take many times as long as it takes to make the copy.
    """
    global _exit_code  # noqa: PLW0603 for the hook, which is not told
    try:
        run(worker)
    except SystemExit as error:
        code = error.code
        _exit_code = 0 if code is None else code & 0xFF if isinstance(code, int) else 1
        raise
    _exit_code = 0


def _end(preloaded: Preloaded) -> None:
    """Write out what the copy has left unwritten, and end."""
    preloaded.flush()
    # None that was there before the fork is among the objects: those are frozen.
    files = [thing for thing in gc.get_objects() if issubclass(type(thing), _FILE)]
    for kinds in _FILES:
        for file in files:
            is_last = isinstance(file, _FILES[-1])
            if isinstance(file, kinds) and is_last == (kinds is _FILES[-1]):
                _quietly(file, "close")
    os._exit(_exit_code)


def _quietly(file: Any, method: str) -> None:
    try:
        getattr(file, method)()
    except Exception:  # noqa: BLE001 closed already, a full disk, a class of the user's
        return
