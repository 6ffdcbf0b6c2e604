"""A coroutine that never yields, and still speaks while it works."""

import time


async def handler(job, ctx):
    ctx.logger.info("started")
    ctx.state.set("alive", True)
    while not ctx.cancelled:
        time.sleep(0.005)
    return "was told to stop"
