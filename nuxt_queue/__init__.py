"""Write a queue worker in Python: what a worker file imports.

```python
from nuxt_queue import define_config, define_worker, run_worker

config = define_config({"queue": "greet", "runtime": "python"})

@define_worker
async def handler(job, ctx):
    ctx.logger.info("hello", {"name": job["data"]["name"]})
    return {"greeting": f"Hello {job['data']['name']}"}

if __name__ == "__main__":
    run_worker(handler)
```
"""

# In a process that a host has started, this import takes the wire off stdin and stdout: it has to
# happen before anything else of the worker can print or read.
from nuxt_queue.sdk.stdio import claim as _claim

_channel = _claim()

from nuxt_queue.sdk.context import RunContext  # noqa: E402 see above
from nuxt_queue.sdk.define import define_config, define_worker  # noqa: E402 see above
from nuxt_queue.sdk.entry import answer_if_the_file_fails, run_worker  # noqa: E402 see above
from nuxt_queue.sdk.job import Job  # noqa: E402 see above

if _channel is not None:
    answer_if_the_file_fails(_channel)
del answer_if_the_file_fails

define_queue_config = define_config
define_queue_worker = define_worker

__all__ = [
    "Job",
    "RunContext",
    "define_config",
    "define_queue_config",
    "define_queue_worker",
    "define_worker",
    "run_worker",
]
