"""Ends in various ways while a call that its host never answers is under way."""

import os
import threading


async def handler(job, ctx):
    call = ctx.state.get("never")
    ctx.logger.info("after the call")
    if job["data"] == "exit":
        threading.Timer(0.05, os._exit, [4]).start()
    await call
