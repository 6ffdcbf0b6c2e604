"""What is too long to be repeated is answered with an error that fits a host of 64 KiB lines."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.conftest import Child

ROOT = Path(__file__).parents[2]
EXAMPLES = {
    "perl": ["perl", str(ROOT / "examples" / "perl" / "worker.pl")],
    "node": ["node", str(ROOT / "examples" / "node-plain" / "worker.mjs")],
}
LONG = "x" * 100_000


class Plain(Child):
    """A worker under a host that says nothing of its framing."""

    def __init__(self, command: list[str] | None) -> None:
        if command is None:
            super().__init__("echo.py", framed=False)
            return
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NUXT_QUEUE_CHILD_PROCESS": "1"},
            start_new_session=True,
            bufsize=0,
        )
        self._speak_over(self.process.stdin, self.process.stdout)


@pytest.fixture(params=["sdk", *EXAMPLES])
def plain(request: pytest.FixtureRequest) -> Iterator[Plain]:
    child = Plain(EXAMPLES.get(request.param))
    yield child
    child.close()


def request(**members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "nothing", "id": 1, **members}


LINES: dict[str, tuple[Any, int]] = {
    "id": (request(id=LONG), -32600),
    "method": (request(method=LONG), -32601),
    "id and method": (request(id=LONG, method=LONG), -32600),
    "id of a wrong request": (request(id=LONG, method=5), -32600),
    "id of a known method": (request(id=LONG, method="execute"), -32600),
    "parameters": (request(params={LONG: LONG}), -32601),
}


@pytest.mark.parametrize("name", LINES)
def test_a_request_with_a_long_name_is_answered_and_the_conversation_goes_on(
    plain: Plain, name: str
) -> None:
    line, code = LINES[name]
    (answer,) = plain.exchange(line)
    assert answer["error"]["code"] == code
    assert len(str(answer)) < 65_536


def test_the_answers_to_a_batch_that_are_too_long_together_are_one_error() -> None:
    child = Plain(None)
    (answers,) = child.exchange([request(id="y" * 4000) for _ in range(50)])
    assert [answer["id"] for answer in answers] == [None]
    assert "50 answers to a batch" in answers[0]["error"]["message"]
    child.close()


def test_a_job_behind_such_a_request_is_done() -> None:
    child = Plain(None)
    child.exchange(request(method=LONG))
    child.send(request(method="execute", params={"job": {"id": "1", "data": 7}}))
    assert child.read() == {"jsonrpc": "2.0", "result": 7, "id": 1}
    child.close()
