"""Starts a process that left its group, says so, and then does not notice the end of its parent."""

import os
import re
import signal
import subprocess
import sys
import time

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


def handler(job, ctx):
    subprocess.Popen(SLEEP)
    subprocess.Popen(SLEEP, start_new_session=True)
    way = job["data"]
    if way == "ignores signals":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    ctx.logger.info("working")
    if way == "is stuck in C":
        re.match(r"(a+)+$", "a" * 60 + "b")  # never lets go of the interpreter
    if way == "is stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)
