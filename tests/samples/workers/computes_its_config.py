"""States a config that only running the file would tell."""

import os

config = {
    "queue": {"name": "computed"},
    "concurrency": int(os.environ["WORKERS"]),
}


def handler(job, ctx):
    return None
