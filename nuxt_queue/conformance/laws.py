"""What holds in every conversation, whatever was asked: clauses 3 to 6, 8 and 21 to 23."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from nuxt_queue.conformance.bench import Bench
from nuxt_queue.conformance.clauses import Clause
from nuxt_queue.conformance.session import Session, shown
from nuxt_queue.services.context import JobContext

__all__ = ["blame", "judge_laws"]

_KNOWN = frozenset(JobContext.parameters())


def judge_laws(bench: Bench) -> None:
    """Judge everything that has been said."""
    for clause, law in _LAWS.items():
        problem = next((p for session in bench.sessions for p in law(session)), None)
        bench.report.judge(clause, problem)
    calls = [call for session in bench.sessions for call in session.calls()]
    if not calls:
        bench.report.unseen(Clause.KNOWN_CALLS, "the handler made no call")
    if not any("id" in call for call in calls):
        bench.report.unseen(Clause.CALL_IDS, "the handler made no call that is answered")
    for clause, law in _CALL_LAWS.items():
        problem = next((p for session in bench.sessions for p in law(session)), None)
        bench.report.judge(clause, problem)


def blame(bench: Bench) -> None:
    """Say what was wrong with the little that was said; that nothing was wrong shows nothing."""
    for clause, law in (_LAWS | _CALL_LAWS).items():
        for problem in (p for session in bench.sessions for p in law(session)):
            bench.report.fail(clause, problem)


def _only_messages(session: Session) -> Iterator[str]:
    if session.flood:
        yield session.flood
    for arrival in session.arrivals:
        if not arrival.is_json or not all(isinstance(m, dict) for m in arrival.messages):
            yield f"it wrote {arrival.raw[:60].decode('utf-8', 'replace')!r}"


def _version(session: Session) -> Iterator[str]:
    for message in (*session.all_answers(), *session.calls()):
        if message.get("jsonrpc") != "2.0":
            yield shown(message)


def _one_of_two(session: Session) -> Iterator[str]:
    for answer in session.all_answers():
        if ("result" in answer) == ("error" in answer):
            yield shown(answer)


def _error_shape(session: Session) -> Iterator[str]:
    for answer in session.all_answers():
        if "error" not in answer:
            continue
        error = answer["error"]
        if (
            not isinstance(error, dict)
            or type(error.get("code")) is not int
            or not isinstance(error.get("message"), str)
        ):
            yield shown(answer)


def _once(session: Session) -> Iterator[str]:
    for request_id in session.sent:
        answers = session.answers(request_id)
        if len(answers) > session.sent.count(request_id):
            yield f"{len(answers)} answers to the id {shown(request_id)}"


def _last_word(session: Session) -> Iterator[str]:
    answered = False
    for arrival in session.arrivals:
        for message in arrival.messages:
            if not isinstance(message, dict):
                continue
            if answered and "method" in message:
                yield f"after its answer it said {shown(message)}"
            ids = [i for i in session.sent if isinstance(i, str) and i in ("end", "one", "packed")]
            answered = answered or ("method" not in message and message.get("id") in ids)


def _known_calls(session: Session) -> Iterator[str]:
    for call in session.calls():
        if call["method"] not in _KNOWN:
            yield f"there is no {shown(call['method'])}"
    yield from session.wrong_calls


def _call_ids(session: Session) -> Iterator[str]:
    seen: list[Any] = []
    for call in session.calls():
        if "id" not in call:
            continue
        if call["id"] is None or isinstance(call["id"], bool | list | dict):
            yield f"the id {shown(call['id'])}"
        elif call["id"] in seen:
            yield f"the id {shown(call['id'])} twice"
        seen.append(call["id"])


_Law = Callable[[Session], Iterator[str]]
_LAWS: dict[Clause, _Law] = {
    Clause.ONLY_MESSAGES: _only_messages,
    Clause.VERSION: _version,
    Clause.ONE_OF_TWO: _one_of_two,
    Clause.ERROR_SHAPE: _error_shape,
    Clause.ONCE: _once,
    Clause.LAST_WORD: _last_word,
}
_CALL_LAWS: dict[Clause, _Law] = {Clause.KNOWN_CALLS: _known_calls, Clause.CALL_IDS: _call_ids}
