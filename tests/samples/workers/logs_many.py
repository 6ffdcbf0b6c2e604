"""Writes many log lines without ever yielding, and returns."""


async def in_a_coroutine(lines, ctx):
    for n in range(lines):
        ctx.logger.info(f"line {n}", {"n": n})
    return lines


def handler(job, ctx):
    if job["data"]["async"]:
        return in_a_coroutine(job["data"]["lines"], ctx)
    for n in range(job["data"]["lines"]):
        ctx.logger.info(f"line {n}", {"n": n})
    return job["data"]["lines"]
