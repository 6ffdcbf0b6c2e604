"""A Redis: its clients, and what its errors mean to a person."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from redis import exceptions
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from nuxt_queue.errors import ConfigError, QueueStorageError, QueueUnreachableError
from nuxt_queue.services.redis.address import Address
from nuxt_queue.services.redis.locating import connection_class, locator
from nuxt_queue.services.redis.pool import BoundedPool, bounded

__all__ = ["CLIENT_NAME", "RedisLimits", "RedisServer", "key_part"]

_NETWORK = (exceptions.ConnectionError, exceptions.TimeoutError, OSError, TimeoutError)


_OLDEST = (6, 2)  # what BullMQ asks for
_REPLICA = "it is a read-only replica; give the address of the primary"
_SENTINEL = "the address of a Sentinel is redis+sentinel://host:port/service?db=0"
_CLUSTER = (
    'it is a node of a cluster; write redis+cluster://host:port and set prefix = "{nq}", braces'
    " included"
)
CLIENT_NAME = "nuxt-queue"
"""What Redis calls our connections on which no job is waited for."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RedisLimits:
    """What Redis may take.

    Attributes:
        connect_s: Seconds to accept a connection; longer, and an enqueue on a dead host takes its
            time.
        operation_s: Seconds to answer, attempts again included: what a producer or a `ctx.state`
            call waits before it fails.  The time until a connection is free does not count.
        retries: Attempts again of what may be done twice; with their pauses, of at most 0.4 s, they
            fill `operation_s`.
        shared: Connections of each kind of shared client.  There are three kinds.
        waiting: Connections on which workers wait for jobs.
    """

    connect_s: float = 1.0
    operation_s: float = 5.0
    retries: int = 11
    shared: int = 10
    waiting: int = 16

    @property
    def connections(self) -> int:
        """The most connections that a manager and its stores have: below 50."""
        return 3 * self.shared + self.waiting + 2  # one for locks, one for events


class RedisServer:
    """A Redis by its address: a server, the primary of a Sentinel, or a node of a cluster.

    Args:
        url: Where it is; `Address` has the forms.
        limits: What it may take.
        prefix: What every key begins with; in a cluster it chooses the node.

    Attributes:
        name: The address for messages, its secrets masked.

    Raises:
        ConfigError: The address cannot be read, or a cluster needs another prefix.
    """

    def __init__(self, url: str, limits: RedisLimits | None = None, *, prefix: str = "nq") -> None:
        self.limits = limits or RedisLimits()
        self._address = address = Address.parse(url)
        self.name = address.name
        if address.is_cluster and not re.search(r"\{[^{}]+\}", prefix):
            raise ConfigError(
                f'{self.name} is a cluster and the prefix is "{prefix}": keys of one job would be'
                ' on several nodes; set prefix = "{nq}", braces included, so that all keys are on'
                " one"
            )
        self._prefix = prefix
        self._pools: dict[tuple[bool, bool], BoundedPool] = {}

    def client(self, *, repeats: bool, text: bool = False) -> Any:
        """Return a client that shares its connections; close it with `aclose`.

        Its own types say of every answer that it may be bytes or str, which is for `text` to say.

        Args:
            repeats: Whether a command whose answer was lost is sent again: for what may be done
                twice.
            text: Whether answers are str and not bytes.
        """
        kind = (repeats, text)
        if kind not in self._pools or self._pools[kind].is_over:
            self._pools[kind] = self._pool(self.limits.shared, repeats=repeats, text=text)
        return self._pools[kind].client()

    def own_client(self, *, wait_s: float = 0, client_name: str = CLIENT_NAME) -> Any:
        """Return a client for text with one connection of its own; close it with `aclose`.

        Its commands are sent once.

        Args:
            wait_s: How long a command may wait in the server.
            client_name: What Redis calls the connection, if that can be a name.
        """
        pool = self._pool(1, repeats=False, text=True, wait_s=wait_s, client_name=client_name)
        return pool.client()

    def _pool(
        self,
        most: int,
        *,
        repeats: bool,
        text: bool,
        wait_s: float = 0,
        client_name: str = CLIENT_NAME,
    ) -> BoundedPool:
        address, limits = self._address, self.limits
        retries = limits.retries if repeats else 0
        options: dict[str, Any] = {
            **address.options,
            "decode_responses": text,
            "encoding_errors": "surrogateescape",  # what is no UTF-8 is one job's trouble
            "socket_timeout": limits.operation_s + wait_s,
            "retry": Retry(ExponentialBackoff(cap=0.4, base=0.1), retries),
            "retry_on_error": [exceptions.BusyLoadingError] if repeats else [],
            "redis_connect_func": partial(_greet, client_name=client_name),
        }
        if "path" in address.options:
            kind: type[Any] = UnixDomainSocketConnection
        else:
            options["socket_connect_timeout"] = limits.connect_s
            if address.service or address.is_cluster:
                kind = connection_class(address)
                options["locate"] = locator(address, self._prefix, connect_s=limits.connect_s)
            else:
                kind = SSLConnection if address.is_tls else Connection
                options["host"], options["port"] = address.hosts[0]
        return BoundedPool(
            most=most, patience_s=limits.operation_s, connection_class=kind, **options
        )

    async def check(self) -> None:
        """Refuse a server that cannot keep jobs, and warn about one that may lose them.

        Raises:
            QueueStorageError: It is too old, a replica, of another kind, or refuses us.
        """
        policy = (await self.about()).get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            _log.warning(
                "%s: its maxmemory-policy is %s, which removes jobs when memory is short;"
                " set it to noeviction",
                self.name,
                policy,
            )

    async def about(self) -> dict[str, Any]:
        """Return what the server tells about itself; nothing where our user may not ask.

        Raises:
            QueueStorageError: It cannot keep jobs: too old, a replica, of another kind.
        """
        client = self.client(repeats=True, text=True)
        told: dict[str, Any] = {}
        try:
            async with self.answering():
                with suppress(exceptions.NoPermissionError):
                    told = await client.info()
        finally:
            await client.aclose()
        version = str(told.get("redis_version", ""))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        mode = told.get("redis_mode")
        if mode == "sentinel":
            raise QueueStorageError(self.name, f"it is a Sentinel; {_SENTINEL}")
        if mode == "cluster" and not self._address.is_cluster:
            raise QueueStorageError(self.name, _CLUSTER)
        if numbers and numbers < _OLDEST:
            raise QueueStorageError(self.name, f"it is Redis {version}; version 6.2 is needed")
        if told.get("role") in ("slave", "replica"):
            raise QueueStorageError(self.name, _REPLICA)
        return told

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Bound what is asked inside, and raise its failure as an error for a person.

        Raises:
            QueueUnreachableError: No answer in time; whether the command was done is unknown.
            QueueStorageError: The server refused.
        """
        with self.speaking():
            async with bounded(self.limits.operation_s):
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
            return QueueStorageError(self.name, self._address.masked(refusal))
        if isinstance(error, exceptions.BusyLoadingError):
            return QueueUnreachableError(self.name, "it is still loading its data")
        if isinstance(error, _NETWORK):
            reason = str(error) or f"no answer within {self.limits.operation_s:g} s"
            return QueueUnreachableError(self.name, self._address.masked(reason))
        return QueueStorageError(self.name, self._address.masked(str(error)))


class _LoginRefusedError(exceptions.ResponseError):
    """A refused login: the client's own error for it counts as a lost connection."""


