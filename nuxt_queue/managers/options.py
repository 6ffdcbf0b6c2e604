"""What a job and a worker may ask for; read strictly, because an ignored option is a lie."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from nuxt_queue.errors import QueueError

__all__ = ["MAX_DELAY_MS", "Backoff", "JobOptions", "WorkerOptions"]

# 24 days: beyond, 2 ** attempts overflows the timers of the event loop, and of Node.
MAX_DELAY_MS = 2**31 - 1


def _wire_name(name: str) -> str:
    return to_camel(name.removesuffix("_ms"))


class _Options(BaseModel):
    """Options by their Python name or the host's camelCase name; frozen, nothing unknown."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=_wire_name,
        populate_by_name=True,
    )

    kind: ClassVar[str]

    @classmethod
    def read(cls, raw: Self | Mapping[str, Any] | None, *, refused: Mapping[str, str]) -> Self:
        """Check options given by a caller or a host; None values count as not given.

        Args:
            raw: The options.
            refused: What the engine at hand cannot do: the option's wire name and what to do.

        Raises:
            QueueError: An option is unknown, refused or wrong; the message names it.
        """
        given = raw.to_wire() if isinstance(raw, _Options) else dict(raw or {})
        given = {name: value for name, value in given.items() if value is not None}
        for name in given:
            if name in refused:
                raise QueueError(f'{cls.kind} option "{name}" {refused[name]}')
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise QueueError(cls._sentence(error)) from None

    def to_wire(self) -> dict[str, Any]:
        """Return the options that were given, in camelCase."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def over(self, defaults: Self | None) -> Self:
        """Return these options, completed by the defaults for what was not given."""
        if defaults is None:
            return self
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return defaults.model_copy(update=given)

    @classmethod
    def _sentence(cls, error: ValidationError) -> str:
        first = error.errors(include_url=False)[0]
        # A union adds the name of the member it tried to the place.
        name = ".".join(str(part) for part in first["loc"] if part not in ("bool", "int"))
        if first["type"] != "extra_forbidden" or len(first["loc"]) > 1:
            return f'{cls.kind} option "{name}" is {first["input"]!r}: {first["msg"].lower()}'
        known = [field.alias or key for key, field in cls.model_fields.items()]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f'did you mean "{close[0]}"?' if close else f"known: {', '.join(sorted(known))}"
        return f'unknown {cls.kind} option "{name}"; {hint}'


class Backoff(_Options):
    """The wait between attempts: always `delay`, or `delay * 2 ** (attempts made - 1)`."""

    kind: ClassVar[str] = "backoff"

    type: Literal["fixed", "exponential"] = "fixed"
    delay_ms: int = Field(default=0, ge=0)


Kept = bool | Annotated[int, Field(ge=0)]


class JobOptions(_Options):
    """Options of one job.

    Attributes:
        attempts: How often it may run in all; 0 counts as 1.
        backoff: The wait between attempts; a number is a fixed one in milliseconds.
        delay_ms: Milliseconds before it may run (wire: `delay`).
        priority: 1 runs first, larger later; 0 is no priority and runs before every other.
        job_id: Its id; a second job of that id is not made.
        timeout_ms: Milliseconds one attempt may take (wire: `timeout`).
        remove_on_complete: Forget it when completed; a number keeps that many.
        remove_on_fail: Forget it when it failed; a number keeps that many.
        lifo: Run it before what already waits at no priority.
    """

    kind: ClassVar[str] = "job"

    attempts: int = Field(default=1, ge=0)
    backoff: Backoff = Backoff()
    delay_ms: int = Field(default=0, ge=0, le=MAX_DELAY_MS)
    priority: int = Field(default=0, ge=0, le=2**21)  # BullMQ's limit
    job_id: str | None = Field(default=None, min_length=1)
    timeout_ms: int | None = Field(default=None, gt=0, le=MAX_DELAY_MS)
    remove_on_complete: Kept = False
    remove_on_fail: Kept = False
    lifo: bool = False

    @field_validator("backoff", mode="before")
    @classmethod
    def _fixed(cls, given: Any) -> Any:
        return {"delay": given} if type(given) is int else given

    @property
    def max_attempts(self) -> int:
        """How often the job may run in all."""
        return self.attempts or 1

    def retry_delay_ms(self, attempts_made: int) -> int:
        """Return the wait before the next attempt, when `attempts_made` have failed."""
        doublings = 0 if self.backoff.type == "fixed" else attempts_made - 1
        # 31 doublings reach the limit from 1 ms.
        return min(self.backoff.delay_ms << min(doublings, 31), MAX_DELAY_MS)


class WorkerOptions(_Options):
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
    """

    kind: ClassVar[str] = "worker"

    runtime: str | None = None
    path: Path | None = Field(default=None, strict=False)
    concurrency: int = Field(default=1, ge=1)
    timeout_ms: int | None = Field(default=None, gt=0, le=MAX_DELAY_MS)
    subscribes: tuple[str, ...] = Field(default=(), strict=False)
    autorun: bool = True
    process: Literal["spawn", "fork", "reuse"] = "spawn"
    default_job_options: JobOptions | None = None
