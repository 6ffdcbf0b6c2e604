"""`nq serve`: runs the jobs of a folder of workers until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nuxt_queue.cli.arguments import add_place, at_least, host, place_of, port, project_of
from nuxt_queue.cli.notices import warnings_to
from nuxt_queue.errors import NuxtQueueError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from nuxt_queue.app import App
    from nuxt_queue.cli.arguments import Commands
    from nuxt_queue.registrations import Change
    from nuxt_queue.services.events import Event

__all__ = ["add_to"]

_GRACE_S = 30.0
_GATHER_MS = 200  # an editor's one save is several changes of a folder
_STEP_MS = 100  # between two looks at whether there is more of it
_LOOK_MS = 1_000
_READ_S = 5.0  # between two looks at a folder that cannot be watched
_LOUD = {"added": "is served", "changed": "has changed and is served as it is now"}
_GONE = "is gone; its jobs are taken no more"
_KEPT = "it stays registered as it was, and its jobs fail until it is mended"


class Display(Protocol):
    """Where a person or a log sees what happens."""

    def hear(self, event: Event) -> None:
        """Show an event."""

    def note(self, message: str, *, is_bad: bool = False) -> None:
        """Show what the server itself has to say."""

    def showing(self, app: App) -> AbstractAsyncContextManager[object]:
        """Show how the app is doing until the block ends."""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("serve", help="run the jobs of a folder of workers")
    parser.add_argument("directory", nargs="?", type=Path, help="default: the project's workers")
    add_place(parser)
    parser.add_argument(
        "--concurrency",
        type=at_least(1),
        metavar="N",
        help="jobs of a queue at once, instead of what its workers say",
    )
    parser.add_argument(
        "--grace",
        type=at_least(0),
        default=_GRACE_S,
        metavar="S",
        help="seconds that running jobs have when it is told to stop (default: 30)",
    )
    parser.add_argument(
        "--metrics", type=port, metavar="PORT", help="answer /healthz and /metrics there"
    )
    parser.add_argument(
        "--metrics-host", type=host, default="127.0.0.1", metavar="HOST", help="default: 127.0.0.1"
    )
    parser.add_argument(
        "--runtime",
        action="append",
        default=[],
        metavar="NAME",
        help="only the workers of this runtime, such as python; may be given again",
    )
    parser.add_argument("--no-reload", action="store_true", help="do not watch the workers' files")
    show = parser.add_mutually_exclusive_group()
    show.add_argument("--plain", action="store_true", help="lines, also on a terminal")
    show.add_argument("--json", action="store_true", help="JSON objects, one a line")
    parser.set_defaults(command=_serve)


def _serve(args: argparse.Namespace) -> int:
    return asyncio.run(_served(args))


async def _served(args: argparse.Namespace) -> int:
    from nuxt_queue.app import open_app
    from nuxt_queue.serving import serve_until_stopped, stop_signals

    directory, settings = project_of(args.directory)
    for name in args.runtime:
        settings.runtime(name)
    place = place_of(args, settings)
    display = _display(args, f"{directory} from {place.shown}")
    with stop_signals() as signals, warnings_to(display.note):
        async with AsyncExitStack() as stack:
            app = await stack.enter_async_context(
                open_app(
                    directory,
                    backend=place.backend,
                    data_dir=place.data_dir,
                    settings=settings,
                    concurrency=args.concurrency,
                    runtimes=args.runtime,
                    listener=display.hear,
                )
            )
            _say_what_is_served(display, app, place.shown, args.runtime)
            stopping = await stack.enter_async_context(_monitored(args, app, display))
            if not args.no_reload:
                await stack.enter_async_context(_reloading(app, display))

            def stop() -> None:
                stopping()
                display.note(
                    f"stopping: running jobs have {args.grace:g} s, a second signal ends them now"
                )

            await stack.enter_async_context(display.showing(app))
            status = await serve_until_stopped(
                app.manager, grace_s=args.grace, stopping=stop, signals=signals
            )
        display.note("stopped")
    return status


def _display(args: argparse.Namespace, title: str) -> Display:
    from nuxt_queue.cli.lines import Lines

    if args.plain or args.json:
        return Lines(as_json=args.json)
    from nuxt_queue.cli.board import Board

    return Board(title) if Board.fits() else Lines()


def _say_what_is_served(display: Display, app: App, where: str, runtimes: list[str]) -> None:
    workers = app.workers
    for finding in workers.warnings:
        display.note(f"warning: {finding}")
    for finding in workers.problems:
        display.note(f"problem: {finding}", is_bad=True)
    number = len(app.registrations.served)
    others = len(workers.entries) - number
    if others and not runtimes:
        display.note(
            f"warning: {others} worker{'' if others == 1 else 's'} for Node left to the Nuxt"
            " application that uses this Redis; --runtime python says so without a"
            " warning, --runtime node serves them here"
        )
    what = f"{number} worker{'' if number == 1 else 's'} of {app.registrations.directory}"
    if app.manager.engine == "memory":
        display.note("warning: no other process can put jobs in; use --backend file or redis")
    display.note(f"serving {what} from {where}, pid {os.getpid()}")


@asynccontextmanager
async def _monitored(
    args: argparse.Namespace, app: App, display: Display
) -> AsyncIterator[Callable[[], None]]:
    """Answer probes if that is asked for; gives what to call when the server is told to stop."""
    if args.metrics is None:
        yield _nothing
        return
    from nuxt_queue.monitoring import Endpoint, Health
    from nuxt_queue.monitoring.metrics import Metrics

    health, metrics = Health(app), Metrics(app)
    app.bus.subscribe(metrics.hear)
    async with Endpoint(health, metrics).listening(args.metrics_host, args.metrics) as address:
        display.note(f"{address}/healthz and {address}/metrics")
        yield health.stop


def _nothing() -> None:
    """Have nobody to tell."""


@asynccontextmanager
async def _reloading(app: App, display: Display) -> AsyncIterator[None]:
    """Register workers again when their files change."""
    watching = asyncio.create_task(_watch(app, display))
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def _watch(app: App, display: Display) -> None:
    """Look at the folder whenever something in it changes, and when another takes its place.

    A folder that cannot be watched, as where the system has no watch or descriptor left, is looked
    at again and again until it can.
    """
    place, is_watched = app.registrations.directory, True
    while True:
        try:
            await _watch_one(app, display, place.resolve(), _identity(place))
            is_watched = True
        except Exception as error:  # noqa: BLE001 whatever ends the watching, it begins again
            if _identity(place) is not None:
                if is_watched:
                    reason = getattr(error, "strerror", None) or str(error)
                    said = f"{place} cannot be watched ({reason}); it is read every {_READ_S:g} s"
                    display.note(said, is_bad=True)
                is_watched = False
                await asyncio.sleep(_READ_S)
        await _update(app, display)  # which says so when the folder is gone
        while _identity(place) is None:  # noqa: ASYNC110 a folder has no event
            await asyncio.sleep(_LOOK_MS / 1000)


async def _watch_one(app: App, display: Display, folder: Path, identity: object) -> None:
    """Watch a folder until it is not the one any more that bears its name."""
    from watchfiles import awatch

    changes = awatch(
        folder,
        watch_filter=_OfWorkers(folder),
        debounce=_GATHER_MS,
        step=_STEP_MS,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
    )
    # The first look finds what has changed before the watch began.
    is_first = True
    async for some in changes:
        if _identity(app.registrations.directory) != identity:
            return
        if some or is_first:
            is_first = False
            await _update(app, display)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


async def _update(app: App, display: Display) -> None:
    try:
        for change in await app.registrations.update():
            _say_what_changed(display, change)
    except Exception as error:  # noqa: BLE001 the folder is watched on
        known = isinstance(error, NuxtQueueError | OSError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        display.note(f"{reason}; what was registered stays", is_bad=True)


class _OfWorkers:
    """Passes over what a scan passes over, the queue's own file among it."""

    def __init__(self, directory: Path) -> None:
        self._below = len(directory.parts)

    def __call__(self, _kind: object, path: str) -> bool:
        names = Path(path).parts[self._below :]
        return not any(name.startswith(".") or name == "__pycache__" for name in names)


def _say_what_changed(display: Display, change: Change) -> None:
    if change.kind == "noted":
        display.note(f"problem: {change.path}: {change.reason}", is_bad=True)
    elif change.kind == "refused":
        kept = f"; {_KEPT}" if change.was_registered else ""
        display.note(f"{change.path}: {change.reason}{kept}", is_bad=True)
    else:
        display.note(f"{change.path} {_LOUD.get(change.kind, _GONE)}")
