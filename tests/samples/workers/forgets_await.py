"""Forgets to await what its host refuses."""


async def handler(job, ctx):
    if job["data"] == "set":
        ctx.state.set("k", 1, ttl=-1)
    elif job["data"] == "emit":
        ctx.flow.start_flow("no such flow")
    elif job["data"] == "raise":
        ctx.state.set("k", 1, ttl=-1)
        raise ValueError("the handler's own")
    else:
        ctx.logger.log("info", "fine", {"bad": object()})
    return "result"
