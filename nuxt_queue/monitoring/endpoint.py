"""Endpoint: `/healthz` and `/metrics` over HTTP, on the loop that serves the jobs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from nuxt_queue.errors import ConfigError
from nuxt_queue.monitoring.health import Health
from nuxt_queue.monitoring.metrics import Metrics
from nuxt_queue.text import json_text

__all__ = ["Endpoint"]

_HEAD = 8_192  # bytes of a request's head; a probe's is a tenth of it
_ASK_S = 5.0  # for a request to arrive: a connection that says nothing is not kept
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"

_log = logging.getLogger(__name__)

_Answer = tuple[HTTPStatus, str, bytes]


class Endpoint:
    """Answers GET and HEAD, one request a connection.

    On the loop of the jobs, so that a loop that hangs is seen by a probe that gets no answer.

    Args:
        health: Answers `/healthz`: 200 or 503, with a JSON body that says why.
        metrics: Answers `/metrics`.
    """

    def __init__(self, health: Health, metrics: Metrics) -> None:
        self._health, self._metrics = health, metrics
        self._asked: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[str]:
        """Listen until the block ends; gives the address.

        Raises:
            ConfigError: The address cannot be had.
        """
        try:
            server = await asyncio.start_server(self._accept, host, port, limit=_HEAD)
        except (OSError, OverflowError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"cannot listen on {host}:{port}: {reason}; choose another port or host"
            ) from None
        bound_host, bound_port = server.sockets[0].getsockname()[:2]
        shown = f"[{bound_host}]" if ":" in bound_host else bound_host
        try:
            yield f"http://{shown}:{bound_port}"
        finally:
            server.close()
            for asked in self._asked:
                asked.cancel()
            await asyncio.gather(*self._asked, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # In a task of our own: asyncio complains of one of its own that is cancelled at the end.
        asked = asyncio.create_task(self._connected(reader, writer))
        self._asked.add(asked)
        asked.add_done_callback(self._asked.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, TimeoutError):  # whoever asked has gone
                async with asyncio.timeout(_ASK_S):
                    method, path = await _request(reader)
                status, kind, body = await self._answer(method, path)
                head = (
                    f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + (b"" if method == "HEAD" else body))
                await writer.drain()
        finally:
            writer.close()

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
