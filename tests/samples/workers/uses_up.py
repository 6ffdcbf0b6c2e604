"""Uses up one kind of resource, as it is told."""

import os
import resource


def memory(_):
    return len(bytearray(1 << 30))


def processor(_):
    while True:
        pass


def descriptors(_):
    return [os.open(os.devnull, os.O_RDONLY) for _ in range(10_000)]


def file(_):
    with open("grows.bin", "wb") as target:
        for _ in range(64):
            target.write(b"x" * (1 << 20))


def tells(names):
    return {name: resource.getrlimit(getattr(resource, name))[0] for name in names}


def handler(job, ctx):
    return globals()[job["data"]["what"]](job["data"].get("names"))
