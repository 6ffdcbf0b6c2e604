"""Returns its data, as an exported file would."""

# %% config
from nuxt_queue import define_config, define_worker, run_worker

config = define_config({"queue": {"name": "echo"}, "runtime": "python"})


# %% handler
@define_worker
async def handler(job, ctx):
    return job["data"]


# %% entry point
if __name__ == "__main__":
    run_worker(handler)
