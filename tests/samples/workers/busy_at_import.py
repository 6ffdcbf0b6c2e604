"""Prints megabytes and starts a thread while it is imported."""

import threading
import time

for _ in range(20_000):
    print("x" * 99)
threading.Thread(target=time.sleep, args=(0.01,)).start()


def handler(job, ctx):
    return len(job["data"])
