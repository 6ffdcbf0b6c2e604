"""Makes copies of itself, in every way that data scientists do."""

import asyncio
import concurrent.futures
import multiprocessing
import os
import sys


def square(n):
    return n * n


def fork(ctx):
    pid = os.fork()
    if pid == 0:
        return "the copy's result"  # must never be heard
    _, status = os.waitpid(pid, 0)
    return {"copy exited": os.waitstatus_to_exitcode(status), "state": ctx.state.get("k")}


def fork_that_calls(ctx):
    pid = os.fork()
    if pid == 0:
        ctx.logger.info("the copy speaks")
        ctx.state.set("k", "set by the copy")
        return None
    _, status = os.waitpid(pid, 0)
    return {"copy exited": os.waitstatus_to_exitcode(status) != 0, "state": ctx.state.get("k")}


def fork_that_raises(ctx):
    pid = os.fork()
    if pid == 0:
        raise ValueError("the copy fails")
    os.waitpid(pid, 0)
    return {"state": ctx.state.get("k")}


def fork_that_exits(ctx):
    pid = os.fork()
    if pid == 0:
        sys.exit(0)
    os.waitpid(pid, 0)
    return {"state": ctx.state.get("k")}


async def async_fork(ctx):
    await ctx.state.get("k")
    pid = os.fork()
    if pid == 0:
        return "the copy's result"
    await asyncio.to_thread(os.waitpid, pid, 0)
    return {"state": await ctx.state.get("k")}


def pool(method):
    def run(_ctx):
        with multiprocessing.get_context(method).Pool(2) as workers:
            return workers.map(square, range(5))

    return run


def executor(_ctx):
    with concurrent.futures.ProcessPoolExecutor(2) as workers:
        return list(workers.map(square, range(5)))


WAYS = {
    "fork": fork,
    "fork that calls": fork_that_calls,
    "fork that raises": fork_that_raises,
    "fork that exits": fork_that_exits,
    "async fork": async_fork,
    "spawn pool": pool("spawn"),
    "fork pool": pool("fork"),
    "forkserver pool": pool("forkserver"),
    "executor": executor,
}


def handler(job, ctx):
    return WAYS[job["data"]](ctx)
