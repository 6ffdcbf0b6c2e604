"""Queues behind one contract: take a job, run its handler, record how it ended."""

from nuxt_queue.managers.base import WorkerManager
from nuxt_queue.managers.file import FileWorkerManager
from nuxt_queue.managers.jobs import JobRecord
from nuxt_queue.managers.memory import MemoryWorkerManager
from nuxt_queue.managers.options import Backoff, JobOptions, WorkerOptions
from nuxt_queue.managers.queue_events import QueueEvent
from nuxt_queue.managers.workers import Runtimes, WorkerInfo

__all__ = [
    "Backoff",
    "FileWorkerManager",
    "JobOptions",
    "JobRecord",
    "MemoryWorkerManager",
    "QueueEvent",
    "Runtimes",
    "WorkerInfo",
    "WorkerManager",
    "WorkerOptions",
]
