"""A channel without a pipe: encodes every call, has it answered here, decodes the answer.

What a handler sends and gets is the same bytes as in a process of its own, so what JSON cannot
hold fails in the notebook as it would in production.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, TypeVar

from nuxt_queue.errors import (
    HandlerError,
    InternalError,
    PeerClosedError,
    WorkerStartError,
)
from nuxt_queue.rpc.codec import Encoded, decode, encode, text_of
from nuxt_queue.rpc.messages import AROUND_A_VALUE, MAX_MESSAGE, check_size
from nuxt_queue.rpc.peer import Peer, Reply
from nuxt_queue.sdk.calls import Calls
from nuxt_queue.sdk.context import RunContext
from nuxt_queue.sdk.define import check_handler
from nuxt_queue.sdk.entry import FIRST_ID, CallFailedError
from nuxt_queue.sdk.job import Job
from nuxt_queue.services.cancelling import is_cancelling
from nuxt_queue.services.context import JobContext
from nuxt_queue.services.payloads import decoded, encoded

__all__ = ["connect", "now", "run_handler", "run_inprocess", "run_job"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

_SHORT = 64 * 1024  # bytes of a parameter that is decoded; what is longer stays text
_DRAIN_S = 1.0  # for the last calls of a job that has ended; one that hangs is given up

# Runs one call's coroutine and settles its reply.
Answer = Callable[[Coroutine[Any, Any, None]], Any]


def connect(job_context: JobContext, answer: Answer, max_message: int = MAX_MESSAGE) -> Calls:
    """Join a worker's calls to the service that answers them, through encoded lines.

    Args:
        job_context: Answers the calls.
        answer: Decides where: `now`, or a queue of an event loop.
        max_message: Bytes of the longest message, as in a process of its own.
    """

    def serve(method: str, params: Any, reply: Reply) -> None:
        answer(job_context.answer(method, params, reply, max_message=max_message))

    def to_host(line: bytes) -> None:
        assert isinstance(line, _Line)
        host.take(line.message)

    def to_worker(line: bytes) -> None:
        worker.receive(line)

    host = Peer(to_worker, serve)
    worker = Peer(to_host, _refuse, FIRST_ID, _Line.of)
    return Calls(worker, framed=True, longest=max_message)


class _Line(bytes):
    """A line of this process's own, with the message that reading it would give.

    Attributes:
        message: A copy of what was sent; a long parameter is `Encoded`, as in a line from a pipe.
    """

    message: dict[str, Any]

    @classmethod
    def of(cls, message: dict[str, Any]) -> _Line:
        """Write a message; each parameter is encoded once and not checked again."""
        sent = {name: Encoded(text_of(value)) for name, value in message["params"].items()}
        line = cls(encode({**message, "params": sent}))
        read = {name: each if len(each) > _SHORT else each.value() for name, each in sent.items()}
        line.message = {**message, "params": read}
        return line


def now(call: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, as those of the services in memory, and return its result.

    Raises:
        InternalError: If it waits: this is no event loop.
    """
    try:
        call.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    call.close()
    raise InternalError("this call waits for something, and is answered outside an event loop")


async def run_inprocess(
    handler: Callable[..., Any], job: dict[str, Any], job_context: JobContext
) -> Any:
    """Run a Python callable as a job in this process, and return its result as plain data."""
    return await decoded(await run_job(handler, job, job_context))


async def run_job(
    handler: Callable[..., Any], job: dict[str, Any], job_context: JobContext
) -> Encoded:
    """Run a Python callable as a job in this process: `runtime: "inprocess"`.

    A plain function runs in a thread of its own, so that a slow one does not hold up other jobs.

    Raises:
        ValuePathError: If JSON cannot hold the result.
        CallFailedError: If a call failed that nobody awaited.
        HandlerError: If the handler called `sys.exit`.
    """
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[Coroutine[Any, Any, None] | None] = asyncio.Queue()

    def answer(call: Coroutine[Any, Any, None] | None) -> None:
        loop.call_soon_threadsafe(waiting.put_nowait, call)

    async def answer_in_order() -> None:
        while (call := await waiting.get()) is not None:
            try:
                await call
            except (Exception, asyncio.CancelledError):
                if is_cancelling():
                    raise
                _log.exception("a call of job %s was not answered", job_context.scope.job_id)

    calls = connect(job_context, answer)
    ctx = RunContext(calls, decode(encode(job_context.scope.to_wire())))
    pump = asyncio.create_task(answer_in_order())
    try:
        return await run_handler(handler, job, ctx, calls)
    except SystemExit as error:  # it would end the process of all the other jobs
        raise _failed(job_context.scope.job_id, error) from error
    finally:
        calls.peer.close(PeerClosedError("the job has ended"))
        answer(None)  # behind the last log line, which may not even be in the queue yet
        await asyncio.wait({pump}, timeout=_DRAIN_S)
        pump.cancel()
        while not waiting.empty():
            if (call := waiting.get_nowait()) is not None:
                call.close()


async def run_handler(
    handler: Callable[..., Any],
    job: Mapping[str, Any],
    ctx: RunContext,
    calls: Calls,
    subscribes: Collection[str] = (),
) -> Encoded:
    """Run a handler with a context in this process, as the child's entry does in its own."""
    check_handler(handler)
    parts = {name: await encoded(part, f"job.{name}") for name, part in job.items()}
    sent = Encoded(text_of(parts))
    check_size("data", len(sent), calls.longest + AROUND_A_VALUE)
    given = Job.of(await decoded(sent), {}, subscribes)
    del parts, sent
    # Tasks that the handler leaves behind go on: the loop is not its own, and which of the loop's
    # tasks are its cannot be told from those of other jobs.
    if _is_coroutine_function(handler):
        result = await handler(given, ctx)
    else:
        result = await _in_thread(handler, given, ctx)
        if hasattr(result, "__await__"):
            result = await result
    plain = await encoded(result, "result")
    calls.check_result(plain)
    for call in await calls.drained():
        raise CallFailedError(f"{call.label} was not awaited and failed: {call.error}")
    return plain


async def _in_thread(handler: Callable[..., Any], job: Job, ctx: RunContext) -> Any:
    """Call a plain function where no loop runs, so that its ctx calls simply return."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    context = contextvars.copy_context()

    def run() -> None:
        try:
            outcome: tuple[Any, BaseException | None] = (context.run(handler, job, ctx), None)
        except BaseException as error:  # noqa: BLE001 it is raised again where it is awaited
            outcome = (None, error if _is_raisable(error) else _failed(job.id, error))
        loop.call_soon_threadsafe(settle, *outcome)

    try:
        threading.Thread(target=run, name=f"job {job.id}", daemon=True).start()
    except RuntimeError as error:
        raise WorkerStartError(job.id, ("a thread",), str(error), is_shortage=True) from None
    return await done


def _is_raisable(error: BaseException) -> bool:
    """Tell whether a future can carry it without ending more than the job."""
    return isinstance(error, Exception) and not isinstance(error, StopIteration)


def _failed(job_id: str, error: BaseException) -> HandlerError:
    return HandlerError(job_id, type(error).__name__, str(error))


def _is_coroutine_function(handler: Any) -> bool:
    import inspect

    return inspect.iscoroutinefunction(inspect.unwrap(handler)) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 an object's own call, to see what it is
    )


def _refuse(method: str, _params: Any, _reply: Reply) -> None:
    raise InternalError(f"nothing calls {method} on a worker in this process")
