"""Ends as the specification's example does: `asyncio.run(run_worker(handler))`."""

import asyncio

from nuxt_queue import run_worker


async def handle(job, ctx):
    ctx.logger.info("handling")
    await ctx.state.set("seen", job["data"])
    return {"seen": await ctx.state.get("seen")}


if __name__ == "__main__":
    asyncio.run(run_worker(handle))
