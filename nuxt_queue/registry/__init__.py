"""Finds workers: walks a folder, reads their configs without running them, says what is wrong."""

from nuxt_queue.registry.entry import Problem, WorkerEntry
from nuxt_queue.registry.python import read_config
from nuxt_queue.registry.scan import ScanResult, read_worker, scan

__all__ = ["Problem", "ScanResult", "WorkerEntry", "read_config", "read_worker", "scan"]
