"""Succeeds, or fails in one of five ways, as its job says."""

import os
import signal
import time


def segfault():
    os.kill(os.getpid(), signal.SIGSEGV)


def exit_0():
    os._exit(0)


def exception():
    raise ValueError("bad")


def timeout():
    time.sleep(60)


def memory():
    bytearray(1 << 60)


def handler(job, ctx):
    way = job["data"]["way"]
    ctx.logger.info("attempt", {"n": ctx.attempt})
    return globals()[way]() if way else job["data"]["n"]
