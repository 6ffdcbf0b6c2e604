"""Starts processes that leave its group, says which, and ends as it is told."""

import os
import subprocess
import sys
import time

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


def setsid():
    return subprocess.Popen(SLEEP, start_new_session=True).pid


def double_fork():
    reads, writes = os.pipe()
    first = os.fork()
    if first == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writes, str(os.getpid()).encode())
            os.closerange(0, 256)
            time.sleep(60)
        os._exit(0)
    os.waitpid(first, 0)
    pid = int(os.read(reads, 20))
    os.close(reads)
    os.close(writes)
    return pid


def daemon():
    """A process that ignores signals and moves away, as a server does."""
    code = "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.chdir('/'); time.sleep(60)"
    return subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True).pid


def handler(job, ctx):
    ending = job["data"]
    for way in (setsid, double_fork, daemon):
        ctx.state.set(way.__name__, way())
    if ending == "fail":
        raise ValueError("failed")
    if ending == "die":
        os._exit(3)
    if ending == "hang":
        time.sleep(60)
    return ending
