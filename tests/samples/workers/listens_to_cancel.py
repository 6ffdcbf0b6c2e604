"""Works until it is cancelled, or does not listen."""

import asyncio
import time


def polls(ctx):
    while not ctx.cancelled:
        time.sleep(0.005)
    ctx.logger.info("tidied up")
    return "stopped in time"


def raises(ctx):
    while not ctx.cancelled:
        time.sleep(0.005)
    raise RuntimeError("stopped half-way")


async def awaits(ctx):
    while not ctx.cancelled:
        await asyncio.sleep(0.005)
    return "stopped in time"


def deaf(ctx):
    time.sleep(60)


def handler(job, ctx):
    ctx.logger.info("working")
    return {"polls": polls, "raises": raises, "awaits": awaits, "deaf": deaf}[job["data"]](ctx)
