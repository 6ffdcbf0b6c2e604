"""Returns which modules a job has loaded."""

import sys


def handler(job, ctx):
    ctx.logger.info("text", {"a": 1})
    ctx.state.set("k", [1])
    ctx.emit("done", {"k": ctx.state.get("k")})
    return sorted(sys.modules)
