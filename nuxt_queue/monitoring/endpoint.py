"""Endpoint: `/healthz` and `/metrics` over HTTP, on the loop that serves the jobs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from nuxt_queue.errors import ConfigError
from nuxt_queue.monitoring.health import Health
from nuxt_queue.monitoring.metrics import Metrics
from nuxt_queue.text import json_text

__all__ = ["Endpoint"]

_HEAD = 8_192  # bytes of a request's head; a probe's is a tenth of it
_ASK_S = 5.0  # for a request to arrive: a connection that says nothing is not kept
_ANSWER_S = 10.0  # for an answer to be found and taken
_MOST = 16  # connections at once: jobs need descriptors
_BACKLOG = 128  # that the system keeps for us, which costs none
_REST_S = 1.0  # before a connection is accepted again when that has failed
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"

_log = logging.getLogger(__name__)

_Answer = tuple[HTTPStatus, str, bytes]


class Endpoint:
    """Answers GET and HEAD, one request a connection, and few connections at once.

    A connection that has not asked yet gives way to a new one, so that idle ones keep no probe from
    its answer.  It is on the loop of the jobs, so a probe of a loop that hangs gets no answer.

    Args:
        health: Answers `/healthz`: 200 or 503, with a JSON body that says why.
        metrics: Answers `/metrics`.
    """

    def __init__(self, health: Health, metrics: Metrics) -> None:
        self._health, self._metrics = health, metrics
        self._connections: dict[asyncio.Task[None], _Connection] = {}

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[str]:
        """Listen until the block ends; gives the address.

        Raises:
            ConfigError: The address cannot be had.
        """
        try:
            listeners = await _listeners(host, port)
        except (OSError, OverflowError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"cannot listen on {host}:{port}: {reason}; choose another port or host"
            ) from None
        accepting = [asyncio.create_task(self._accept(each)) for each in listeners]
        bound_host, bound_port = listeners[0].getsockname()[:2]
        shown = f"[{bound_host}]" if ":" in bound_host else bound_host
        try:
            yield f"http://{shown}:{bound_port}"
        finally:
            tasks = [*accepting, *self._connections]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for each in listeners:
                each.close()

    async def _accept(self, listener: socket.socket) -> None:
        """Accept connections while there is room, also again when descriptors were short."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except ConnectionAbortedError:  # whoever asked has hung up already
                continue
            except OSError as error:  # such as no descriptor left
                _log.warning("probes are not answered now: %s", error.strerror or error)
                await asyncio.sleep(_REST_S)
                continue
            try:
                await self._make_room()
            except BaseException:
                accepted.close()
                raise
            connection = _Connection(accepted)
            task = asyncio.create_task(self._connected(connection))
            self._connections[task] = connection
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        connection = self._connections.pop(task)
        if not connection.is_open:  # it was cancelled before it began
            connection.socket.close()

    async def _make_room(self) -> None:
        """Give up the connection that has said nothing for longest, or wait for one to end."""
        while len(self._connections) >= _MOST:
            silent = [task for task, of in self._connections.items() if not of.has_asked]
            if silent:
                silent[0].cancel()
            await asyncio.wait(silent[:1] or self._connections, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # until it has been taken out

    async def _connected(self, connection: _Connection) -> None:
        with contextlib.suppress(OSError, TimeoutError):  # whoever asked has gone, or is too slow
            connection.is_open = True
            reader, writer = await asyncio.open_connection(sock=connection.socket, limit=_HEAD)
            try:
                async with asyncio.timeout(_ASK_S):
                    method, path = await _request(reader)
                connection.has_asked = True
                async with asyncio.timeout(_ANSWER_S):
                    status, kind, body = await self._answer(method, path)
                    head = (
                        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
                        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                    )
                    writer.write(head.encode() + (b"" if method == "HEAD" else body))
                    writer.close()
                    await writer.wait_closed()  # everything has been taken
            finally:
                writer.transport.abort()

    async def _answer(self, method: str, path: str) -> _Answer:
        if not method:
            return HTTPStatus.BAD_REQUEST, _TEXT, b"this is no request of HTTP\n"
        if method not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"only GET and HEAD\n"
        try:
            if path == "/healthz":
                is_well, told = await self._health.check()
                status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
                return status, _JSON, json_text(told, indent=2, ascii_only=True).encode() + b"\n"
            if path == "/metrics":
                return HTTPStatus.OK, _PROMETHEUS, await self._metrics.text()
        except Exception:  # noqa: BLE001 a probe gets an answer, and the server goes on
            _log.exception("%s could not be answered", path)
            return HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT, b"see the log of nq serve\n"
        return HTTPStatus.NOT_FOUND, _TEXT, b"there are /healthz and /metrics\n"


@dataclass(slots=True)
class _Connection:
    """One connection.

    Attributes:
        socket: What was accepted.
        is_open: Whether a transport has the socket, and will close it.
        has_asked: Whether its request has arrived.
    """

    socket: socket.socket
    is_open: bool = False
    has_asked: bool = False


async def _listeners(host: str, port: int) -> list[socket.socket]:
    """Return a socket for each address of a host, all on one port."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    made: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            port = made[0].getsockname()[1] if made else port
            where = (str(address[0]), port)
            made.append(socket.create_server(where, family=family, backlog=_BACKLOG))
            made[-1].setblocking(False)
    except BaseException:
        for each in made:
            each.close()
        raise
    return made


async def _request(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Read a request; its method and path, both empty when it is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return "", ""
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004 method, path, version
        return "", ""
    return words[0], words[1].partition("?")[0]