async def _greet(connection: Any, *, client_name: str) -> None:
    """Log in on a new connection and give it a name, where Redis and our user's rights allow it."""
    try:
        await connection.on_connect()
        if re.fullmatch("[!-~]+", client_name):
            await connection.send_command("CLIENT", "SETNAME", client_name)
            with suppress(exceptions.ResponseError):
                await connection.read_response()
    except (exceptions.AuthenticationError, exceptions.AuthorizationError) as error:
        raise _LoginRefusedError(str(error)) from None


def key_part(text: str) -> str:
    """Return a text that can stand between the colons of a key, whatever it holds."""
    return text.replace("%", "%25").replace(":", "%3A")


def _refusal(error: Exception) -> str | None:
    """Return what a server that does answer refuses, and None for everything else."""
    text = str(error)
    for kind, sign, said in _REFUSALS:
        if (kind is not None and isinstance(error, kind)) or (sign and sign in text):
            return said
    if isinstance(error, exceptions.NoPermissionError):
        return f"its user may not do this ({text}); give it the commands and keys of the prefix"
    if unknown := re.search(r"unknown command ['`]?(\w+)", text):
        return f"it does not know the command {unknown[1]}; {_SENTINEL}"
    return None


_LOGIN = "it refuses the login; put user and password into REDIS_URL"
# The class of the error, or a part of its text where it comes from a script; what it means.
_REFUSALS: tuple[tuple[type[Exception] | None, str, str], ...] = (
    (_LoginRefusedError, "", _LOGIN),
    (exceptions.AuthenticationError, "", _LOGIN),
    (exceptions.ReadOnlyError, "READONLY", _REPLICA),
    (
        exceptions.OutOfMemoryError,
        "OOM command",
        "it has no memory left; raise its maxmemory or remove finished jobs",
    ),
    (exceptions.AskError, "hash to the same slot", _CLUSTER),
    (exceptions.ClusterDownError, "CLUSTERDOWN", _CLUSTER),
    (None, "cluster support disabled", "it is not a cluster; write redis://host:port/db"),
    (
        None,
        "WRONGTYPE",
        "something else is stored under one of our keys; choose another prefix",
    ),
)
