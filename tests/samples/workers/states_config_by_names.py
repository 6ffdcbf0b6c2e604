"""States its config with names for literals, as a notebook's parameters cell leaves them."""

from nuxt_queue import define_config as configure
from nuxt_queue import define_worker

FLOW = "ml-flow"
MINUTE = 60 * 1000
EVENTS = ["data.prepared"]
BASE = {"runtime": "python", "concurrency": 1}

config = {"queue": "an earlier one"}
config = configure(
    {
        **BASE,
        "queue": {"name": FLOW + "-queue"},
        "timeout": 5 * MINUTE,
        "flow": {"name": FLOW, "role": "step", "subscribes": [*EVENTS, f"{FLOW}.again"]},
    }
)


@define_worker
def handler(job, ctx):
    return None
