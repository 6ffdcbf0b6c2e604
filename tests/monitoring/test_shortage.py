"""A server that is short of descriptors loses no job, answers probes again, and does not flood."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import WAIT_S, Project, Server

PROBE = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with one worker."""
    made = Project(tmp_path)
    made.write("greet")
    return made


def limit(server: Server, descriptors: int) -> None:
    """Set how many descriptors a running server may have."""
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (descriptors, hard))


def port_of(server: Server) -> int:
    found = re.search(r":(\d+)/metrics", server.line("/metrics"))
    assert found is not None
    return int(found[1])


def answer_of(probe: socket.socket) -> bytes:
    probe.settimeout(WAIT_S)
    answer = b""
    while some := probe.recv(65_536):
        answer += some
    return answer


@contextlib.contextmanager
def connections(port: int, number: int) -> Iterator[list[socket.socket]]:
    """Hold connections that ask nothing."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(number):
            each = stack.enter_context(socket.socket())
            each.settimeout(0.01)
            with contextlib.suppress(TimeoutError, BlockingIOError):
                each.connect(("127.0.0.1", port))
            made.append(each)
        yield made


def test_idle_connections_keep_no_job_from_its_descriptors_and_no_probe_from_its_answer(
    project: Project,
) -> None:
    with project.serving("--metrics", "0") as server:
        port = port_of(server)
        limit(server, 256)
        with connections(port, 400) as idle:
            idle[-1].send(b"GET /healthz HTTP/1.1\r\nHo")  # and no more
            for n in range(2):
                out = project.out("enqueue", "greet", "--data", json.dumps({"n": n}), "--wait")
                assert out == f'"hello {n}"'
            with socket.create_connection(("127.0.0.1", port), WAIT_S) as probe:
                probe.send(PROBE)
                assert answer_of(probe).startswith(b"HTTP/1.1 200 OK")
            held = list(Path(f"/proc/{server.process.pid}/fd").iterdir())
            assert len(held) < 80
        server.stop()
        server.line("stopped")
    assert [line for line in server.lines if "warning" in line or "error" in line] == []


def test_without_a_descriptor_jobs_are_put_back_and_run_when_there_are_some_again(
    project: Project,
) -> None:
    with project.serving("--metrics", "0") as server:
        port = port_of(server)
        limit(server, 3)
        project.out("enqueue", "greet", "--id", "early", "--data", '{"n": 1}')
        said = server.line("jobs are put back")
        assert "Too many open files" in said
        with socket.create_connection(("127.0.0.1", port), WAIT_S) as probe:
            probe.send(PROBE)
            server.line("probes are not answered now: Too many open files")
            job = json.loads(project.out("jobs", "greet", "early", "--json"))
            assert (job["state"], job["attemptsMade"]) in (("active", 0), ("waiting", 0))
            limit(server, 256)
            assert answer_of(probe).startswith(b"HTTP/1.1 ")
        server.line("completed")
        server.stop()
        server.line("stopped")
    job = json.loads(project.out("jobs", "greet", "early", "--json"))
    assert (job["state"], job["attemptsMade"]) == ("completed", 1)
    assert len([line for line in server.lines if "warning: jobs are put back" in line]) <= 2
