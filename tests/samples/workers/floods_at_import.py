"""Writes more than a pipe holds before it reads its job, to all of its pipes."""

import os

for _ in range(1_000):
    os.write(1, b"x" * 999 + b"\n")
    os.write(2, b"y" * 999 + b"\n")


def handler(job, ctx):
    for n in range(2_000):
        ctx.logger.info("z" * 500)
    return len(job["data"])
