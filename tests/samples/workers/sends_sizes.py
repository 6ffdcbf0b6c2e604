"""Sends messages and a result of the sizes it is told."""

from nuxt_queue import run_worker


def handler(job, ctx):
    for n, size in enumerate(job["data"]["logs"]):
        ctx.logger.info(f"{n} " + "x" * size)
    for n, size in enumerate(job["data"]["states"]):
        ctx.state.set(str(n), "é" * size)
    if job["data"].get("raise"):
        raise ValueError("x" * job["data"]["raise"])
    return "x" * job["data"]["result"]


if __name__ == "__main__":
    run_worker(handler)
