"""How a serving app is doing: for a person, a probe, and Prometheus."""

from nuxt_queue.monitoring.endpoint import Endpoint
from nuxt_queue.monitoring.health import Health
from nuxt_queue.monitoring.snapshot import Snapshot, take_snapshot

__all__ = ["Endpoint", "Health", "Snapshot", "take_snapshot"]
