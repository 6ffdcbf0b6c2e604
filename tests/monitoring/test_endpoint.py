"""What `/healthz` and `/metrics` answer, and what is no request at all."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nuxt_queue.app import App, open_app
from nuxt_queue.errors import ConfigError, QueueStorageError
from nuxt_queue.monitoring import Endpoint, Health, endpoint
from nuxt_queue.monitoring.metrics import Metrics

WAIT_S = 10.0
WORKER = """
from nuxt_queue import run_worker
config = {"queue": {"name": "greet"}, "runtime": "python", "timeout": 20000}
async def handler(job, ctx):
    return 1
if __name__ == "__main__":
    run_worker(handler)
"""


@asynccontextmanager
async def answering(folder: Path, worker: str | None = WORKER) -> AsyncIterator[tuple[App, int]]:
    """Serve a folder and answer probes; gives the app and the port."""
    if worker is not None:
        (folder / "greet.py").write_text(worker, "utf-8")
    async with open_app(folder) as app:
        metrics = Metrics(app)
        app.bus.subscribe(metrics.hear)
        async with Endpoint(Health(app), metrics).listening("127.0.0.1", 0) as address:
            yield app, int(address.rpartition(":")[2])


async def ask(port: int, request: bytes) -> tuple[str, str]:
    """Send bytes and return the first line and the body of what comes back."""
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        writer.write_eof()
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return head.split("\r\n")[0], body


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode()


async def test_a_server_without_workers_or_with_a_broken_one_says_so(tmp_path: Path) -> None:
    async with answering(tmp_path, "def handler(job, ctx:\n") as (_, port):
        line, body = await ask(port, get("/healthz"))
        told = json.loads(body)
        assert line == "HTTP/1.1 503 Service Unavailable"
        assert told["reasons"] == [f"no workers in {tmp_path}"]
        assert told["problems"] == [f"{tmp_path / 'greet.py'}:1: SyntaxError: '(' was never closed"]


async def test_queues_that_do_not_answer_are_a_503_and_their_numbers_are_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(tmp_path) as (app, port):
        assert (await ask(port, get("/healthz?full=1")))[0] == "HTTP/1.1 200 OK"
        assert 'nq_jobs{queue="greet"' in (await ask(port, get("/metrics")))[1]

        async def away(_queue: str) -> dict[str, int]:
            raise QueueStorageError("the file", "it is gone")

        monkeypatch.setattr(app.manager, "get_job_counts", away)
        line, body = await ask(port, get("/healthz"))
        assert (line[-3:], json.loads(body)["reasons"]) == ("ble", ["the file: it is gone"])
        metrics = (await ask(port, get("/metrics")))[1]
        assert "nq_queues_up 0.0" in metrics
        assert "nq_jobs{" not in metrics


async def test_names_that_a_producer_invents_are_one_series(tmp_path: Path) -> None:
    async with answering(tmp_path) as (app, port):
        ended: asyncio.Queue[None] = asyncio.Queue()
        app.manager.on("greet", "failed", lambda _event: ended.put_nowait(None))
        for n in range(3):
            await app.manager.enqueue("greet", f"invented-{n}", {})
            await asyncio.wait_for(ended.get(), WAIT_S)
        metrics = (await ask(port, get("/metrics")))[1]
        line = 'nq_job_attempts_total{job="unknown",outcome="failed",queue="greet"} 3.0'
        assert line in metrics.splitlines()
        assert "invented" not in metrics


async def test_a_fault_of_ours_is_a_500_and_the_next_request_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(tmp_path) as (app, port):
        monkeypatch.setattr(app.manager, "get_job_counts", None)
        assert await ask(port, get("/healthz")) == (
            "HTTP/1.1 500 Internal Server Error",
            "see the log of nq serve\n",
        )
        assert (await ask(port, get("/")))[0] == "HTTP/1.1 404 Not Found"


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (get("/healthz", "POST"), "HTTP/1.1 405 Method Not Allowed"),
        (get("/../etc/passwd"), "HTTP/1.1 404 Not Found"),
        (b"hello\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (b"\x16\x03\x01\x02\x00", "HTTP/1.1 400 Bad Request"),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (b"GET /healthz HTTP/1.1\r\nHost", "HTTP/1.1 400 Bad Request"),
    ],
)
async def test_what_is_no_question_for_us_is_refused(
    tmp_path: Path, request_: bytes, line: str
) -> None:
    async with answering(tmp_path) as (_, port):
        try:
            assert (await ask(port, request_))[0] == line
        except ConnectionError:  # it was still sending when the answer was given
            assert len(request_) > 10_000
        assert (await ask(port, get("/healthz")))[0] == "HTTP/1.1 200 OK"


async def test_a_head_has_no_body_and_one_who_hangs_up_is_no_error(tmp_path: Path) -> None:
    async with answering(tmp_path) as (_, port):
        assert await ask(port, get("/metrics", "HEAD")) == ("HTTP/1.1 200 OK", "")
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/metrics"))
        writer.transport.abort()
        assert (await ask(port, get("/healthz")))[0] == "HTTP/1.1 200 OK"


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    async with answering(tmp_path) as (app, port):
        endpoint = Endpoint(Health(app), Metrics(app))
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: .*choose"):
            async with endpoint.listening("127.0.0.1", port):
                pass


async def test_a_request_that_trickles_in_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_ASK_S", 0.05)
    async with answering(tmp_path) as (_, port), asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ended = asyncio.ensure_future(reader.read())
        while not ended.done():
            writer.write(b"x")
            await asyncio.wait({ended}, timeout=0.005)
        with contextlib.suppress(ConnectionError):
            assert await ended == b""
        writer.transport.abort()


async def test_an_answer_that_is_not_taken_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def large(_metrics: Metrics) -> bytes:
        return b"x" * 50_000_000

    monkeypatch.setattr(endpoint, "_ANSWER_S", 0.5)
    monkeypatch.setattr(endpoint, "_MOST", 1)
    monkeypatch.setattr(Metrics, "text", large)
    async with answering(tmp_path) as (_, port), asyncio.timeout(WAIT_S):
        _reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(get("/metrics"))
        assert (await ask(port, get("/healthz")))[0] == "HTTP/1.1 200 OK"  # once it has gone
        writer.transport.abort()


async def test_those_who_ask_nothing_give_way_to_those_who_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_MOST", 2)
    async with answering(tmp_path) as (_, port), asyncio.timeout(WAIT_S):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert (await ask(port, get("/healthz")))[0] == "HTTP/1.1 200 OK"
        assert await idle[0][0].read() == b""  # the one that has waited longest
        idle[1][1].write(get("/healthz"))
        assert (await idle[1][0].read()).startswith(b"HTTP/1.1 200 OK")
        for _, writer in idle:
            writer.close()
