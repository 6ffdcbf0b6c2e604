"""Makes many calls at once, in one loop or in threads."""

import asyncio
import threading


async def gather(count, ctx):
    got = await asyncio.gather(*(ctx.state.get(f"k{n}") for n in range(count)))
    return got == list(range(count))


def threads(count, ctx):
    wrong = []

    def work(thread):
        for n in range(thread, count, 16):
            if ctx.state.get(f"k{n}") != n:
                wrong.append(n)
            ctx.logger.info(f"{thread} {n}")

    workers = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return not wrong


def handler(job, ctx):
    return {"gather": gather, "threads": threads}[job["data"]["how"]](job["data"]["count"], ctx)
