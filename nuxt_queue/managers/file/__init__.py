"""The queue in one SQLite file: many processes of one machine, no server."""

from nuxt_queue.managers.file.manager import FileWorkerManager

__all__ = ["FileWorkerManager"]
