"""Where jobs are kept: the folder of the file and SQLite, or Redis."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from nuxt_queue.config import RedisConfig
from nuxt_queue.diagnosis.finding import Finding, fail, ok, warn
from nuxt_queue.errors import ConfigError, QueueStorageError, QueueUnreachableError
from nuxt_queue.services.sqlite import Database, SqliteStateStore
from nuxt_queue.services.sqlite.examination import problems_of
from nuxt_queue.services.sqlite.files import restore
from nuxt_queue.services.sqlite.place import about_layer, about_network

__all__ = ["look_at_file", "look_at_redis", "look_at_sqlite"]

_LEAST_FREE = 100 * 1024 * 1024  # bytes; below, a day of jobs may fill the disk
_MENDED = (3, 51, 3)
_MIB = 1024 * 1024


def look_at_sqlite() -> Iterator[Finding]:
    """Say what this version of SQLite means for the file."""
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < _MENDED:
        mended = ".".join(map(str, _MENDED))
        said = (
            f"{version}; before {mended} two writers could damage its log, so ours take turns"
            " under a lock: let no other program write the file"
        )
        yield ok("SQLite", said)
    else:
        yield ok("SQLite", version)


async def look_at_file(data_dir: Path, *, full: bool = False) -> AsyncIterator[Finding]:
    """Try whether a file can be used there; the one that is meant is not made."""
    what = "data folder"
    there, is_there = _nearest(data_dir)
    if not is_there and not _may_write(there):
        yield fail(
            what,
            f"{data_dir} cannot be made: {there} may not be written by this user",
            f"give the right to write {there}, or name another with --data-dir",
        )
    else:
        yield await _tried(what, data_dir, there, is_there=is_there)
    if full and is_there:
        yield await _checked(what, data_dir)
    doubt = about_network(data_dir) or about_layer(data_dir)
    if doubt is not None:
        reason, advice = doubt
        yield warn(what, f"{data_dir} {reason}", advice)
    free = shutil.disk_usage(there).free
    if free < _LEAST_FREE:
        yield warn("disk", f"{free // _MIB} MiB free for {data_dir}", "make room")


async def _checked(what: str, data_dir: Path) -> Finding:
    """Read the whole file."""
    try:
        async with Database(data_dir) as database:
            problems = await database.read(problems_of)
            if problems:
                return fail(what, f"{database.path}: {'; '.join(problems)}", restore(database.path))
            return ok(what, f"{database.path}, checked in full")
    except QueueStorageError as error:
        return fail(what, str(error))


async def _tried(what: str, data_dir: Path, there: Path, *, is_there: bool) -> Finding:
    """Make a file beside the one that is meant, use it as a server does, and remove it again."""
    try:
        with tempfile.TemporaryDirectory(prefix=".nq-doctor-", dir=there) as folder:
            async with Database(Path(folder)) as database:
                state = SqliteStateStore(database)
                await state.set("", "tried", 1)
                kept = await state.incr("", "tried") == 2  # noqa: PLR2004 one more than it was
        if not kept:
            return fail(what, f"{there} does not give back what is written there")
        if not is_there:
            return ok(what, f"{data_dir}, made when it is first used")
        async with Database(data_dir) as database:
            return ok(what, str(database.path))
    except QueueStorageError as error:
        return fail(what, str(error))
    except OSError as error:
        return fail(what, f"{there} cannot be used: {error.strerror}", "name another --data-dir")


def _nearest(path: Path) -> tuple[Path, bool]:
    """Return a path, or the nearest folder above it that is there, and whether it is the path."""
    path = path.absolute()
    there = next(each for each in (path, *path.parents) if each.exists())
    return there, there == path


def _may_write(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


async def look_at_redis(config: RedisConfig, environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Try whether Redis does what a server asks of it, and whether it keeps what it is given.

    What is tried has keys of its own, which are removed.  No password is shown.
    """
    try:
        from nuxt_queue.managers.bullmq.trial import try_out
        from nuxt_queue.services.redis.server import RedisServer
    except ModuleNotFoundError:
        yield fail("Redis", "its client is not installed", "pip install 'nuxt-queue[redis]'")
        return
    source = "REDIS_URL" if environ.get("REDIS_URL") else "[tool.nuxt-queue.redis] url"
    try:
        server = RedisServer(config.address(environ), prefix=config.prefix)
    except ConfigError as error:
        yield fail("Redis", str(error), f"mend {source}")
        return
    try:
        told = await server.about()
        await try_out(server, config.prefix)
    except QueueUnreachableError as error:
        yield fail("Redis", str(error), f"start it, or mend {source}")
        return
    except QueueStorageError as error:
        yield fail("Redis", str(error), f"look at the server, or mend {source}")
        return
    version = told.get("redis_version", "unknown")
    yield ok("Redis", f"{server.name} ({source}), version {version}; a job was run through it")
    policy = told.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        said = f"its maxmemory-policy is {policy}, so it may throw jobs away when memory is short"
        yield warn("Redis", said, "redis-cli config set maxmemory-policy noeviction")
    if told and not told.get("aof_enabled"):
        said = "without an append-only file it forgets the last jobs when it dies"
        yield warn("Redis", said, "redis-cli config set appendonly yes")
