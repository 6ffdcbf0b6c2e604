"""What a registration may ask for, and the window of a limiter; jobs are in `config.jobs`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from nuxt_queue.config.bounds import MAX_COUNT, MAX_MS
from nuxt_queue.config.jobs import (
    Backoff,
    JobDefaults,
    JobOptions,
    KeepJobs,
    Limiter,
    Options,
    Repeat,
)

__all__ = [
    "Backoff",
    "JobOptions",
    "KeepJobs",
    "Limiter",
    "Repeat",
    "StartWindow",
    "WorkerOptions",
]


@dataclass(slots=True)
class StartWindow:
    """How many jobs have started in the time that a limiter counts.

    Attributes:
        opened_ms: When the time began, in unix milliseconds.
        count: How many have started since.
    """

    opened_ms: int = 0
    count: int = 0

    def start(self, limiter: Limiter, now_ms: int) -> int:
        """Count a start and return 0, or return the milliseconds until one may start."""
        # A process that waited its turn looked at the clock a little before the one ahead of it;
        # a clock that was set back further than the limiter counts begins anew.
        if abs(now_ms - self.opened_ms) >= limiter.duration_ms:
            self.opened_ms, self.count = now_ms, 0
        if self.count >= limiter.max:
            return self.opened_ms + limiter.duration_ms - now_ms
        self.count += 1
        return 0


class WorkerOptions(Options):
    """Options of one registration.

    Attributes:
        runtime: `inprocess` for a Python callable `(job, ctx)`, `python` and others for a worker
            file; None for a ready JobHandler.
        path: The worker file, for a runtime that starts one.
        concurrency: How many jobs of the queue may run at once; the largest of a queue counts.
        timeout_ms: Milliseconds one attempt may take (wire: `timeout`).
        subscribes: The events that start this step; they tell which part of a flow job's input is
            the payload.
        autorun: False leaves the queue at rest until `start_queue`.
        process: How a runtime starts its process.
        default_job_options: What jobs of this name get when they do not say (wire:
            `defaultJobOptions`).
        limiter: How many jobs of the queue may start in a time; the last registration's counts.
    """

    kind: ClassVar[str] = "worker"

    runtime: str | None = Field(default=None, description="the name of a runtime")
    path: Path | None = Field(default=None, strict=False, description="the path of a file")
    concurrency: int = Field(
        default=1, ge=1, le=MAX_COUNT, description=f"a whole number from 1 to {MAX_COUNT}"
    )
    timeout_ms: int | None = Field(
        default=None, gt=0, le=MAX_MS, description=f"whole milliseconds, from 1 to {MAX_MS}"
    )
    subscribes: tuple[str, ...] = Field(default=(), strict=False, description="the names of events")
    autorun: bool = Field(default=True, description="true or false")
    process: Literal["spawn", "fork", "reuse"] = Field(
        default="spawn", description='"spawn", "fork" or "reuse"'
    )
    default_job_options: JobDefaults | None = Field(
        default=None, description="a mapping of job options"
    )
    limiter: Limiter | None = Field(default=None, description="{max, duration}")
