"""Probes of what JSON-RPC 2.0 asks of whoever is sent requests: clauses 7 and 9 to 16."""

from __future__ import annotations

from typing import Any

from nuxt_queue.conformance.bench import Bench, execute, notification, request
from nuxt_queue.conformance.clauses import Clause
from nuxt_queue.conformance.session import Session, same_id, shown
from nuxt_queue.errors import (
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    ParseError,
)

__all__ = ["PROBES"]

_UNKNOWN = "nq.no-such-method"
_REFUSALS = frozenset(
    kind.code for kind in (ParseError, InvalidRequestError, MethodNotFoundError, InvalidParamsError)
)
_NO_REQUESTS: tuple[Any, ...] = (
    1,
    {"jsonrpc": "2.0", "method": 1, "id": "n1"},
    {"jsonrpc": "1.0", "method": _UNKNOWN, "id": "n2"},
    {"jsonrpc": "2.0", "method": _UNKNOWN, "params": 3, "id": "n3"},
    [],
)


def _no_job(session: Session) -> str | None:
    """Say that the job behind a probe was not answered, which shows that the probe did harm."""
    if session.answers("end"):
        return None
    return f"the job behind it was not answered: {session.silence}"


def _not_refused(session: Session, request_id: Any) -> str | None:
    answer = next(iter(session.answers(request_id)), None)
    if answer is None:
        return f"{request_id} was not answered"
    if _code(answer) == MethodNotFoundError.code:
        return None
    return f"it answered {shown(answer)}"


def _code(answer: dict[str, Any]) -> Any:
    error = answer.get("error")
    return error.get("code") if isinstance(error, dict) else None


async def _ids(bench: Bench) -> None:
    """Requests of unknown methods are cheap, so most ids are tried on them."""
    tried = [0, "", -7, 9007199254740991, "7", "é\N{GRINNING FACE}"]
    session = await bench.converse(*(request(i, _UNKNOWN) for i in tried))
    job = await _job_with_id(bench, "1")
    number = await _job_with_id(bench, 1)
    for asked, given in [*((i, session) for i in tried), ("1", job), (1, number)]:
        for answer in given.answers(asked):
            if not same_id(answer["id"], asked):
                return bench.report.fail(
                    Clause.SAME_ID, f"the id {shown(asked)} came back as {shown(answer['id'])}"
                )
    return bench.report.ok(Clause.SAME_ID)


async def _job_with_id(bench: Bench, request_id: Any) -> Session:
    async with bench.session() as session:
        session.send(execute(request_id))
        await session.answer(request_id)
    return session


async def _unknown_method(bench: Bench) -> None:
    session = await bench.converse(request("u1", _UNKNOWN), request("u2", "rpc.discover"))
    problem = _no_job(session) or _not_refused(session, "u1") or _not_refused(session, "u2")
    bench.report.judge(Clause.UNKNOWN_METHOD, problem)


async def _notifications(bench: Bench) -> None:
    session = await bench.converse(notification(_UNKNOWN), notification("cancel"))
    bench.report.judge(Clause.NOTIFICATIONS, _no_job(session) or _said(session.strangers()))


async def _not_json(bench: Bench) -> None:
    broken = b'{"jsonrpc": "2.0", "method": "execute", "params": [\n"\xff"\n'
    session = await bench.converse(raw=broken)
    answers = [
        m for m in session.strangers() if m.get("id", 1) is None and _code(m) == ParseError.code
    ]
    problem = _no_job(session)
    if problem is None and len(answers) != 2:  # noqa: PLR2004 the two lines above
        problem = f"two lines that are not JSON got {_said(session.strangers()) or 'no answer'}"
    bench.report.judge(Clause.NOT_JSON, problem)


async def _no_request(bench: Bench) -> None:
    session = await bench.converse(*_NO_REQUESTS)
    answers = [m for m in session.all_answers() if _code(m) == InvalidRequestError.code]
    problem = _no_job(session)
    if problem is None and len(answers) != len(_NO_REQUESTS):
        others = [m for m in session.all_answers() if m not in session.answers("end")]
        what = ", ".join(shown(value) for value in _NO_REQUESTS)
        problem = f"of {what} it answered {len(answers)} with -32600; {_said(others) or 'no more'}"
    bench.report.judge(Clause.NO_REQUEST, problem)


async def _batch(bench: Bench) -> None:
    batch = [request("b1", _UNKNOWN), notification(_UNKNOWN), 1, request("b2", _UNKNOWN)]
    session = await bench.converse(batch)
    alone = await _batched_job(bench)
    problem = (
        _no_job(session)
        or _wrong_batch(session, ["b1", "b2", None])
        or _wrong_batch(alone, ["alone"])
    )
    bench.report.judge(Clause.BATCH, problem)


async def _batched_job(bench: Bench) -> Session:
    async with bench.session() as session:
        session.send([execute("alone")])
        await session.answer("alone")
    return session


def _wrong_batch(session: Session, ids: list[Any]) -> str | None:
    """Say what is wrong unless there is one array, with one answer for each id."""
    arrays = [a.value for a in session.arrivals if isinstance(a.value, list)]
    wanted = f"one array of {len(ids)} answers is due"
    if len(arrays) != 1:
        return f"{wanted}; {len(arrays)} came" + (f": {shown(arrays)}" if arrays else "")
    got = [m.get("id") if isinstance(m, dict) else m for m in arrays[0]]
    if sorted(map(str, got)) != sorted(map(str, ids)):
        return f"{wanted}; it holds {shown(arrays[0])}"
    return None


async def _silent_batch(bench: Bench) -> None:
    session = await bench.converse([notification(_UNKNOWN), notification(_UNKNOWN)])
    answered = [a.value for a in session.arrivals if isinstance(a.value, list)]
    problem = _no_job(session) or _said(session.strangers() or answered)
    bench.report.judge(Clause.SILENT_BATCH, problem)


async def _stray_answers(bench: Bench) -> None:
    stray = (
        {"jsonrpc": "2.0", "result": 1, "id": "nobody"},
        {"jsonrpc": "2.0", "error": {"code": 1, "message": "x"}, "id": 99},
        {"jsonrpc": "2.0", "error": {"code": -32700, "message": "not JSON"}, "id": None},
    )
    session = await bench.converse(*stray)
    bench.report.judge(Clause.STRAY_ANSWERS, _no_job(session) or _said(session.strangers()))


async def _more_members(bench: Bench) -> None:
    job = execute("end")
    job["params"]["more"] = job["params"]["context"]["more"] = job["more"] = {"a": [1]}
    async with bench.session() as session:
        session.send(job)
        await session.answer("end")
    problem = _no_job(session)
    answer = next(iter(session.answers("end")), {})
    if _code(answer) in _REFUSALS:
        problem = f"refused with {shown(answer)}"
    bench.report.judge(Clause.MORE_MEMBERS, problem)


def _said(answers: list[Any]) -> str | None:
    return f"it said {shown(answers[0])}" if answers else None


PROBES = (
    _ids,
    _unknown_method,
    _notifications,
    _not_json,
    _no_request,
    _batch,
    _silent_batch,
    _stray_answers,
    _more_members,
)
