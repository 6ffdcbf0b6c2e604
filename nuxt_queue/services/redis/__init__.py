"""State, timelines and runs of flows in Redis, where any number of machines share them.

The one room beside `managers.bullmq` that imports the `redis` client.  Every key begins with the
prefix; with a hash tag as prefix, `{nq}`, all of them are in one slot of a cluster.

| key | what |
|---|---|
| `<prefix>:flow:<flow id>:<key>` | a value of a flow's state, as JSON, as the host has it |
| `<prefix>:<key>` | a value of the state that belongs to no flow |
| `<prefix>:flow:<run id>` | the timeline of a run: a stream |
| `<prefix>:flow::run:<run id>` | a run: a hash of its version and its JSON |
| `<prefix>:flow::...` | which runs are under way, due or ended, and the tallies of the flows |
| `<prefix>:<queue>:...` | a queue of BullMQ's |
"""

from nuxt_queue.services.redis.application import application_flows
from nuxt_queue.services.redis.event_stream import RedisEventStream
from nuxt_queue.services.redis.flow_store import RedisFlowStore
from nuxt_queue.services.redis.server import RedisLimits, RedisServer
from nuxt_queue.services.redis.state import RedisStateStore

__all__ = [
    "RedisEventStream",
    "RedisFlowStore",
    "RedisLimits",
    "RedisServer",
    "RedisStateStore",
    "application_flows",
]
