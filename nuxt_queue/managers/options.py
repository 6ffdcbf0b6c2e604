"""What a job and a worker may ask for; read strictly, because an ignored option is a lie."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from nuxt_queue.config.bounds import MAX_AGE_S, MAX_COUNT, MAX_MS, MAX_PRIORITY
from nuxt_queue.errors import QueueError
from nuxt_queue.services.cron import next_time

__all__ = [
    "Backoff",
    "JobOptions",
    "KeepJobs",
    "Limiter",
    "Repeat",
    "StartWindow",
    "WorkerOptions",
]


_UNION_MEMBERS = ("bool", "int", "KeepJobs", "constrained-int")


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
        # Of a union's members, the one that came furthest is the one that was meant: deepest into
        # the value, or beyond its type.
        first = max(
            error.errors(include_url=False),
            key=lambda each: (len(each["loc"]), not each["type"].endswith("_type")),
        )
        # A union adds the name of the member it tried to the place.
        name = ".".join(str(part) for part in first["loc"] if part not in _UNION_MEMBERS)
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
    delay_ms: int = Field(default=0, ge=0, le=MAX_MS)


class KeepJobs(_Options):
    """Which ended jobs are kept.

    Attributes:
        age: Seconds for which they are kept.
        count: How many are kept, the newest.
    """

    kind: ClassVar[str] = "removal"

    age: int | None = Field(default=None, ge=0, le=MAX_AGE_S)
    count: int | None = Field(default=None, ge=0, le=MAX_COUNT)

    @classmethod
    def of(cls, kept: Kept) -> KeepJobs:
        """Return the policy that a job's option stands for."""
        if isinstance(kept, KeepJobs):
            return kept
        if isinstance(kept, bool):
            return KeepJobs(count=0) if kept else KeepJobs()
        return KeepJobs(count=kept)


class Repeat(_Options):
    """When a job comes again: by a cron pattern, or at every multiple of a time.

    Attributes:
        pattern: Minute, hour, day, month, weekday (wire: `pattern` or `cron`).
        every_ms: Milliseconds; counted from the epoch, so that every manager means the same
            moments (wire: `every`).
        tz: The time zone of the pattern; UTC unless given.
        limit: How many times it comes.
        count: Which time this is; set by the manager.
    """

    kind: ClassVar[str] = "repeat"

    pattern: str | None = None
    every_ms: int | None = Field(default=None, ge=1, le=MAX_MS)
    tz: str | None = None
    limit: int | None = Field(default=None, ge=1, le=MAX_COUNT)
    count: int = Field(default=0, ge=0, le=MAX_COUNT)

    @model_validator(mode="before")
    @classmethod
    def _one_of_them(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        given = {name: value for name, value in given.items() if value is not None}
        if "cron" in given and "pattern" not in given:
            given["pattern"] = given.pop("cron")
        if ("pattern" in given) == ("every" in given or "every_ms" in given):
            raise ValueError("give either a cron pattern or every, in milliseconds")
        return given

    def next_ms(self, after_ms: float) -> int | None:
        """Return the next moment after one, in unix milliseconds; None when there is none.

        Raises:
            QueueError: The pattern or the time zone is wrong.
        """
        if self.every_ms is not None:
            return int(after_ms // self.every_ms + 1) * self.every_ms
        found = next_time(self.pattern or "", after_ms / 1000, self.tz)
        return None if found is None else round(found * 1000)

    def key(self, job_name: str) -> str:
        """Return what is the same for each time of one repeated job."""
        said = [job_name, self.pattern, self.every_ms, self.tz]
        digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()
        return f"repeat-{digest[:16]}"


class Limiter(_Options):
    """How many jobs of a queue may start in a time, whichever managers start them.

    Attributes:
        max: How many.
        duration_ms: In how many milliseconds (wire: `duration`).
    """

    kind: ClassVar[str] = "limiter"

    max: int = Field(ge=1, le=MAX_COUNT)
    duration_ms: int = Field(ge=1, le=MAX_MS)


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


Kept = bool | Annotated[int, Field(ge=0, le=MAX_COUNT)] | KeepJobs


class JobOptions(_Options):
    """Options of one job.

    Attributes:
        attempts: How often it may run in all; 0 counts as 1.
        backoff: The wait between attempts; a number is a fixed one in milliseconds.
        delay_ms: Milliseconds before it may run (wire: `delay`).
        priority: 1 runs first, larger later; 0 is no priority and runs before every other.
        job_id: Its id; a second job of that id is not made.
        timeout_ms: Milliseconds one attempt may take (wire: `timeout`).
        remove_on_complete: Forget it when completed; a number keeps that many, `{age, count}` those
            of the last seconds and no more than that many.
        remove_on_fail: The same for when it failed.
        lifo: Run it before what already waits at no priority.
        keep_logs: How many of its log lines are kept with it, the newest; 1,000 unless given.
        repeat: When it comes again.
    """

    kind: ClassVar[str] = "job"

    attempts: int = Field(default=1, ge=0, le=MAX_COUNT)
    backoff: Backoff = Backoff()
    delay_ms: int = Field(default=0, ge=0, le=MAX_MS)
    priority: int = Field(default=0, ge=0, le=MAX_PRIORITY)
    job_id: str | None = Field(default=None, min_length=1)
    timeout_ms: int | None = Field(default=None, gt=0, le=MAX_MS)
    remove_on_complete: Kept = False
    remove_on_fail: Kept = False
    lifo: bool = False
    keep_logs: int = Field(default=1_000, ge=0, le=MAX_COUNT)
    repeat: Repeat | None = None

    @field_validator("backoff", mode="before")
    @classmethod
    def _fixed(cls, given: Any) -> Any:
        return {"delay": given} if type(given) is int else given

    @property
    def max_attempts(self) -> int:
        """How often the job may run in all."""
        return self.attempts or 1

    def may_be_lost_in(self, attempt: int) -> bool:
        """Tell whether a job runs again whose manager was lost in this attempt of it.

        Such an attempt counts: a job that kills its manager must not do so for ever.  But the
        first is never the last, or a job of one attempt would be lost to somebody else's end.
        """
        return attempt < max(self.max_attempts, 2)

    def retry_delay_ms(self, attempts_made: int) -> int:
        """Return the wait before the next attempt, when `attempts_made` have failed."""
        doublings = 0 if self.backoff.type == "fixed" else attempts_made - 1
        # 31 doublings reach the limit from 1 ms.
        return min(self.backoff.delay_ms << min(doublings, 31), MAX_MS)


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
        limiter: How many jobs of the queue may start in a time; the last registration's counts.
    """

    kind: ClassVar[str] = "worker"

    runtime: str | None = None
    path: Path | None = Field(default=None, strict=False)
    concurrency: int = Field(default=1, ge=1, le=MAX_COUNT)
    timeout_ms: int | None = Field(default=None, gt=0, le=MAX_MS)
    subscribes: tuple[str, ...] = Field(default=(), strict=False)
    autorun: bool = True
    process: Literal["spawn", "fork", "reuse"] = "spawn"
    default_job_options: JobOptions | None = None
    limiter: Limiter | None = None

    @field_validator("default_job_options", mode="after")
    @classmethod
    def _no_repeat(cls, given: JobOptions | None) -> JobOptions | None:
        if given is not None and given.repeat is not None:
            raise ValueError("a job repeats when it is enqueued so, not by default")
        return given
