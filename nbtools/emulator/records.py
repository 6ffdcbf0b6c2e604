"""Records of `logging`, and warnings, of a run in a notebook: its log lines, as in production."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from nuxt_queue.sdk.context import RunContext
from nuxt_queue.sdk.records import send_records

__all__ = ["records_of"]


@dataclass(frozen=True, slots=True)
class _Run:
    ctx: RunContext
    streams: tuple[Any, ...]


_run: ContextVar[_Run | None] = ContextVar("_run", default=None)


@contextmanager
def records_of(ctx: RunContext) -> Iterator[None]:
    """Make records and warnings log lines of this run instead of output of the cell."""
    send_records(_send, _is_standard)
    token = _run.set(_Run(ctx, (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)))
    try:
        yield
    finally:
        _run.reset(token)


def _send(level: str, message: str, metadata: dict[str, Any]) -> bool:
    run = _run.get()
    if run is None:
        return False
    run.ctx.logger.log(level, message, metadata)
    return True


def _is_standard(stream: Any) -> bool:
    run = _run.get()
    return run is not None and any(stream is each for each in run.streams)
