"""Warnings: what a legal config says that its author probably does not mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nuxt_queue.config.project import KNOWN_RUNTIMES
from nuxt_queue.config.settings import SUSPICIOUS_MS, closest, suspicious_ms

__all__ = ["config_warnings"]

_TIMEOUTS = (
    ("timeout",),
    ("worker", "timeout"),
    ("flow", "stepTimeout"),
    ("queue", "defaultJobOptions", "timeout"),
)


def config_warnings(config: Mapping[str, Any]) -> list[str]:
    """Return one line for each thing that a host would read otherwise than its author expects.

    Args:
        config: A worker's config, as the file states it or completed.  As stated it tells more:
            completing it mends some of what is warned about.
    """
    return [*_timeouts(config), *_worker(config), *_queue(config), *_flow(config)]


def _timeouts(config: Mapping[str, Any]) -> Iterator[str]:
    seen = set()
    for keys in _TIMEOUTS:
        value = _at(config, *keys)
        if type(value) is int and 0 < value < SUSPICIOUS_MS and value not in seen:
            seen.add(value)
            yield suspicious_ms(".".join(("config", *keys)), value)


def _worker(config: Mapping[str, Any]) -> Iterator[str]:
    for key in ("runtime", "concurrency", "timeout"):
        flat, nested = _at(config, key), _at(config, "worker", key)
        if flat is not None and nested is not None and flat != nested:
            yield f"config.worker.{key} {nested!r} wins over config.{key} {flat!r}; state it once"
    runtime = _at(config, "worker", "runtime") or _at(config, "runtime")
    if isinstance(runtime, str) and runtime not in KNOWN_RUNTIMES:
        close = closest(runtime, KNOWN_RUNTIMES)
        if close:
            yield f'config.runtime "{runtime}" is not built in; did you mean "{close}"?'


def _queue(config: Mapping[str, Any]) -> Iterator[str]:
    queue = config.get("queue")
    if isinstance(queue, str):
        yield f'config.queue is a string, which the host ignores; write {{"name": "{queue}"}}'


def _flow(config: Mapping[str, Any]) -> Iterator[str]:
    flow = config.get("flow")
    if not isinstance(flow, Mapping) or not flow:
        return
    if not flow.get("name"):
        yield 'config.flow has no name, so the host drops the flow; add "name": "<the flow>"'
        return
    subscribes = flow.get("subscribes")
    if "role" not in flow:
        role = "step" if subscribes else "entry"
        yield f'config.flow has no role; taken as "{role}", which a host may not do; state it'
    elif flow["role"] == "entry" and subscribes:
        yield "config.flow.subscribes has no effect on an entry: starting the flow starts it"
    elif flow["role"] == "step" and not subscribes:
        yield "config.flow.subscribes is empty, so nothing starts this step; name an event"
    if isinstance(flow.get("emits"), str):
        yield "config.flow.emits is a string, which the host reads letter by letter; write a list"


def _at(config: Mapping[str, Any], *keys: str) -> Any:
    value: Any = config
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
