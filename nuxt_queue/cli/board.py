"""Board: the queues, the running jobs and the last events, on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import termios
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nuxt_queue.cli.happenings import Happening, Narrator
from nuxt_queue.managers import JobRecord
from nuxt_queue.monitoring import Snapshot, take_snapshot
from nuxt_queue.services.events import Event
from nuxt_queue.text import one_line

if TYPE_CHECKING:
    from nuxt_queue.app import App

__all__ = ["Board"]

_LOOK_S = 1.0  # between two looks at the queues: what is faster cannot be read
_SOON_S = 0.2  # after an event: a burst is one new picture
_ANSWER_S = 5.0
_MOST_EVENTS = 200
_LAST_LINES = 16  # of the picture that stays
_STATES = ("waiting", "active", "delayed", "failed", "completed")
_WIDE, _NAME, _NARROW_NAME = 80, 28, 6  # columns; an id is 28 long
_SHORT = ("wait", "run", "late", "fail", "done")  # of the states, where there is less room
_HEADS_WIDE = 60
_GAP = 3  # columns between two of a table
_LEAST_QUEUES = 3
_LEAST_EVENTS = 3  # lines that are left to them however many jobs run


class Board:
    """Shows a picture that is drawn anew every second, and at once when something happens.

    It has the screen for itself, as `top` has; what was there is back afterwards, with the last
    picture below it.

    Args:
        title: What is served, from where.
    """

    def __init__(self, title: str) -> None:
        self._title, self._since = one_line(title), time.monotonic()
        self._console = Console(highlight=False)
        self._narrator = Narrator()
        self._events: deque[Happening] = deque(maxlen=_MOST_EVENTS)
        self._snapshot, self._is_shown = Snapshot(), True
        self._stale = asyncio.Event()

    @staticmethod
    def fits() -> bool:
        """Tell whether there is a terminal that can show it."""
        console = Console()
        if console.width < 1 or console.height < 1:  # COLUMNS=0
            return False
        return console.is_terminal and not console.is_dumb_terminal and sys.stdout.isatty()

    def hear(self, event: Event) -> None:
        """Take notice of an event."""
        told = self._narrator.tell(event)
        if told is not None:
            self._events.append(told)
            self._stale.set()

    def note(self, message: str, *, is_bad: bool = False) -> None:
        """Show what the server itself has to say."""
        told = Happening(time.time(), "nq", "", one_line(message), is_bad)
        self._events.append(told)
        self._stale.set()
        if not self._is_shown:
            self._console.print(_event(told, len(told.name)))

    @asynccontextmanager
    async def showing(self, app: App) -> AsyncIterator[Self]:
        """Have the screen until the block ends."""
        with (
            _no_echo(),
            Live(
                console=self._console,
                screen=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
                vertical_overflow="crop",
            ) as live,
        ):
            drawing = asyncio.create_task(self._draw(app, live))
            try:
                yield self
            finally:
                drawing.cancel()
                await self._look(app)
        self._console.print(self.picture(_LAST_LINES))
        self._is_shown = False

    async def _look(self, app: App) -> None:
        snapshot = await take_snapshot(app, within_s=_ANSWER_S)
        if snapshot.problem:  # the numbers stay, with what is wrong above them
            snapshot = Snapshot(self._snapshot.counts, self._snapshot.running, snapshot.problem)
        self._snapshot = snapshot

    async def _draw(self, app: App, live: Live) -> None:
        while True:
            self._stale.clear()
            try:
                await self._look(app)
                live.update(self.picture(self._console.height), refresh=True)
            except Exception as error:  # noqa: BLE001 the jobs run on without a picture
                self.note(f"the table cannot be drawn: {error}", is_bad=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stale.wait(), _LOOK_S)
                await asyncio.sleep(_SOON_S)

    def picture(self, height: int) -> RenderableType:
        """Return what there is to see, in so many lines."""
        up_s = int(time.monotonic() - self._since)
        heading = Text.assemble(("nq serve", "bold"), f"  up {_span(up_s)}  {self._title}")
        heading.no_wrap, heading.overflow = True, "ellipsis"
        parts: list[RenderableType] = [heading]
        if self._snapshot.problem:
            parts.append(Text(one_line(self._snapshot.problem), "bold red"))
        busy = sorted(self._snapshot.counts.items(), key=lambda of: not _has_work(of[1]))
        shown = busy[: max(_LEAST_QUEUES, height // 3)]
        parts += [Text(""), self._queues(dict(shown))]
        if left_out := len(busy) - len(shown):
            parts.append(Text(f"… and {left_out} more queue{'' if left_out == 1 else 's'}", "dim"))
        used = len(parts) + len(shown) + 1
        running = self._snapshot.running[: max(1, height - used - _LEAST_EVENTS - 4)]
        if running:
            parts += [Text(""), self._running(running)]
            used += len(running) + 2
        left = max(_LEAST_EVENTS, height - used - 2)
        events = list(self._events)[-left:]
        width = max((len(each.name) for each in events), default=0)
        parts += [Text(""), *(_event(each, width) for each in events)]
        return Group(*parts)

    @property
    def _name_width(self) -> int:
        return _NAME if self._console.width >= _WIDE else _NARROW_NAME

    def _queues(self, shown: Mapping[str, Mapping[str, int]]) -> Table:
        table = _table()
        heads = _STATES if self._console.width >= _HEADS_WIDE else _SHORT
        widths = [
            max(len(head), *(len(str(counts[state])) for counts in shown.values()), 0)
            for head, state in zip(heads, _STATES, strict=True)
        ]
        room = self._console.width - sum(width + _GAP for width in widths)
        widest = max(self._name_width, room)
        table.add_column("queue", min_width=self._name_width, max_width=widest, no_wrap=True)
        for head, width in zip(heads, widths, strict=True):
            # Numbers are told whole, whatever is left for the names.
            table.add_column(head, justify="right", no_wrap=True, min_width=width)
        for queue, counts in sorted(shown.items()):
            cells = [Text(str(counts[state])) for state in _STATES]
            if counts["paused"]:
                cells[0] = Text(f"{counts['paused']} paused", "yellow")
            if counts["failed"]:
                cells[3].stylize("red")
            table.add_row(Text(one_line(queue)), *cells)
        return table

    def _running(self, jobs: list[JobRecord]) -> Table:
        table, now = _table(), time.time()
        table.add_column("running", min_width=self._name_width, no_wrap=True)
        table.add_column("worker", no_wrap=True)
        table.add_column("for", justify="right", no_wrap=True, min_width=len("0:00:00"))
        table.add_column("attempt", justify="right", no_wrap=True, min_width=len("attempt"))
        for job in jobs:
            since = (job.processed_on or now * 1000) / 1000
            attempt = f"{job.attempts_made + 1} of {job.opts.max_attempts}"
            cells = (one_line(job.id), one_line(job.name), _span(int(now - since)), attempt)
            table.add_row(*map(Text, cells))
        return table


def _has_work(counts: Mapping[str, int]) -> bool:
    return any(counts[state] for state in ("waiting", "active", "delayed", "failed", "paused"))


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")


def _event(told: Happening, width: int) -> Text:
    at = datetime.fromtimestamp(told.at).astimezone().strftime("%H:%M:%S")
    job = (f"{told.job_id}  " if told.job_id else "", "dim")
    line = Text.assemble((at, "dim"), f"  {told.name:<{width}}  ", job, told.message)
    line.no_wrap, line.overflow = True, "ellipsis"
    if told.is_bad:
        line.stylize("red", len(at))
    return line


def _span(seconds: int) -> str:
    minutes, seconds = divmod(max(0, seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@contextmanager
def _no_echo() -> Iterator[None]:
    """Keep what is typed, the ^C among it, out of the picture."""
    try:
        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
    except (OSError, ValueError, termios.error):  # stdin is no terminal
        yield
        return
    silent = list(before)
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
