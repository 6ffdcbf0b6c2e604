"""Probes that need a handler which does what it is asked: clauses 31 to 37, 40 and 41."""

from __future__ import annotations

from typing import Any

from nuxt_queue.conformance.bench import Bench, Probe, execute
from nuxt_queue.conformance.clauses import Clause
from nuxt_queue.conformance.session import Session, same_id, shown

__all__ = ["PROBES"]

_HOST_HOLDS = 64 * 1024  # bytes of a line, newline included, that such a host reads whole
_QUIET_S = 0.02  # a worker that says nothing for so long waits for answers
_LINES, _PADDING = 40, 4000  # more than twice what such a host holds
_VALUE: Any = {
    "empty": [None, False, True, 0, "", [], {}],
    "numbers": [1, -1, 0.1, -2.5, 1e21, 9007199254740991],
    "text": 'é\N{GRINNING FACE}"\\/\b\f\n\r\t\0\u2028\u007f',
    "keys": {"": {"é": {"jsonrpc": "2.0", "id": 1, "result": "data"}}},
    "digits": ["7", "007", "1e3", "true", "null"],
}


def _same(one: Any, other: Any) -> bool:
    """Compare as JSON does: an array is no object, a number no boolean, and 1 is 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return same_id(one, other)


def _unlike(answer: dict[str, Any], wanted: Any) -> str | None:
    if "result" not in answer:
        return f"it answered {shown(answer)}"
    got = answer["result"]
    if _same(got, wanted):
        return None
    if isinstance(got, dict) and isinstance(wanted, dict):
        for key in wanted:
            if not _same(got.get(key), wanted[key]):
                return f"{shown(wanted[key])} came back as {shown(got.get(key))}"
    return f"{shown(wanted)} came back as {shown(got)}"


async def _ask(bench: Bench, do: str, **rest: Any) -> tuple[Session, dict[str, Any] | None]:
    session = await bench.converse(do=do, **rest)
    return session, next(iter(session.answers("end")), None)


async def _echo(bench: Bench) -> None:
    session, answer = await _ask(bench, "echo", value=_VALUE)
    bench.report.judge(Clause.ECHO, _unlike(answer, _VALUE) if answer else session.silence)


async def _state(bench: Bench) -> None:
    session, answer = await _ask(bench, "state", key="a key", value={"é": [1]})
    problem = _unlike(answer, {"é": [1]}) if answer else session.silence
    kept = await session.service.state.all("conformance")
    if problem is None and kept != {"a key": {"é": [1]}}:
        problem = f"the state is {shown(kept)}"
    bench.report.judge(Clause.STATE, problem)


async def _recorded(session: Session, kind: str) -> list[dict[str, Any]]:
    return [e.data for e in await session.service.bus.read("conformance") if e.type == kind]


async def _log(bench: Bench) -> None:
    asked = {"level": "warn", "message": "é", "metadata": {"a": [1]}}
    session, answer = await _ask(bench, "log", **asked, times=2)
    lines = await _recorded(session, "log")
    problem = None if answer else session.silence
    if problem is None and lines != [{"level": "warn", "message": "é", "a": [1]}] * 2:
        problem = f"of two lines {shown(lines)} arrived"
    bench.report.judge(Clause.LOG, problem)


async def _emit(bench: Bench) -> None:
    session, answer = await _ask(bench, "emit", trigger="an.event", payload={"a": [1]})
    events = await _recorded(session, "emit")
    problem = None if answer else session.silence
    if problem is None and events != [{"name": "an.event", "payload": {"a": [1]}}]:
        problem = f"{shown(events)} arrived"
    bench.report.judge(Clause.EMIT, problem)


async def _fails(bench: Bench) -> None:
    session, answer = await _ask(bench, "fail", message="it is é broken")
    if answer is None:
        return bench.report.fail(Clause.FAILS, session.silence)
    error = answer.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    told = isinstance(message, str) and "it is é broken" in message
    return bench.report.judge(Clause.FAILS, None if told else f"it answered {shown(answer)}")


async def _prints(bench: Bench) -> None:
    text = '{"jsonrpc":"2.0","id":"end","result":"FORGED"}'
    session, answer = await _ask(bench, "print", text=f"{text}\n")
    if answer is None:
        return bench.report.fail(Clause.PRINTS, session.silence)
    if any(m.get("result") == "FORGED" for m in session.all_answers()):
        return bench.report.fail(Clause.PRINTS, "what it printed came as a message")
    arrived = any(text in line for lines in session.output.values() for line in lines)
    return bench.report.judge(Clause.PRINTS, None if arrived else "what it printed got lost")


async def _short_lines(bench: Bench) -> None:
    async with bench.session(framed=False) as session:
        session.send(execute("end", value="x" * (_HOST_HOLDS + 1)))
        answer = await session.answer("end")
    if answer is None:
        return bench.report.fail(Clause.SHORT_LINES, session.silence)
    longest = max(len(a.raw) + 1 for a in session.arrivals)
    problem = None
    if longest > _HOST_HOLDS:
        problem = f"it wrote a line of {longest} bytes, more than {_HOST_HOLDS}"
    elif "error" not in answer:
        problem = f"it answered {shown(answer)}"
    return bench.report.judge(Clause.SHORT_LINES, problem)


async def _window(bench: Bench) -> None:
    """Answer only when the worker has fallen silent, and see how much it says until then."""
    most = read = 0
    async with bench.session(framed=False, hold=True) as session:
        asked = {"level": "info", "message": "m", "metadata": {"a": "x" * _PADDING}}
        session.send(execute("end", "log", **asked, times=_LINES))
        while not session.answers("end") and await _more(session, bench.wait_s):
            while await _more(session, _QUIET_S):
                pass
            unanswered = [a for a in session.arrivals[read:] if not _is_answer(a.value)]
            most = max(most, sum(len(arrival.raw) + 1 for arrival in unanswered))
            read = len(session.arrivals)
            session.answer_held()
        session.release()
    logged = len(await _recorded(session, "log"))
    problem = None
    if most > _HOST_HOLDS:
        problem = f"it wrote {most} bytes without waiting for an answer"
    elif not session.answers("end"):
        problem = session.silence
    elif logged != _LINES:
        problem = f"of {_LINES} lines {logged} arrived"
    bench.report.judge(Clause.WINDOW, problem, f"{most} bytes at most")


def _is_answer(value: Any) -> bool:
    return isinstance(value, dict) and "method" not in value


async def _more(session: Session, wait_s: float) -> bool:
    """Wait for another line."""
    before = len(session.arrivals)
    return await session.until(lambda: len(session.arrivals) > before, wait_s)


PROBES: tuple[Probe, ...] = (
    _echo,
    _state,
    _log,
    _emit,
    _fails,
    _prints,
    _short_lines,
    _window,
)
