"""Log lines of jobs as a person reads them, and as JSON for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nuxt_queue.cli.output import print_json, put
from nuxt_queue.services.flow_status import iso_time
from nuxt_queue.text import one_line, quoted
from nuxt_queue.timeline import brief

if TYPE_CHECKING:
    from rich.console import Console

    from nuxt_queue.managers.job_logs import LogRecord

__all__ = ["LogLine", "LogPrinter", "lines_of"]

_STYLES = {"error": "red", "warn": "yellow", "debug": "dim"}
_KIND = 6  # characters of "stderr", the longest


@dataclass(frozen=True)
class LogLine:
    """A log line, and whose it is.

    Attributes:
        record: The line.
        step: The step of the flow that logged it; empty for a job by itself.
    """

    record: LogRecord
    step: str = ""

    def to_wire(self) -> dict[str, Any]:
        """Return it for programs."""
        return {**({"step": self.step} if self.step else {}), **self.record.to_wire()}


def lines_of(line: LogLine, stamp: str, width: int = 0) -> list[str]:
    """Return a log line as lines of text: the first of its message, the others behind a gutter.

    Args:
        line: The line.
        stamp: Its time, as it is shown.
        width: Of the column of the steps.
    """
    record = line.record
    first, _, rest = record.message.partition("\n")
    step = f"{one_line(line.step):<{width}}  " if width else ""
    again = f"#{record.attempt} " if (record.attempt or 1) > 1 else ""
    extra = "".join(f"  {one_line(k)}={one_line(brief(v))}" for k, v in record.metadata.items())
    kind = record.stream or record.level
    shown = f"{stamp}  {step}{again}{kind:<{_KIND}}  {one_line(first)}{extra}"
    return [shown.rstrip(), *(quoted(rest) if rest else [])]


class LogPrinter:
    """Prints log lines: coloured with short times on a terminal, else whole lines for a program.

    Args:
        as_json: Whether each line is a JSON object.
        common: What each of these objects begins with.
        width: Of the column of the steps; 0 for a job by itself.
    """

    def __init__(self, *, as_json: bool, common: dict[str, str], width: int = 0) -> None:
        self._as_json, self._common, self._width = as_json, common, width
        self._day = ""

    def print(self, lines: Iterable[LogLine]) -> None:
        """Print lines."""
        for line in lines:
            if self._as_json:
                print_json({**self._common, **line.to_wire()}, indent=None)
            elif sys.stdout.isatty():
                self._show(line)
            else:
                at = line.record.id / 1e6
                stamp = iso_time(at) if at else "-"
                for text in lines_of(line, stamp, self._width):
                    put(text)

    def _show(self, line: LogLine) -> None:
        at = time.localtime(line.record.id / 1e6) if line.record.id else None
        day = time.strftime("%Y-%m-%d", at) if at else self._day
        if day != self._day:
            self._day = day
            self._console.print(day, style="dim", markup=False)
        stamp = time.strftime("%H:%M:%S", at) if at else "-" * 8
        style = _STYLES.get(line.record.level) if line.record.stream is None else None
        for text in lines_of(line, stamp, self._width):
            self._console.print(text, style=style, markup=False, soft_wrap=True)

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(highlight=False, emoji=False)
