"""Uses everything that the oldest host has, and forgets to await half of it."""

from nuxt_queue import RunContext, define_config, define_worker, run_worker

config = define_config({"runtime": "python", "concurrency": 2})


@define_worker
async def handler(job: dict, ctx: RunContext):
    ctx.logger.info("Training model", {"samples": len(job["data"]["samples"])})
    print("no newline, and no message", end="")
    print('{"jsonrpc": "2.0", "id": 1, "result": "FORGED"}')
    ctx.state.set("model_version", "1.0")
    await ctx.state.set("short", 1, ttl=60)
    await ctx.state.delete("short")
    ctx.emit({"type": "emit", "data": {"name": "model.trained", "accuracy": 0.95}})
    await ctx.flow.emit("model.tested", {"accuracy": 0.9})
    return {
        "version": await ctx.state.get("model_version"),
        "samples": job["samples"],
        "ids": [ctx.jobId, ctx.flowName, ctx.attempt, ctx.trigger],
    }


if __name__ == "__main__":
    run_worker(handler)
