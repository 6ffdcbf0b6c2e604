"""What may be asked for a job and for a queue: stated once, for configs, calls, hosts and engines.

Read strictly, because an ignored option is a lie.  The description of a field says what it expects;
it is what an error message quotes.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from nuxt_queue.config.bounds import MAX_AGE_S, MAX_COUNT, MAX_MS, MAX_PRIORITY
from nuxt_queue.config.cron import next_time
from nuxt_queue.config.settings import Refusal, Settings, field_at, shown_path
from nuxt_queue.errors import QueueError

__all__ = ["Backoff", "JobDefaults", "JobOptions", "KeepJobs", "Limiter", "Options", "Repeat"]

_A_COUNT = f"a whole number from 0 to {MAX_COUNT}"
_A_NUMBER = f"a whole number from 1 to {MAX_COUNT}"
_A_TIME = f"whole milliseconds, from 1 to {MAX_MS}"
_A_DELAY = f"whole milliseconds, from 0 to {MAX_MS}"
_KEPT = f"true, false, how many to keep, up to {MAX_COUNT}, or {{age, count}}"


def _wire_name(name: str) -> str:
    return to_camel(name.removesuffix("_ms"))


class Options(Settings):
    """Options by their Python name or the host's camelCase name; None counts as not given."""

    model_config = ConfigDict(alias_generator=_wire_name, populate_by_name=True)

    kind: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _given(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        return {name: value for name, value in raw.items() if value is not None}

    @classmethod
    def read(cls, raw: Self | Mapping[str, Any] | None, *, refused: Mapping[str, str]) -> Self:
        """Check options given by a caller or a host; None values count as not given.

        Args:
            raw: The options.
            refused: What the engine at hand cannot do: the option's wire name and what to do.

        Raises:
            QueueError: An option is unknown, refused or wrong; the message names it.
        """
        given = raw.to_wire() if isinstance(raw, Options) else dict(raw or {})
        for name, value in given.items():
            if name in refused and value is not None:
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
        missing = defaults.model_fields_set - self.model_fields_set
        return self.model_copy(update={name: getattr(defaults, name) for name in missing})

    @classmethod
    def _sentence(cls, error: ValidationError) -> str:
        # Of a union's members, the one that came furthest is the one that was meant: deepest into
        # the value, or beyond its type.
        first = max(
            error.errors(include_url=False),
            key=lambda each: (len(each["loc"]), not each["type"].endswith("_type")),
        )
        name = shown_path("", first["loc"])[1:]
        owner, field = field_at(cls, first["loc"])
        what = f'{cls.kind} option "{name}"'
        if first["type"] == "extra_forbidden":
            known = [each.alias or key for key, each in owner.model_fields.items()]
            close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
            hint = f'did you mean "{close[0]}"?' if close else f"known: {', '.join(sorted(known))}"
            if owner is cls:
                return f"unknown {what}; {hint}"
            return f"{what} is {first['input']!r}, and there is no such option; {hint}"
        reason = first.get("ctx", {}).get("error")
        if isinstance(reason, Refusal):
            return f"{what} {reason}"
        expected = (field and field.description) or "a mapping of options"
        seen = "missing" if first["type"] == "missing" else repr(first["input"])
        return f"{what} is {seen}; expected {expected}"


class Backoff(Options):
    """The wait between attempts: always `delay`, or `delay * 2 ** (attempts made - 1)`."""

    kind: ClassVar[str] = "backoff"

    type: Literal["fixed", "exponential"] = Field(
        default="fixed", description='"fixed" or "exponential"'
    )
    delay_ms: int = Field(default=0, ge=0, le=MAX_MS, description=_A_DELAY)


class KeepJobs(Options):
    """Which ended jobs are kept.

    Attributes:
        age: Seconds for which they are kept.
        count: How many are kept, the newest.
    """

    kind: ClassVar[str] = "removal"

    age: int | None = Field(
        default=None, ge=0, le=MAX_AGE_S, description=f"whole seconds, from 0 to {MAX_AGE_S}"
    )
    count: int | None = Field(default=None, ge=0, le=MAX_COUNT, description=_A_COUNT)

    @classmethod
    def of(cls, kept: Kept) -> KeepJobs:
        """Return the policy that a job's option stands for."""
        if isinstance(kept, KeepJobs):
            return kept
        if isinstance(kept, bool):
            return KeepJobs(count=0) if kept else KeepJobs()
        return KeepJobs(count=kept)


class Repeat(Options):
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

    pattern: str | None = Field(default=None, description="a cron pattern")
    every_ms: int | None = Field(default=None, ge=1, le=MAX_MS, description=_A_TIME)
    tz: str | None = Field(default=None, description="a time zone such as Europe/Vienna")
    limit: int | None = Field(default=None, ge=1, le=MAX_COUNT, description=_A_NUMBER)
    count: int = Field(default=0, ge=0, le=MAX_COUNT, description=_A_COUNT)

    @model_validator(mode="before")
    @classmethod
    def _one_of_them(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        given = {name: value for name, value in given.items() if value is not None}
        if "cron" in given and "pattern" not in given:
            given["pattern"] = given.pop("cron")
        if ("pattern" in given) == ("every" in given or "every_ms" in given):
            raise Refusal("needs either a cron pattern or every, in milliseconds")
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


class Limiter(Options):
    """How many jobs of a queue may start in a time, whichever managers start them.

    Attributes:
        max: How many.
        duration_ms: In how many milliseconds (wire: `duration`).
    """

    kind: ClassVar[str] = "limiter"

    max: int = Field(ge=1, le=MAX_COUNT, description=_A_NUMBER)
    duration_ms: int = Field(ge=1, le=MAX_MS, description=_A_TIME)


Kept = bool | Annotated[int, Field(ge=0, le=MAX_COUNT)] | KeepJobs


class JobOptions(Options):
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

    attempts: int = Field(default=1, ge=0, le=MAX_COUNT, description=_A_COUNT)
    backoff: Backoff = Field(default=Backoff(), description="milliseconds or {type, delay}")
    delay_ms: int = Field(default=0, ge=0, le=MAX_MS, description=_A_DELAY)
    priority: int = Field(
        default=0,
        ge=0,
        le=MAX_PRIORITY,
        description=f"a whole number from 0 to {MAX_PRIORITY}",
    )
    job_id: str | None = Field(default=None, min_length=1, description="a string that is not empty")
    timeout_ms: int | None = Field(default=None, gt=0, le=MAX_MS, description=_A_TIME)
    remove_on_complete: Kept = Field(default=False, description=_KEPT)
    remove_on_fail: Kept = Field(default=False, description=_KEPT)
    lifo: bool = Field(default=False, description="true or false")
    keep_logs: int = Field(default=1_000, ge=0, le=MAX_COUNT, description=_A_COUNT)
    repeat: Repeat | None = Field(default=None, description="{cron | every, limit, tz}")

    @field_validator("backoff", mode="before")
    @classmethod
    def _fixed(cls, given: Any) -> Any:
        return {"type": "fixed", "delay": given} if type(given) is int else given

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


class JobDefaults(JobOptions):
    """What jobs of a queue get when they do not say; they repeat, and have ids, by themselves."""

    elsewhere: ClassVar[Mapping[str, str]] = {"retries": "queue.defaultJobOptions.attempts"}

    @model_validator(mode="after")
    def _for_many(self) -> Self:
        for name in ("repeat", "job_id"):
            if getattr(self, name) is not None:
                raise Refusal(f"holds {to_camel(name)}: a job states it when it is enqueued")
        return self
