"""Probes of how bytes become messages: clauses 17 to 20."""

from __future__ import annotations

import asyncio
import itertools
import json

from nuxt_queue.conformance.bench import Bench, execute, notification, request
from nuxt_queue.conformance.clauses import Clause
from nuxt_queue.conformance.session import same_id, shown

__all__ = ["PROBES"]

_READY_S = 2.0  # for a worker to read its input
_PIECE_S = 0.01  # between the pieces of a message, so that they are read one by one
_LARGE = 1024 * 1024
_MANY = 20  # messages in one go


async def _pieces(bench: Bench) -> None:
    asked = "é\N{GRINNING FACE}"
    line = json.dumps(execute(asked), ensure_ascii=False).encode() + b"\n"
    first = line.index(asked.encode())
    # Every byte of the characters comes alone, and so does the newline.
    cuts = [0, *range(first, first + len(asked.encode()) + 1), len(line) - 1, len(line)]
    async with bench.session() as session:
        # Pieces that arrive before it reads would be one when it does.
        session.send(request("ready", "nq.no-such-method"))
        await session.until(lambda: bool(session.answers("ready")), wait_s=_READY_S)
        session.sent.append(asked)
        for start, end in itertools.pairwise(cuts):
            session.send_raw(line[start:end])
            await asyncio.sleep(_PIECE_S)
        answer = await session.answer(asked)
    if answer is None:
        return bench.report.fail(Clause.PIECES, _changed(session.strangers()) or session.silence)
    problem = None if same_id(answer["id"], asked) else f"the id came back as {shown(answer['id'])}"
    return bench.report.judge(Clause.PIECES, problem)


def _changed(strangers: list[dict[str, object]]) -> str | None:
    return f"it answered {shown(strangers[0])}" if strangers else None


async def _packed(bench: Bench) -> None:
    async with bench.session() as session:
        session.send(*[notification("cancel")] * _MANY, execute("packed"))
        answer = await session.answer("packed")
    bench.report.judge(Clause.PACKED, None if answer else session.silence)


async def _newline(bench: Bench) -> None:
    asked = "a\u2028b\u2029c\u0085d\u00a0e"
    async with bench.session() as session:
        session.send(execute(asked))
        answer = await session.answer(asked)
    problem = None if answer else _changed(session.strangers()) or session.silence
    bench.report.judge(Clause.NEWLINE, problem)


async def _large(bench: Bench) -> None:
    value = "x" * _LARGE
    session = await bench.converse(value=value)
    answer = next(iter(session.answers("end")), None)
    bench.report.judge(Clause.LARGE, None if answer else session.silence)
    if not bench.cooperates or answer is None:
        return
    problem = None if answer.get("result") == value else f"it answered {shown(answer)}"
    bench.report.judge(Clause.LARGE_ANSWER, problem)


PROBES = (_pieces, _packed, _newline, _large)
