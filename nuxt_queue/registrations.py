"""The workers of a folder as a manager has them, also when their files change."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nuxt_queue.config import ProjectConfig
from nuxt_queue.errors import NuxtQueueError, QueueClosedError, QueueStorageError, WorkerLoadError
from nuxt_queue.managers import WorkerManager, WorkerOptions
from nuxt_queue.registry import Problem, ScanResult, WorkerEntry, scan
from nuxt_queue.registry.files import file_bytes
from nuxt_queue.registry.sidecar import SUFFIXES
from nuxt_queue.services.flows import FlowDefinition

__all__ = ["Change", "Registrations"]


@dataclass(frozen=True, slots=True)
class Change:
    """What a look at the folder found to be different.

    Attributes:
        kind: `added`, `changed`, `removed`: the manager has it so; `refused`: it cannot be used,
            and what was registered before stays; `noted`: it is served, and its flow is not as it
            says.
        path: The worker's file.
        reason: Why it was refused, or what is wrong with the flow.
        was_registered: Whether there is an earlier registration that stays.
    """

    kind: Literal["added", "changed", "removed", "refused", "noted"]
    path: Path
    reason: str = ""
    was_registered: bool = False


@dataclass(frozen=True, slots=True)
class _Registered:
    entry: WorkerEntry
    digest: bytes


@dataclass(slots=True)
class Registrations:
    """Registers the workers of a folder, and again what has changed.

    A job that runs finishes on what it was started with: a registration counts for later jobs.

    Args:
        directory: The folder.
        settings: The project's.
        manager: Where they are registered.
        options_of: Says how a worker is registered.
        flows: Is kept as the flows of the workers, by name.
        is_ours: Tells whether a worker is to be registered here; others know of the rest.

    Attributes:
        workers: What the last look found; a worker whose file is broken now is as it was.
    """

    directory: Path
    settings: ProjectConfig
    manager: WorkerManager
    options_of: Callable[[WorkerEntry], WorkerOptions]
    flows: dict[str, FlowDefinition] = field(default_factory=dict)
    is_ours: Callable[[WorkerEntry], bool] = lambda _entry: True
    workers: ScanResult = field(default_factory=ScanResult)
    _known: dict[Path, _Registered] = field(default_factory=dict)
    _refused: dict[Path, str] = field(default_factory=dict)
    _noted: set[Problem] = field(default_factory=set)

    @property
    def served(self) -> list[WorkerEntry]:
        """The workers that are to be registered here."""
        return [entry for entry in self.workers.entries if self.is_ours(entry)]

    def entry(self, path: Path | None) -> WorkerEntry:
        """Return the worker of a file that was found."""
        return next(entry for entry in self.workers.entries if entry.abs_path == path)

    async def update(self, *, register: bool = True) -> list[Change]:
        """Look at the folder and register what is new or has changed.

        Args:
            register: False only looks.

        Raises:
            RegistryError: The folder is gone.
            QueueStorageError: Where the queue is kept refuses us.
        """
        self.workers = found = await asyncio.to_thread(scan, self.directory, self.settings)
        changes = await self._apply(found) if register else []
        self.flows.clear()
        self.flows.update(found.flows())
        return [change for change in changes if change is not None]

    async def _apply(self, found: ScanResult) -> list[Change | None]:
        ours = [entry for entry in found.entries if self.is_ours(entry)]
        there = {entry.abs_path for entry in ours}
        # What is wrong with the flow of a worker is no reason not to serve the worker.
        usable = {entry.abs_path for entry in found.entries}
        flaws = {problem for problem in found.problems if problem.path in usable}
        broken = {p.path: p.reason for p in found.problems if p not in flaws}
        changes = [await self._register(entry, found) for entry in ours]
        for path, known in list(self._known.items()):
            if path not in there and path in broken:
                found.entries.append(known.entry)
            elif path not in there:
                changes.append(await self._remove(known.entry))
        changes += [self._refuse(path, reason) for path, reason in broken.items()]
        changes += [
            Change("noted", p.path, p.reason) for p in found.problems if p in flaws - self._noted
        ]
        self._noted = flaws
        found.entries.sort(key=lambda entry: entry.abs_path)
        self._refused = {p: r for p, r in self._refused.items() if p in {*broken, *there}}
        return changes

    async def _register(self, entry: WorkerEntry, found: ScanResult) -> Change | None:
        path, now = entry.abs_path, _Registered(entry, _digest(entry.abs_path))
        known = self._known.get(path)
        if known == now and path not in self._refused:
            return None
        try:
            await self.manager.register_worker(entry.queue, entry.job, None, self.options_of(entry))
        except (QueueStorageError, QueueClosedError):
            raise  # it is not this worker's fault, and the next would fare no better
        except Exception as error:  # noqa: BLE001 the others are served all the same
            known_kind = isinstance(error, NuxtQueueError)
            reason = str(error) if known_kind else f"{type(error).__name__}: {error}"
            found.problems.append(Problem(path, None, reason))
            return self._refuse(path, reason)
        self._known[path] = now
        self._refused.pop(path, None)
        if known and (known.entry.queue, known.entry.job) != (entry.queue, entry.job):
            await self._unregister(known.entry)
        return Change("changed" if known else "added", path)

    async def _remove(self, entry: WorkerEntry) -> Change:
        del self._known[entry.abs_path]
        await self._unregister(entry)
        return Change("removed", entry.abs_path)

    async def _unregister(self, entry: WorkerEntry) -> None:
        name = (entry.queue, entry.job)
        if name not in {(each.entry.queue, each.entry.job) for each in self._known.values()}:
            await self.manager.unregister_worker(*name)

    def _refuse(self, path: Path, reason: str) -> Change | None:
        """Say once why a file cannot be used."""
        if self._refused.get(path) == reason:
            return None
        self._refused[path] = reason
        return Change("refused", path, reason, path in self._known)


def _digest(path: Path) -> bytes:
    """Tell one state of a worker's file, and of the config beside it, from another."""
    digest = hashlib.sha256()
    for file in (path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES)):
        try:
            digest.update(file_bytes(file) + b"\0")
        except WorkerLoadError:  # there is none; a worker that cannot be read is not registered
            digest.update(b"\1")
    return digest.digest()
