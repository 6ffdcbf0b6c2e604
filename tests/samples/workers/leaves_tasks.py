"""Returns while tasks of its own are running."""

import asyncio


async def refresh_forever(ctx):
    try:
        await asyncio.sleep(60)
    finally:
        ctx.logger.info("cleaned up")


async def handler(job, ctx):
    asyncio.create_task(refresh_forever(ctx))
    await asyncio.sleep(0)
    return "result"
