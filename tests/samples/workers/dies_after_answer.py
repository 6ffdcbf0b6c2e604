"""Answers, and is then killed by a signal."""

import os
import signal

from nuxt_queue import run_worker


def handler(job, ctx):
    return "answered"


run_worker(handler)
os.kill(os.getpid(), signal.SIGSEGV)
