"""States every key that a config may have, in the host's spelling."""

from nuxt_queue import define_config, define_worker, run_worker

config = define_config(
    {
        "queue": {
            "name": "training",
            "defaultJobOptions": {
                "attempts": 3,
                "backoff": {"type": "exponential", "delay": 1000},
                "removeOnComplete": {"count": 100},
            },
            "prefix": "nq",
            "limiter": {"max": 10, "duration": 1000},
        },
        "flow": {
            "name": ["ml-flow"],
            "role": "step",
            "step": "train",
            "emits": ["model.trained"],
            "subscribes": ["data.prepared"],
            "stepTimeout": 600000,
        },
        "worker": {
            "runtime": "python",
            "concurrency": 2,
            "timeout": 300000,
            "lockDurationMs": 30000,
        },
    }
)


@define_worker
async def handler(job, ctx):
    return {}


if __name__ == "__main__":
    run_worker(handler)
