"""The queue on Redis, in the form of BullMQ: Node's producers and workers share it with us.

The one room that imports `bullmq`.  Of that package it uses what BullMQ documents for jobs that
are fetched by hand: the scripts that move a job from one state to the next, and the form in which
jobs are kept.  The loop of its `Worker` is not used: a result that cannot be recorded becomes the
handler's failure there, locks are renewed on the loop of the handlers, and stalls are counted for
a worker and not against a job's attempts.
"""

from nuxt_queue.managers.bullmq.locks import Stalling
from nuxt_queue.managers.bullmq.manager import BullMQWorkerManager

__all__ = ["BullMQWorkerManager", "Stalling"]
