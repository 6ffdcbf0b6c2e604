"""The job as a handler sees it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

__all__ = ["Job"]

_ENVELOPE_MARKS = frozenset({"id", "name", "opts", "attemptsMade"})


class Job(dict):  # type: ignore[type-arg]  # subscripting a base costs an import of typing
    """A dictionary with `id`, `name`, `data` (the payload), `attemptsMade` and `opts`.

    A key that the job itself does not have is looked up in `data`, so that code written for a host
    that passes the bare payload works too.
    """

    @classmethod
    def of(cls, given: Any, context: Mapping[str, Any], subscribes: Collection[str] = ()) -> Job:
        """Make the job from what a host sent, whatever its shape.

        Args:
            given: An envelope `{id, name, data, ...}`, or the bare payload.
            context: The wire's context, which names a job that came without an envelope.
            subscribes: The events that start this step.  When the payload is keyed by them, `data`
                becomes the payload of the one event, and `inputs` keeps them apart.
        """
        is_envelope = (
            isinstance(given, dict)
            and "data" in given
            and (len(given) == 1 or not _ENVELOPE_MARKS.isdisjoint(given))
        )
        job = cls(
            id=context.get("jobId"),
            name=context.get("stepName"),
            data=given,
            attemptsMade=max((context.get("attempt") or 1) - 1, 0),
            opts={},
        )
        if is_envelope:
            job.update(given)
        data = job["data"]
        if "inputs" not in job and isinstance(data, dict) and data and set(data) <= set(subscribes):
            job["inputs"] = data
            if len(data) == 1:
                (job["data"],) = data.values()
        return job

    def __missing__(self, key: str) -> Any:
        data = self.get("data")
        if isinstance(data, dict) and key in data:
            return data[key]
        raise KeyError(key)

    @property
    def id(self) -> str:
        """The job's id in its queue."""
        return str(self.get("id"))

    @property
    def name(self) -> str | None:
        """The job's name, which is the step's name in a flow."""
        name: str | None = self.get("name")
        return name

    @property
    def data(self) -> Any:
        """The payload."""
        return self.get("data")

    input = data

    @property
    def inputs(self) -> dict[str, Any]:
        """The payload of each event that started this step; empty for other jobs."""
        inputs: dict[str, Any] = self.get("inputs") or {}
        return inputs
