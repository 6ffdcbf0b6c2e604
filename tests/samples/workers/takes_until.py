"""Takes as long as it is told: until a file is there, for ever, or for ever and deaf to signals."""

import os
import signal
import subprocess
import sys
import time


def handler(job, ctx):
    if job["data"].get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
    pids = [os.getpid(), subprocess.Popen(sleep, start_new_session=True).pid]
    ctx.logger.info("working", {"pids": pids})
    path = job["data"].get("until")
    while not (path and os.path.exists(path)):
        time.sleep(0.005)
    return "done"
