"""Sets, logs and emits without awaiting any of it."""


async def handler(job, ctx):
    for n in range(job["data"]):
        ctx.state.set("n", n)
        ctx.logger.info(f"log {n}")
        ctx.emit(f"event {n}", {"n": n})
    return "result"
