"""Works on a result for a while, so that it can be killed at any point of it."""


def handler(job, ctx):
    for n in range(20):
        ctx.logger.info(f"step {n}", {"filler": "x" * 2_000})
    return ["result"] * 20_000
