"""Changes everything about its process that user code may change."""

import asyncio
import faulthandler
import gc
import os
import signal
import sys
import warnings


def nested():
    async def inner():
        return "inner"

    return asyncio.run(inner())


WAYS = {
    "environ": os.environ.clear,
    "chdir": lambda: os.chdir("/"),
    "gc": gc.disable,
    "warnings": lambda: warnings.simplefilter("error"),
    "recursion": lambda: sys.setrecursionlimit(200),
    "signals": lambda: [signal.signal(s, lambda *_: None) for s in (signal.SIGTERM, signal.SIGINT)],
    "faulthandler": faulthandler.enable,
    "excepthook": lambda: setattr(sys, "excepthook", None),
    "stdout": lambda: setattr(sys, "stdout", open(os.devnull, "w")),
    "loop": nested,
    "modules": lambda: [sys.modules.pop(m) for m in list(sys.modules) if m.startswith("nuxt_queue")],
    "path": lambda: sys.path.clear(),
}


def handler(job, ctx):
    WAYS[job["data"]]()
    ctx.logger.info("still here", {"a": (1,)})
    ctx.state.set("k", {"a"})
    return {"k": ctx.state.get("k")}
