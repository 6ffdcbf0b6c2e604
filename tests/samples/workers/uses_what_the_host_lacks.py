"""Counts, which only newer hosts can."""

import asyncio

from nuxt_queue import run_worker


async def handler(job, ctx):
    if job["data"] == "emit":
        await ctx.emit("a", {"x": 1})
        return await ctx.emit("b", {"x": 2})
    return await ctx.state.incr("n")


if __name__ == "__main__":
    asyncio.run(run_worker(handler))
