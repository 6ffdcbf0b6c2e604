"""Metrics: what a serving app did and how its queues stand, for Prometheus."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from nuxt_queue.app import App
from nuxt_queue.monitoring.snapshot import take_snapshot
from nuxt_queue.services.events import Event
from nuxt_queue.text import one_line

__all__ = ["Metrics"]

_ANSWER_S = 5.0  # half of what Prometheus waits for a scrape
_MOST_ATTEMPTS = 10_000  # that began; one that was interrupted may end elsewhere
_NO_WORKER = "unknown"
_OUTCOMES = {"step.completed": "completed", "step.failed": "failed", "step.retry": "retried"}
_ENDINGS = {"flow.completed": "completed", "flow.failed": "failed", "flow.cancel": "cancelled"}
# From a job that only looks something up to a training of an hour.
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


class Metrics:
    """Counts what happens here, and looks at the queues when it is asked.

    The counts of attempts are this process's own; the jobs by state are the queues', so that every
    process that serves them says the same.

    Args:
        app: What serves.
    """

    def __init__(self, app: App) -> None:
        self._app, self._registry = app, CollectorRegistry()
        self._started: dict[str, tuple[str, float]] = {}  # queue and time, by attempt
        ProcessCollector(registry=self._registry)
        self._jobs = Gauge(
            "nq_jobs", "Jobs of a queue by state.", ["queue", "state"], registry=self._registry
        )
        self._up = Gauge(
            "nq_queues_up", "Whether the queues could be looked at.", registry=self._registry
        )
        self._workers = Gauge("nq_workers", "Workers that are served.", registry=self._registry)
        self._attempts = Counter(
            "nq_job_attempts",
            "Attempts that ended here, by their outcome.",
            ["queue", "job", "outcome"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "nq_job_attempt_seconds",
            "How long attempts took, their process included.",
            ["queue", "job"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._flows = Counter(
            "nq_flow_runs",
            "Runs of flows that ended here, by their outcome.",
            ["flow", "outcome"],
            registry=self._registry,
        )

    def hear(self, event: Event) -> None:
        """Count an event."""
        job, attempt = event.step_name or "", event.step_id or ""
        if event.type == "step.started":
            self._started[attempt] = (event.data["queue"], event.ts)
            if len(self._started) > _MOST_ATTEMPTS:
                del self._started[next(iter(self._started))]
        elif event.type in _OUTCOMES:
            queue, since = self._started.pop(attempt, ("", event.ts))
            # Whoever enqueues can invent names, and each would be a series for ever.
            job = job if self._app.manager.get_worker(queue, job) else _NO_WORKER
            queue, job = one_line(queue), one_line(job)
            self._attempts.labels(queue, job, _OUTCOMES[event.type]).inc()
            self._seconds.labels(queue, job).observe(max(0.0, event.ts - since))
        elif event.type in _ENDINGS:
            flow = one_line(event.flow_name or "")
            self._flows.labels(flow, _ENDINGS[event.type]).inc()

    async def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        snapshot = await take_snapshot(self._app, within_s=_ANSWER_S)
        self._up.set(0 if snapshot.problem else 1)
        self._workers.set(len(self._app.registrations.served))
        self._jobs.clear()  # what cannot be seen is not told, instead of told wrongly
        for queue, counts in snapshot.counts.items():
            for state, count in counts.items():
                self._jobs.labels(one_line(queue), state).set(count)
        return generate_latest(self._registry)
