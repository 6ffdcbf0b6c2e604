"""Answers, and ends with a code of its own when Python exits."""

import atexit
import os


def handler(job, ctx):
    atexit.register(os._exit, 7)
    return "answered"
