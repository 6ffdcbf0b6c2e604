"""What a worker and a project may state, checked: milliseconds at the edge, one line when wrong."""

from nuxt_queue.config.process import ProcessSettings
from nuxt_queue.config.project import (
    KNOWN_RUNTIMES,
    NODE_SUFFIXES,
    BackendName,
    ProjectConfig,
    RedisConfig,
    RuntimeConfig,
    home_runtime,
)
from nuxt_queue.config.warnings import config_warnings
from nuxt_queue.config.worker import FlowConfig, QueueConfig, WorkerConfig, complete_config

__all__ = [
    "KNOWN_RUNTIMES",
    "NODE_SUFFIXES",
    "BackendName",
    "FlowConfig",
    "ProcessSettings",
    "ProjectConfig",
    "QueueConfig",
    "RedisConfig",
    "RuntimeConfig",
    "WorkerConfig",
    "complete_config",
    "config_warnings",
    "home_runtime",
]
