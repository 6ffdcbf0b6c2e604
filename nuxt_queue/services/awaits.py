"""What a step waits for beside its events: a time, a schedule, an event, a call from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from nuxt_queue.config.cron import next_time
from nuxt_queue.errors import QueueError
from nuxt_queue.rpc.pieces import opened
from nuxt_queue.services.kept import fields_of, known_fields

__all__ = ["Await", "Position", "check_await"]

Position = Literal["before", "after"]

_DAY_MS = 24 * 60 * 60 * 1000  # how long the host waits for a call or an event
_LIMITED = frozenset({"webhook", "event"})


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_delay(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_limit(value: Any) -> bool:
    return _is_delay(value) and value > 0


def _is_action(value: Any) -> bool:
    return value in ("fail", "continue")


_Setting = tuple[Callable[[Any], bool], str]
# What each type needs and may have: whether a value is one, and what to call it.
_NEEDS: dict[str, dict[str, _Setting]] = {
    "time": {"delay": (_is_delay, "whole milliseconds, 0 or more")},
    "schedule": {"cron": (_is_text, "a cron pattern")},
    "event": {"event": (_is_text, "the name of an event")},
    "webhook": {},
}
_MAY: dict[str, dict[str, _Setting]] = {
    "time": {},
    "schedule": {"timezone": (_is_text, "a time zone")},
    "event": {"filterKey": (_is_text, "the name of a field")},
    "webhook": {"method": (_is_text, "a method of HTTP")},
}
_ALWAYS: dict[str, _Setting] = {
    "timeout": (_is_limit, "whole milliseconds, 1 or more"),
    "timeoutAction": (_is_action, '"fail" or "continue"'),
}


@dataclass(frozen=True, slots=True)
class Await:
    """One step of one run that waits.

    Attributes:
        step: The step.
        position: `before` it runs, or `after` it ran and before its completion counts.
        config: What it waits for, in the host's form.
        since: When it began to wait, in unix seconds.
        resolves_at: When it has waited long enough; None when something must happen.
        expires_at: When it gives up; None when it does not.
        held: What goes on when the wait is over: the step's input, or what it has emitted.
    """

    step: str
    position: Position
    config: Mapping[str, Any]
    since: float
    resolves_at: float | None = None
    expires_at: float | None = None
    held: Any = field(default=None)

    @classmethod
    def begin(
        cls, step: str, position: Position, config: Mapping[str, Any], now: float, held: Any
    ) -> Self:
        """Return a wait that begins now."""
        kind, resolves_at = config["type"], None
        if kind == "time":
            resolves_at = now + config["delay"] / 1000
        elif kind == "schedule":
            resolves_at = next_time(config["cron"], now, config.get("timezone"))
        timeout_ms = config.get("timeout") or (_DAY_MS if kind in _LIMITED else None)
        expires_at = now + timeout_ms / 1000 if timeout_ms else None
        return cls(step, position, config, now, resolves_at, expires_at, held)

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Self:
        """Return the wait that `to_json` wrote."""
        return cls(**known_fields(cls, kept))

    def to_json(self) -> dict[str, Any]:
        """Return the wait as plain JSON data."""
        return fields_of(self)

    @property
    def due_at(self) -> float | None:
        """When something must be done about it, if nothing happens before."""
        times = [at for at in (self.resolves_at, self.expires_at) if at is not None]
        return min(times, default=None)

    @property
    def fails(self) -> bool:
        """Whether giving up fails the run; otherwise the step goes on without an answer."""
        return bool(self.config.get("timeoutAction", "fail") == "fail")

    def hears(self, event: str, payload: Any, run_input: Any) -> bool:
        """Tell whether an event ends the wait.

        With `filterKey`, only one that has the same value there as the run's input.
        """
        if self.config["type"] != "event" or self.config.get("event") != event:
            return False
        key = self.config.get("filterKey")
        if key is None:
            return True
        payload, run_input = opened(payload), opened(run_input)
        if not (isinstance(payload, Mapping) and isinstance(run_input, Mapping)):
            return False
        missing = object()
        wanted: object = run_input.get(key, missing)
        return wanted is not missing and bool(payload.get(key) == wanted)


def check_await(config: Mapping[str, Any], where: str) -> None:
    """Raise QueueError when a step could not wait as it is told to.

    Args:
        config: The host's form of `awaitBefore` or `awaitAfter`.
        where: What to call it in the message.
    """
    kind = config.get("type")
    if not isinstance(kind, str) or kind not in _NEEDS:
        raise QueueError(f"{where}.type is {kind!r}; known: {', '.join(_NEEDS)}")
    known = {**_NEEDS[kind], **_MAY[kind], **_ALWAYS}
    for key, value in config.items():
        if key != "type" and key not in known:
            raise QueueError(f"{where}.{key} is not for {kind}; it takes {', '.join(known)}")
        if key != "type" and not known[key][0](value):
            raise QueueError(f"{where}.{key} is {value!r}; expected {known[key][1]}")
    for key, (_, expected) in _NEEDS[kind].items():
        if key not in config:
            raise QueueError(f"{where}.{key} is missing; expected {expected}")
    if kind == "schedule" and next_time(config["cron"], 0, config.get("timezone")) is None:
        raise QueueError(f'{where}.cron "{config["cron"]}" never comes round')
