"""Where jobs are kept: the folder of the file and SQLite, or Redis."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from nuxt_queue.config import RedisConfig
from nuxt_queue.diagnosis.finding import Finding, fail, ok, warn
from nuxt_queue.errors import ConfigError, QueueStorageError
from nuxt_queue.services.sqlite import Database
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


async def look_at_file(data_dir: Path) -> AsyncIterator[Finding]:
    """Say whether the file can be used; one that is not there yet is not made."""
    what = "data folder"
    there, is_there = _nearest(data_dir)
    if not is_there and not _may_write(there):
        yield fail(
            what,
            f"{data_dir} cannot be made: {there} may not be written by this user",
            f"give the right to write {there}, or name another with --data-dir",
        )
    elif not is_there:
        yield ok(what, f"{data_dir}, made when it is first used")
    else:
        yield await _opened(what, data_dir)
    doubt = about_network(data_dir) or about_layer(data_dir)
    if doubt is not None:
        reason, advice = doubt
        yield warn(what, f"{data_dir} {reason}", advice)
    free = shutil.disk_usage(there).free
    if free < _LEAST_FREE:
        yield warn("disk", f"{free // _MIB} MiB free for {data_dir}", "make room")


async def _opened(what: str, data_dir: Path) -> Finding:
    try:
        async with Database(data_dir) as database:
            return ok(what, str(database.path))
    except QueueStorageError as error:
        return fail(what, str(error))


def _nearest(path: Path) -> tuple[Path, bool]:
    """Return a path, or the nearest folder above it that is there, and whether it is the path."""
    path = path.absolute()
    there = next(each for each in (path, *path.parents) if each.exists())
    return there, there == path


def _may_write(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


async def look_at_redis(config: RedisConfig, environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Say whether Redis answers, and whether it keeps what it is given; no password is shown."""
    try:
        from nuxt_queue.services.redis.server import RedisServer
    except ModuleNotFoundError:
        yield fail("Redis", "its client is not installed", "pip install 'nuxt-queue[redis]'")
        return
    source = "REDIS_URL" if environ.get("REDIS_URL") else "[tool.nuxt-queue.redis] url"
    try:
        server = RedisServer(config.address(environ))
    except ConfigError as error:
        yield fail("Redis", str(error), f"mend {source}")
        return
    client = server.client(repeats=False, text=True)
    try:
        async with server.answering():
            told: dict[str, Any] = await client.info()
    except QueueStorageError as error:
        yield fail("Redis", str(error), f"start it, or mend {source}")
        return
    finally:
        await client.aclose()
    yield ok("Redis", f"{server.name} ({source}), version {told.get('redis_version', 'unknown')}")
    policy = told.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        said = f"its maxmemory-policy is {policy}, so it may throw jobs away when memory is short"
        yield warn("Redis", said, "redis-cli config set maxmemory-policy noeviction")
    if not told.get("aof_enabled"):
        said = "without an append-only file it forgets the last jobs when it dies"
        yield warn("Redis", said, "redis-cli config set appendonly yes")
