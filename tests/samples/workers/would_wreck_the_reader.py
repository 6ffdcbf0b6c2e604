"""Ends whoever imports it: only a reader that runs nothing survives."""

import os

config = {"queue": {"name": "wreck"}}


def handler(job, ctx):
    return None


if __name__ != "__main__":
    os._exit(99)
