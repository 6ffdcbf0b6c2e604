"""Waits for another job of the same worker file before it returns."""

import os
import time


def handler(job, ctx):
    ctx.state.set("mine", job["data"])
    ctx.logger.info(f"job {job['data']}")
    open(os.path.join(job["data"]["meet"], str(job["data"]["n"])), "w").close()
    deadline = time.monotonic() + 10
    while len(os.listdir(job["data"]["meet"])) < 2:
        if time.monotonic() > deadline:
            raise TimeoutError("nobody came")
        time.sleep(0.005)
    return {"mine": ctx.state.get("mine")["n"], "job": ctx.job_id, "pid": os.getpid()}
