"""State, events and flows in one SQLite file, shared by the processes of one machine."""

from nuxt_queue.services.sqlite.database import Database, Durability
from nuxt_queue.services.sqlite.stores import (
    SqliteEventStream,
    SqliteFlowStore,
    SqliteStateStore,
)

__all__ = [
    "Database",
    "Durability",
    "SqliteEventStream",
    "SqliteFlowStore",
    "SqliteStateStore",
]
