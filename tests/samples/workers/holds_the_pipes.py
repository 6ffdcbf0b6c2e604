"""Leaves a process behind that holds its output open, of another session and without a mark."""

import os
import subprocess
import sys


def handler(job, ctx):
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(60)"],
        start_new_session=True,
        env={},
    )
    ctx.state.set("pid", child.pid)
    if job["data"] == "die":
        os._exit(0)
    return "answered"
