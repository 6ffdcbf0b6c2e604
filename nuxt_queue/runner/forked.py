"""Where a job's process comes from when it is forked: a copy of one that has imported much already.

The copy has all that a started process has: a group, a mark, limits, an environment, a folder and
pipes of its own.  The fork server that it is made by is shared by all workers that are started the
same way; it is started with their first job and ends with their runners.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

from nuxt_queue.runner.forkserver import ForkServer
from nuxt_queue.runner.launch import Launch
from nuxt_queue.runner.pool import Nobody
from nuxt_queue.runner.process import ChildProcess, Listener, Timeouts

__all__ = ["ForkedProcesses"]

# After a job, before the next copy is made: the fork must not hold up the news of the job's end.
_SOON_S = 0.002


class ForkedProcesses:
    """Has a copy made for each job and ends it with the job.

    Soon after a job has ended a copy is made ahead, so that the next one need not wait for it.
    """

    def __init__(self, launch: Launch, max_message: int, timeouts: Timeouts) -> None:
        self._launch, self._max_message, self._timeouts = launch, max_message, timeouts
        self._held: set[_Shared] = set()
        self._of_jobs: dict[ChildProcess, _Shared] = {}
        self._ahead: asyncio.Task[_Copy] | None = None
        self._endings: set[asyncio.Task[bool]] = set()
        self._closed = False

    async def take(self, listener: Listener) -> ChildProcess:
        """Have a copy made unless one is there, and limit it before it begins."""
        launch = self._launch
        if not launch.cwd.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(launch.cwd))
        shared = self._hold()
        try:
            process = await self._take_ahead() or (await self._copy(shared)).process
        except BaseException:
            shared.release()
            raise
        self._of_jobs[process] = shared
        process.listener = listener
        with contextlib.suppress(ProcessLookupError):  # it has been killed already
            launch.limits.apply(process.pid)
        process.write(b"\n")  # what it waits for
        return process

    async def give_back(self, process: ChildProcess, *, answered: bool) -> bool:
        """End the copy; say whether it ended by itself."""
        by_itself = await process.end(gently=answered)
        shared = self._of_jobs.pop(process)
        asyncio.get_running_loop().call_later(_SOON_S, self._make_ahead, shared)
        await shared.let_go()
        return by_itself

    async def close(self) -> None:
        """End what waits for jobs, and the fork server unless other workers or jobs need it."""
        self._closed = True
        if self._ahead is not None:
            self._ahead.cancel()
            await self._take_ahead(drop=True)
        if self._endings:
            await asyncio.wait(self._endings)
        while self._held:
            await self._held.pop().let_go()

    def _hold(self) -> _Shared:
        """Return what the fork server of this loop is shared by, held for one job more."""
        shared = _shared(self._launch)
        if not self._closed and shared not in self._held:
            self._held.add(shared)
            shared.users += 1
        shared.users += 1
        return shared

    def _make_ahead(self, shared: _Shared) -> None:
        if self._ahead is None and not self._closed:
            self._ahead = asyncio.create_task(self._copy(shared))
            self._ahead.add_done_callback(_is_up)  # if it cannot be made, the next job will say so

    async def _copy(self, shared: _Shared) -> _Copy:
        server = await shared.server()
        start = partial(ChildProcess.start, max_message=self._max_message, timeouts=self._timeouts)
        try:
            process = await start(partial(server.fork, self._launch), Nobody())
        except ChildProcessError:  # it was killed while it waited; another may do better
            server = await shared.server()
            process = await start(partial(server.fork, self._launch), Nobody())
        return _Copy(process, server)

    async def _take_ahead(self, *, drop: bool = False) -> ChildProcess | None:
        """Return the copy that was made ahead, if there is one and it can be used."""
        ahead = self._ahead
        if ahead is None:
            return None
        await asyncio.wait([ahead])
        if self._ahead is not ahead:  # another job has it
            return None
        self._ahead = None
        if ahead.cancelled() or ahead.exception() is not None:
            return None
        copy = ahead.result()
        if copy.is_up and not drop:
            return copy.process
        ending = asyncio.create_task(copy.process.end(gently=True))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return None


@dataclass(frozen=True, slots=True)
class _Copy:
    process: ChildProcess
    server: ForkServer

    @property
    def is_up(self) -> bool:
        return self.server.is_up and not self.process.has_ended()


class _Shared:
    """A fork server for those who need it: started for the first, and again when it was killed.

    Attributes:
        users: How many runners and jobs need it.
    """

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._starting: asyncio.Task[ForkServer] | None = None
        self._ending: asyncio.Task[None] | None = None
        self.users = 0

    async def server(self) -> ForkServer:
        """Return it once it is up.

        Raises:
            OSError: If it cannot be started.
        """
        starting = self._starting
        if starting is None or (starting.done() and not _is_up(starting)):
            starting = self._starting = asyncio.create_task(ForkServer.start(self._launch))
            starting.add_done_callback(_is_up)  # nobody may be there any more to see why not
        return await asyncio.shield(starting)

    def release(self) -> None:
        """Need it no more; the last one's going ends it."""
        self.users -= 1
        if self.users == 0:
            _of_this_loop().pop(_key(self._launch), None)
            self._ending = asyncio.create_task(self._end())

    async def let_go(self) -> None:
        """Need it no more, and wait for its end if nobody does."""
        self.release()
        if self._ending is not None:
            await asyncio.shield(self._ending)

    async def _end(self) -> None:
        if self._starting is None:
            return
        await asyncio.wait([self._starting])
        if not self._starting.cancelled() and self._starting.exception() is None:
            await self._starting.result().end()


def _is_up(starting: asyncio.Task[ForkServer] | asyncio.Task[_Copy]) -> bool:
    failed = starting.cancelled() or starting.exception() is not None
    return not failed and starting.result().is_up


_servers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Shared]] = (
    WeakKeyDictionary()
)


def _of_this_loop() -> dict[Hashable, _Shared]:
    return _servers.setdefault(asyncio.get_running_loop(), {})


def _shared(launch: Launch) -> _Shared:
    return _of_this_loop().setdefault(_key(launch), _Shared(launch))


def _key(launch: Launch) -> Hashable:
    """Return what two launches share that can share a fork server: all but the worker's file."""
    return launch.argv[:-1], frozenset(launch.env.items()), launch.cwd, launch.preload
