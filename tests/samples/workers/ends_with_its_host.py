"""Works for a minute, unless its host goes."""

import time

from nuxt_queue import run_worker


def handler(job, ctx):
    ctx.logger.info("working")
    time.sleep(60)


if __name__ == "__main__":
    run_worker(handler)
