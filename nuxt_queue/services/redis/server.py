"""One Redis server: how it is reached, and what its errors mean to a person."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from nuxt_queue.errors import ConfigError, QueueStorageError, QueueUnreachableError

__all__ = ["RedisLimits", "RedisServer", "end", "key_part"]

_NETWORK = (exceptions.ConnectionError, exceptions.TimeoutError, OSError, TimeoutError)


_OLDEST = (6, 2)  # what BullMQ asks for
_REPLICA = "it is a read-only replica; give the address of the primary"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RedisLimits:
    """How long Redis may take.

    Attributes:
        connect_s: To accept a connection; longer, and an enqueue on a dead host takes its time.
        operation_s: To answer, attempts again included; what a producer waits before it fails.
        retries: Attempts again of what may be done twice; its pauses stay below `operation_s`.
    """

    connect_s: float = 1.0
    operation_s: float = 5.0
    retries: int = 3


class RedisServer:
    """A Redis server by its address.

    Args:
        url: `redis://user:password@host:port/db`, `rediss://` for TLS, or `unix://`.
        limits: How long it may take.

    Attributes:
        name: The address for messages, its password masked.

    Raises:
        ConfigError: The address cannot be read.
    """

    def __init__(self, url: str, limits: RedisLimits | None = None) -> None:
        self.limits = limits or RedisLimits()
        self._url = url
        try:
            parts: dict[str, Any] = dict(parse_url(url))
        except ValueError:  # which quotes what it could not read, perhaps a password
            raise ConfigError(
                "the address of Redis cannot be read; write redis://user:password@host:port/db"
            ) from None
        try:
            pool: Any = Redis.from_url(url).connection_pool
            pool.make_connection()  # which connects nowhere yet
        except TypeError as error:
            unknown = re.findall(r"argument '(\w+)'", str(error))
            what = f'has no option "{unknown[0]}"' if unknown else "cannot have these options"
            raise ConfigError(f"the address of Redis {what}; take it out") from None
        self.name = _masked(url.partition("://")[0], parts)

    def client(self, *, repeats: bool, text: bool = False, wait_s: float | None = None) -> Any:
        """Return a client; close it with `aclose`.

        Its own types say of every answer that it may be bytes or str, which is for `text` to say.

        Args:
            repeats: Whether a command whose answer was lost is sent again: for what may be done
                twice.
            text: Whether answers are str and not bytes.
            wait_s: How long a command may wait in the server, for a client of blocking commands.
        """
        retries = self.limits.retries if repeats else 0
        return Redis.from_url(
            self._url,
            decode_responses=text,
            encoding_errors="surrogateescape",  # what is no UTF-8 is one job's trouble
            socket_connect_timeout=self.limits.connect_s,
            socket_timeout=self.limits.operation_s + (wait_s or 0),
            retry=Retry(ExponentialBackoff(cap=0.4, base=0.1), retries),
            retry_on_error=[exceptions.BusyLoadingError] if repeats else [],
        )

    async def check(self) -> None:
        """Refuse a server that cannot keep jobs, and warn about one that may lose them.

        Raises:
            QueueStorageError: It is too old, a replica, or refuses us.
        """
        client = self.client(repeats=True, text=True)
        try:
            async with self.answering():
                told = await client.info()
        finally:
            await client.aclose()
        version = str(told.get("redis_version", ""))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        if numbers and numbers < _OLDEST:
            raise QueueStorageError(self.name, f"it is Redis {version}; version 6.2 is needed")
        if told.get("role") in ("slave", "replica"):
            raise QueueStorageError(self.name, _REPLICA)
        policy = told.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            _log.warning(
                "%s: its maxmemory-policy is %s, which removes jobs when memory is short;"
                " set it to noeviction",
                self.name,
                policy,
            )

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Bound what is asked inside, and raise its failure as an error for a person.

        Raises:
            QueueUnreachableError: No answer in time; whether the command was done is unknown.
            QueueStorageError: The server refused.
        """
        with self.speaking():
            async with asyncio.timeout(self.limits.operation_s):
                yield

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Raise the client's errors as `answering` does; for what may take longer."""
        try:
            yield
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            raise self.error(error) from None

    def error(self, error: Exception) -> QueueStorageError:
        """Say what an error of the client means, and what to do."""
        refusal = _refusal(error)
        if refusal is not None:
            return QueueStorageError(self.name, refusal)
        if isinstance(error, exceptions.BusyLoadingError):
            return QueueUnreachableError(self.name, "it is still loading its data")
        if isinstance(error, _NETWORK):
            reason = str(error) or f"no answer within {self.limits.operation_s:g} s"
            return QueueUnreachableError(self.name, reason)
        return QueueStorageError(self.name, str(error))


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task that speaks with Redis, and wait until it has ended.

    The client loses a cancellation that comes while it looks whether a connection is alive.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)


def key_part(text: str) -> str:
    """Return a text that can stand between the colons of a key, whatever it holds."""
    return text.replace("%", "%25").replace(":", "%3A")


def _refusal(error: Exception) -> str | None:
    """Return what a server that does answer refuses, and None for everything else."""
    text = str(error)
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
        return "it refuses the login; put user and password into REDIS_URL"
    if isinstance(error, exceptions.NoPermissionError):
        return f"its user may not do this ({text}); give it the commands and keys of the prefix"
    if isinstance(error, exceptions.ReadOnlyError) or "READONLY" in text:
        return _REPLICA
    if isinstance(error, exceptions.OutOfMemoryError) or "OOM command" in text:
        return "it has no memory left; raise its maxmemory or remove finished jobs"
    if "WRONGTYPE" in text:
        return "something else is stored under one of our keys; choose another prefix"
    return None


def _masked(scheme: str, parts: dict[str, Any]) -> str:
    user = parts.get("username") or ""
    login = f"{user}:***@" if parts.get("password") else f"{user}@" if user else ""
    if "path" in parts:
        return f"{scheme}://{login}{parts['path']}?db={parts.get('db', 0)}"
    host, port = parts.get("host", "localhost"), parts.get("port", 6379)
    return f"{scheme}://{login}{host}:{port}/{parts.get('db', 0)}"
