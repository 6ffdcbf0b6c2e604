"""Keeps what it knows from one job to the next, in a process that is used again."""

import asyncio
import os
import sys
import threading
import time

count = 0
kept = []


def handler(job, ctx):
    global count
    count += 1
    data = job["data"] or {}
    how = data.get("how")
    print(f"job {count}")
    if how == "raises":
        raise ValueError("as told")
    if how == "exits":
        os._exit(3)
    if how == "sys.exit":
        sys.exit(3)
    if how == "hangs":
        time.sleep(60)
    if how == "keeps its context":
        kept.append(ctx)
        thread = threading.Thread(target=late, args=(ctx, data["flag"]))
        thread.daemon = True
        thread.start()
    if how == "uses a kept context":
        return kept[0].state.set("late", "by its handler")
    if how == "awaits":
        return awaits(ctx)
    if "meet" in data:
        ctx.state.incr("met", 1)
        while ctx.state.get("met") < data["meet"]:
            time.sleep(0.005)
    return {"count": count, "pid": os.getpid(), "cancelled": ctx.cancelled, "job": ctx.job_id}


def late(ctx, flag):
    while not os.path.exists(flag):
        time.sleep(0.005)
    ctx.logger.info("late line")
    try:
        ctx.state.set("late", "by a thread")
    except Exception as error:
        kept.append(str(error))
    finally:
        open(flag + ".seen", "w").close()


async def awaits(ctx):
    await asyncio.sleep(0)
    await ctx.state.set("awaited", count)
    return await ctx.state.get("awaited")
