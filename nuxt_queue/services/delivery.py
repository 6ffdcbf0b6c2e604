"""A job that a run of a flow has decided on, until it is known to be in its queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from nuxt_queue.services.kept import known_fields

__all__ = ["Delivery"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A job that a run has decided on and that may not be in its queue yet.

    Attributes:
        step: The step, and the name of the job.
        queue: Where it goes.
        job_id: The same whoever delivers it, so that it cannot be there twice.
        data: The job's data.
        opts: The options of the job, as on the wire.
        since: When it was decided on, in unix seconds.
    """

    step: str
    queue: str
    job_id: str
    data: Any
    opts: Mapping[str, Any]
    since: float

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Self:
        """Return the delivery that was kept as a mapping of its fields."""
        return cls(**known_fields(cls, kept))
