"""Which server has the keys now, where that may change: Sentinel's primary, a node of a cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot

from nuxt_queue.services.redis.address import Address

__all__ = ["connection_class", "locator"]

Place = tuple[str, int]
Locate = Callable[[], Awaitable[Place]]
Ask = Callable[[str, int], Awaitable[tuple[Place, list[Place]]]]

# What a server answers that does not have the keys any more, or not yet.
_MOVED = (
    exceptions.ReadOnlyError,
    exceptions.AskError,
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
)


class _Located:
    """A connection that asks where the server is each time that it connects."""

    def __init__(self, *, locate: Locate, **options: Any) -> None:
        super().__init__(**options)
        self._locate = locate

    async def _connect(self) -> None:
        self.host, self.port = await self._locate()
        await super()._connect()  # type: ignore[misc]  # the class beside it has one

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)  # type: ignore[misc]
        except _MOVED as error:
            await self.disconnect()  # type: ignore[attr-defined]
            raise exceptions.ConnectionError(f"the primary has changed: {error}") from None


class _LocatedConnection(_Located, Connection):
    pass


class _LocatedTLS(_Located, SSLConnection):
    pass


def connection_class(address: Address) -> type[Any]:
    """Return the class of the connections to a server that may change."""
    return _LocatedTLS if address.is_tls else _LocatedConnection


def locator(address: Address, prefix: str, *, connect_s: float) -> Locate:
    """Return a function that finds the server which has the keys.

    Args:
        address: Of Sentinels, or of nodes of a cluster.
        prefix: What every key begins with.
        connect_s: How long each of them may take to answer.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": connect_s,
        "socket_timeout": connect_s,
        "retry": Retry(NoBackoff(), 0),  # the next one is asked instead
        "ssl": address.is_tls,
    }
    ask = _sentinel(address, options) if address.service else _node(address, prefix, options)
    known = list(address.hosts)

    async def locate() -> tuple[str, int]:
        said = []
        for place in list(known):
            try:
                found, others = await ask(*place)
            except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
                said.append(str(error))
                continue
            # Whoever has answered is asked first the next time.
            known[:] = dict.fromkeys([place, *known, *others])
            return found
        raise exceptions.ConnectionError(" ".join(said))

    return locate


def _sentinel(address: Address, options: dict[str, Any]) -> Ask:
    async def ask(host: str, port: int) -> tuple[Place, list[Place]]:
        login = {**options, **address.sentinel_options}
        sentinel: Any = Sentinel([(host, port)], sentinel_kwargs=login)  # type: ignore[no-untyped-call]
        try:
            found, its_port = await sentinel.discover_master(address.service)
        finally:
            for each in sentinel.sentinels:
                await each.aclose()
        return (str(found), int(its_port)), []

    return ask


def _node(address: Address, prefix: str, options: dict[str, Any]) -> Ask:
    slot = key_slot(prefix.encode())
    login = {name: value for name, value in address.options.items() if name != "db"}

    async def ask(host: str, port: int) -> tuple[Place, list[Place]]:
        async with Redis(host=host, port=port, **login, **options) as node:
            # As two words: what the client reads from one differs by its version.
            slots = await node.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        found, others = None, []
        for first, last, *nodes in slots:
            # A node that does not know its own name is where we have just asked.
            places = [(_text(each[0]) or host, int(each[1])) for each in nodes]
            others += places
            if first <= slot <= last:
                found = places[0]
        if found is None:
            raise exceptions.ConnectionError(f"no node has the slot of the prefix, {slot}")
        return found, others

    return ask


def _text(name: bytes | str | None) -> str:
    return name.decode() if isinstance(name, bytes) else name or ""
