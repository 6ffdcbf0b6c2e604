"""Is killed by a signal of its own making."""

import ctypes
import faulthandler
import os
import signal
import sys


def handler(job, ctx):
    sys.stderr.write("last words\n")
    {
        "kill": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "abort": os.abort,
        "null": lambda: ctypes.string_at(0),
        "faulthandler": faulthandler._sigsegv,
        "oom": lambda: os.kill(os.getpid(), signal.SIGKILL),
    }[job["data"]]()
