"""Health: whether a serving app can do its work, and if not, why."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

from nuxt_queue.app import App
from nuxt_queue.monitoring.snapshot import take_snapshot

__all__ = ["Health"]

_ANSWER_S = 2.0  # below the timeout of a usual probe


@dataclass(slots=True)
class Health:
    """Answers a probe.

    A worker that cannot be used is told and is no failure: the others are served all the same.

    Args:
        app: What serves.

    Attributes:
        stopping: Whether it has been told to stop, so that it takes no jobs.
    """

    app: App
    stopping: bool = False
    _began: float = field(default_factory=time.monotonic)

    def stop(self) -> None:
        """Answer from now on that no more jobs are taken."""
        self.stopping = True

    async def check(self) -> tuple[bool, dict[str, Any]]:
        """Return whether it is well, and what there is to say about it as JSON data."""
        app = self.app
        snapshot = await take_snapshot(app, within_s=_ANSWER_S)
        reasons = [snapshot.problem] if snapshot.problem else []
        if app.manager.trouble and app.manager.trouble not in reasons:
            reasons.append(app.manager.trouble)
        if not app.registrations.directory.is_dir():
            reasons.append(f"{app.registrations.directory} is gone")
        if self.stopping:
            reasons.append("stopping: no more jobs are taken")
        if not app.workers.entries:
            reasons.append(f"no workers in {app.registrations.directory}")
        told = {
            "status": "unavailable" if reasons else "ok",
            "reasons": reasons,
            "backend": app.manager.engine,
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._began, 1),
            "workers": len(app.registrations.served),
            "running": len(snapshot.running),
            "problems": [str(problem) for problem in app.workers.problems],
        }
        return not reasons, told
