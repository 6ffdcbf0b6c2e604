"""Starts processes that would outlive it, says which, and ends as it is told."""

import subprocess
import sys
import time


def handler(job, ctx):
    count, ending = job["data"]
    code = "import time; time.sleep(60)"
    for _ in range(count):
        ctx.state.set(str(subprocess.Popen([sys.executable, "-S", "-c", code]).pid), "started")
    if ending == "fail":
        raise ValueError("failed")
    if ending == "hang":
        time.sleep(60)
    return ending
