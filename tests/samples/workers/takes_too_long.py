"""Never answers, each time in another way."""

import os
import re
import signal
import time


def loop():
    while True:
        pass


def stopped():
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)


def ignoring():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


async def a_coroutine():
    time.sleep(60)


WAYS = {
    "sleep": lambda: time.sleep(60),
    "loop": loop,
    "regex": lambda: re.match(r"(a+)+$", "a" * 60 + "b"),  # C code that never lets go of the GIL
    "stopped": stopped,
    "ignoring": ignoring,
    "coroutine": a_coroutine,
}


def handler(job, ctx):
    ctx.logger.info("before")
    return WAYS[job["data"]]()
