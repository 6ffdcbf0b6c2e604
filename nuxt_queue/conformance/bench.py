"""What the probes share: the command, how long to wait for it, and what has been seen so far."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nuxt_queue.conformance.clauses import Report
from nuxt_queue.conformance.session import Session, open_session
from nuxt_queue.rpc import methods
from nuxt_queue.runner import Launch
from nuxt_queue.runner.launch import child_environment

__all__ = ["Bench", "Probe", "execute", "notification", "request"]

_KNOWN_TO_STAY_S = 0.1  # for a worker to end that has been seen not to


@dataclass(slots=True)
class Bench:
    """One examination.

    Attributes:
        command: The command and its arguments; the program is a path.
        wait_s: How long to wait for what the worker has to say.
        report: What has been found.
        exit_s: How long it is given to end.
        sessions: What has been said, process by process.
        cooperates: Whether the handler does what a probe asks it to.
    """

    command: Sequence[str]
    wait_s: float
    report: Report
    exit_s: float
    sessions: list[Session] = field(default_factory=list)
    cooperates: bool = False

    @asynccontextmanager
    async def session(
        self, *, framed: bool = True, plain: bool = False, hold: bool = False
    ) -> AsyncIterator[Session]:
        """Start the command for one conversation.

        Args:
            framed: Announce that lines of any length are read.
            plain: Set nothing that the specification does not name.
            hold: Keep its calls unanswered.
        """
        environment = child_environment({})
        argv = tuple(self.command)
        if plain or not framed:
            del environment[methods.ENV_FRAMING]
        if plain:
            argv = (shutil.which("env") or "/usr/bin/env", "-u", methods.ENV_STDOUT_FD, *argv)
        launch = Launch(argv, environment, Path.cwd())
        async with open_session(
            launch, wait_s=self.wait_s, exit_s=self.exit_s, hold=hold
        ) as session:
            yield session
        self.sessions.append(session)
        if not session.ending.with_input:
            self.exit_s = _KNOWN_TO_STAY_S

    async def converse(
        self, *before: Any, raw: bytes = b"", do: str = "echo", **rest: Any
    ) -> Session:
        """Send messages and then a job, in one process; return the whole conversation.

        Every worker answers a job, so what it has not said by then it does not say.
        """
        async with self.session() as session:
            session.send_raw(raw)
            session.send(*before, execute("end", do, **rest))
            await session.answer("end")
        return session


Probe = Callable[[Bench], Awaitable[None]]
"""Asks one thing and notes in the report what came of it."""


def request(request_id: Any, method: str, params: Any = None, **more: Any) -> dict[str, Any]:
    """Build a request."""
    given = {} if params is None else params
    return {"jsonrpc": "2.0", "method": method, "params": given, "id": request_id, **more}


def notification(method: str, params: Any = None) -> dict[str, Any]:
    """Build a notification."""
    return {"jsonrpc": "2.0", "method": method, "params": {} if params is None else params}


def execute(request_id: Any, do: str = "echo", **rest: Any) -> dict[str, Any]:
    """Build a job that asks the handler to do something that can be seen; see docs/protocol.md."""
    data = {"nq": "conformance", "do": do, **({"value": None} if do == "echo" else {}), **rest}
    job = {"id": "conformance-1", "name": "probe", "data": data, "attemptsMade": 0, "opts": {}}
    context = {
        "jobId": "conformance-1",
        "queue": "conformance",
        "flowId": "conformance",
        "flowName": "conformance",
        "stepName": "probe",
        "stepId": "conformance-1__probe__attempt-1",
        "attempt": 1,
    }
    return request(request_id, methods.EXECUTE, {"job": job, "context": context})
