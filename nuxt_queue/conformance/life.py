"""Probes of a worker's life: its first job and its end.  Clauses 1, 2 and 24 to 30, 39."""

from __future__ import annotations

from nuxt_queue.conformance.bench import Bench, execute, notification, request
from nuxt_queue.conformance.clauses import Clause
from nuxt_queue.conformance.session import Session, shown
from nuxt_queue.errors import InternalError, MethodNotFoundError
from nuxt_queue.runner.process import describe_exit

__all__ = ["PROBES", "first_job"]

_TOKEN = "the handler cooperates"  # noqa: S105 no secret: what it is asked to repeat
_NO_CALL = "the handler made no call"
_BUSY = -32001


async def first_job(bench: Bench) -> bool:
    """Give it a job; tell whether it is worth asking anything else."""
    report = bench.report
    try:
        async with bench.session() as session:
            session.send(execute(1, value=_TOKEN))
            answer = await session.answer(1)
            if answer is not None:  # it may end now, and has to when its input does
                await session.ended(0.5)
    except OSError as error:
        report.fail(Clause.STARTS, f"it cannot be started: {error.strerror or error}")
        return False
    if answer is None:
        others = session.strangers()
        report.fail(
            Clause.ANSWERS, f"it answered {shown(others[0])}" if others else session.silence
        )
        return False
    report.ok(Clause.ANSWERS, f"with {'an error' if 'error' in answer else 'a result'}")
    bench.cooperates = answer.get("result") == _TOKEN
    report.judge(Clause.ENDS, _bad_ending(session))
    return True


def _bad_ending(session: Session) -> str | None:
    ending = session.ending
    if not ending.with_input:
        return "it was still running when its input had ended"
    code = ending.returncode
    return None if code == 0 else f"it {describe_exit(code or 0)}"


async def _end_of_input(bench: Bench) -> None:
    async with bench.session() as session:
        session.process.close_input()
        await session.ended(bench.wait_s)
    first = next(iter(session.arrivals), None)
    problem = None if first is None else f"it said {first.raw[:60].decode('utf-8', 'replace')!r}"
    bench.report.judge(Clause.STARTS, problem)
    bench.report.judge(Clause.END_OF_INPUT, _bad_ending(session))


async def _shutdown(bench: Bench) -> None:
    async with bench.session() as session:
        session.send(request("s", "shutdown"))
        answer = await session.answer("s")
        ended = answer is not None and "result" in answer and await session.ended(bench.wait_s)
    if answer is None:
        return bench.report.fail(Clause.SHUTDOWN, session.silence)
    if "result" not in answer:
        return bench.report.fail(Clause.SHUTDOWN, f"it answered {shown(answer)}")
    return bench.report.judge(Clause.SHUTDOWN, None if ended else "it answered and went on")


async def _cancel(bench: Bench) -> None:
    async with bench.session(hold=True) as session:
        session.send(execute("end", "state", key="k", value=1))
        await session.until(lambda: bool(session.held or session.answers("end")))
        made_a_call = bool(session.held)
        session.send(notification("cancel"))
        session.release()
        answer = await session.answer("end")
    problem = None
    if answer is None:
        problem = session.silence
    elif strangers := session.strangers():
        problem = f"it said {shown(strangers[0])}"
    bench.report.judge(Clause.CANCEL, problem, "" if made_a_call else f"before its job; {_NO_CALL}")


async def _one_job(bench: Bench) -> None:
    async with bench.session(hold=True) as session:
        session.send(execute("one", "state", key="k", value=1))
        await session.until(lambda: bool(session.held or session.answers("one")))
        session.send(execute("two"))
        if session.held:
            await session.until(lambda: bool(session.answers("two")), wait_s=1)
        session.release()
        await session.answer("one")
    second = next(iter(session.answers("two")), None)
    if second is None:
        return bench.report.ok(Clause.ONE_JOB, "by never answering it")
    error = second.get("error")
    refused = isinstance(error, dict) and error.get("code") == _BUSY
    return bench.report.judge(Clause.ONE_JOB, None if refused else f"it answered {shown(second)}")


async def _refused_call(bench: Bench) -> None:
    for refusal in (InternalError("the store is away"), MethodNotFoundError("no such method")):
        async with bench.session(hold=True) as session:
            session.refusal = refusal
            session.release()
            session.send(execute("end", "state", key="k", value=1))
            answer = await session.answer("end")
        if not session.calls() and answer is not None:
            return bench.report.unseen(Clause.REFUSED_CALL, _NO_CALL)
        if answer is None:
            return bench.report.fail(Clause.REFUSED_CALL, session.silence)
        if bench.cooperates:
            handed_on = None if "error" in answer else f"it answered {shown(answer)}"
            bench.report.judge(Clause.HANDED_ON, handed_on)
    return bench.report.ok(Clause.REFUSED_CALL)


async def _hangs_up(bench: Bench) -> None:
    if not bench.cooperates:
        return
    async with bench.session(hold=True) as session:
        session.send(execute("end", "state", key="k", value=1))
        if not await session.until(lambda: bool(session.held)):
            bench.report.unseen(Clause.HANGS_UP, _NO_CALL)
    problem = None if session.ending.with_input else "it was still running when its input had ended"
    bench.report.judge(Clause.HANGS_UP, problem)


async def _plain_host(bench: Bench) -> None:
    async with bench.session(plain=True) as session:
        session.send(execute("end"))
        answer = await session.answer("end")
    bench.report.judge(Clause.PLAIN_HOST, None if answer else session.silence)


PROBES = (_end_of_input, _shutdown, _cancel, _one_job, _refused_call, _hangs_up, _plain_host)
