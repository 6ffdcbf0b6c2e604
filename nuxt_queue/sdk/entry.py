"""`run_worker`: receive `execute`, run the handler, drain, reply.

One job per process, or one after another if the host says so.  The handler runs in the main
thread; answers arrive in a thread of the channel's own, so a handler that blocks still gets its
logs out and its calls answered.
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock, start_new_thread

from nuxt_queue.errors import (
    InvalidParamsError,
    MethodNotFoundError,
    PeerClosedError,
    RpcError,
    ValuePathError,
)
from nuxt_queue.rpc import methods
from nuxt_queue.rpc.messages import check_size
from nuxt_queue.rpc.peer import Peer, Reply
from nuxt_queue.sdk.calls import UNLIMITED, WINDOW_BYTES, Calls, loop_is_running
from nuxt_queue.sdk.context import RunContext
from nuxt_queue.sdk.define import check_handler
from nuxt_queue.sdk.job import Job
from nuxt_queue.sdk.stdio import StdioChannel, claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["FIRST_ID", "CallFailedError", "answer_if_the_file_fails", "run_file", "run_worker"]

# Ids of the two sides are separate; far apart they are also easy to tell in a trace.
FIRST_ID = 1_000_001
_BUSY = -32001
_CLEAN_UP_S = 2.0  # for a worker that handles SIGTERM, when its host is gone
_INTERRUPTED = 130  # what a shell says of a program that SIGINT has ended
_COROUTINE_FUNCTION = 0x80  # flag of a code object


class _Finished:
    """What `run_worker` returns: a coroutine that has run, as `asyncio.run(...)` wants one."""

    def send(self, _value: None) -> None:
        raise StopIteration

    def throw(self, error: BaseException, *_: Any) -> None:
        raise error

    def close(self) -> None:
        """Do nothing: there is nothing left to close."""

    def __await__(self) -> _Finished:
        return self

    def __iter__(self) -> _Finished:
        return self

    def __next__(self) -> None:
        raise StopIteration


def run_worker(handler: Callable[..., Any], *, subscribes: tuple[str, ...] | None = None) -> Any:
    """Run one job with `handler` and answer the host.

    Put it last in a worker file, under `if __name__ == "__main__":`, as `run_worker(handler)` or
    `asyncio.run(run_worker(handler))`.  In a notebook, and wherever else no host has started the
    process, it does nothing but say how to run the worker.

    Args:
        handler: `handler(job, ctx)`, a plain function or a coroutine function.
        subscribes: The events that start this step; taken from the file's `config` when left out.
    """
    channel = claim()
    if channel is None:
        check_handler(handler)
        _say_how_to_run()
    elif not channel.is_forked_copy:
        worker = _Worker(channel)
        if loop_is_running():  # `await run_worker(handler)`: the handler needs a thread without one
            _in_thread(lambda: worker.run(lambda: handler, subscribes))
        else:
            worker.run(lambda: handler, subscribes)
    return _Finished()


def answer_if_the_file_fails(channel: StdioChannel) -> None:
    """See to it that a host that runs plain `python worker.py` is answered whatever happens.

    It would wait for its timeout when a file cannot be imported, or never calls `run_worker`.
    """
    import atexit

    default = sys.excepthook

    def on_error(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        default(kind, error, trace)
        answer(error)

    def at_end() -> None:
        answer(RuntimeError("the worker file ended and never called `run_worker(handler)`"))

    def answer(error: BaseException) -> None:
        if not _Worker.has_run and not channel.is_forked_copy:
            _Worker(channel).refuse(error)

    sys.excepthook = on_error
    atexit.register(at_end)


def run_file(path: str) -> None:
    """Run a worker file as the main program, with or without a `run_worker` call of its own.

    A file that cannot be run answers the job with phase `import` instead of dying silently.
    """
    channel = claim()
    module = type(sys)("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 running the worker is the purpose
    except BaseException as error:
        if channel is None or channel.is_forked_copy or _Worker.has_run:
            raise
        _Worker(channel).refuse(error)
    else:
        if channel is not None and not channel.is_forked_copy and not _Worker.has_run:
            _Worker(channel).run(lambda: _handler_of(module), None)


def _handler_of(module: Any) -> Any:
    handler = getattr(module, "handler", None)
    if handler is None:
        raise TypeError(
            f"{os.path.basename(module.__file__)} has no handler: define `handler(job, ctx)`,"
            " or end the file with `run_worker(your_function)`"
        )
    return handler


class _Worker:
    """One process's conversation with its host."""

    has_run = False

    def __init__(self, channel: StdioChannel) -> None:
        self._channel = channel
        self._peer = Peer(self._send, self._serve, FIRST_ID)
        self._calls = self._new_calls()
        self._ctx: RunContext | None = None
        self._job: tuple[dict[str, Any], Reply] | None = None  # the one under way
        self._takes_more = True
        self._given = allocate_lock()
        self._given.acquire()
        self._answered = self._ended = self._cancelled = False
        channel.on_record = self._record

    def refuse(self, error: BaseException) -> None:
        """Wait for the job and answer that its file cannot be run.

        Reads in this thread: at the end of an interpreter no other can be started.
        """
        _Worker.has_run = True
        for line in self._channel.lines():
            self._peer.receive(line)
            if self._job is not None:
                self._fail(self._job[1], error, "import")
            if self._job is not None or self._ended:
                return

    def run(self, find: Callable[[], Any], subscribes: tuple[str, ...] | None) -> None:
        """Wait for the job, run it, answer, and leave the process to end by itself.

        In a process that is reused the next job follows, unless one has failed: it may have left
        things half done.
        """
        _Worker.has_run = True
        self._channel.listen(self._peer.receive, self._on_end)
        self._given.acquire()
        while self._job is not None:
            self._run_job(self._job, find, subscribes)
            if not (self._takes_more and self._channel.reused):
                return
            self._wait_for_another()

    def _wait_for_another(self) -> None:
        try:
            self._given.acquire()
        except KeyboardInterrupt:  # no job is running that it could be meant for
            self._takes_more = False
            raise SystemExit(_INTERRUPTED) from None

    def _run_job(
        self,
        job_and_reply: tuple[dict[str, Any], Reply],
        find: Callable[[], Any],
        subscribes: tuple[str, ...] | None,
    ) -> None:
        params, reply = job_and_reply
        fields = params.get("context") or {}
        self._ctx = ctx = RunContext(self._calls, fields)
        if self._cancelled:  # before there was a context
            ctx.cancelled = True
        try:
            job = Job.of(params.get("job"), fields, _subscribes(subscribes))
            handler = find()
            if self._channel.framed:
                self._say_started(asks=params.get(methods.CONFIRM_START) is True)
            result = _call(handler, job, ctx)
            self._finish(reply, result)
        except BaseException as error:  # noqa: BLE001 whatever it is, the host must hear of it
            if self._channel.is_forked_copy:
                os._exit(1)
            self._fail(reply, error, "run")

    def _new_calls(self) -> Calls:
        longest = UNLIMITED if self._channel.longest is None else self._channel.longest
        return Calls(self._peer, framed=self._channel.framed, longest=longest)

    def _say_started(self, *, asks: bool) -> None:
        """Tell the host; ask it where it wants to be asked: the run may have been cancelled."""
        if asks:
            self._calls.make(methods.STARTED, {}, "started").wait()
        else:
            self._peer.notify(methods.STARTED, {})

    def _send(self, line: bytes) -> None:
        # Calls have been checked: what is too long here is an answer.
        if self._channel.longest is not None:
            check_size("result", len(line) - 1, self._channel.longest)
        if len(line) > WINDOW_BYTES and not self._channel.framed:
            raise RpcError(
                f"the answer is a line of {len(line)} bytes, and this host loses lines over"
                f" {WINDOW_BYTES}; return less, or a path to a file"
            )
        self._channel.write(line)

    def _record(self, line: dict[str, Any]) -> bool:
        """Send a log line of the job under way; between jobs there is none."""
        if self._job is None or self._answered:
            return False
        self._calls.log(line)
        return True

    def _finish(self, reply: Reply, result: Any) -> None:
        if self._channel.is_forked_copy:
            os._exit(0)  # the worker itself answers
        plain = self._calls.plain(result, "result")
        for call in self._calls.drain():
            raise CallFailedError(f"{call.label} was not awaited and failed: {call.error}")
        _flush()
        self._close_job()
        reply.result(plain)

    def _close_job(self) -> None:
        """Let go of the job: from its answer on the host may hang up, or send the next."""
        self._answered = True
        if self._channel.reused:
            self._calls.close()
            self._job = None

    def _fail(self, reply: Reply, error: BaseException, phase: str) -> None:
        if isinstance(error, PeerClosedError):
            return  # nobody is there to be told
        failure = _described(error, phase)
        try:
            self._calls.drain()
            _flush()
            self._takes_more = False
            self._close_job()
            reply.error(failure)
        except PeerClosedError:
            return
        except (RpcError, ValuePathError):  # too long for this host
            room = min(2000, (self._channel.longest or WINDOW_BYTES) // 8)
            reply.error(_briefly(error, phase, room))

    def _serve(self, method: str, params: Any, reply: Reply) -> None:
        if method == methods.CANCEL:
            self._cancelled = True
            if self._ctx is not None:
                self._ctx.cancelled = True
        elif method == methods.SHUTDOWN:
            reply.result(None)
            self._on_end()
        elif method == methods.NEXT and self._channel.reused:
            if self._job is not None or not self._takes_more:
                raise RpcError("this worker takes no other job", code=_BUSY)
            self._cancelled = False  # it was meant for the last one
            reply.result(True)
        elif method != methods.EXECUTE:
            raise MethodNotFoundError(f"a worker has no method {method!r:.80}; it has 'execute'")
        elif self._job is not None:
            raise RpcError("this worker has its job already; start a process per job", code=_BUSY)
        else:
            if not isinstance(params, dict) or not isinstance(params.get("context", {}), dict):
                raise InvalidParamsError("execute takes {job, context}, and context is an object")
            self._calls = self._new_calls()
            self._ctx, self._answered = None, False
            self._job = (params, reply)
            self._given.release()

    def _on_end(self) -> None:
        """End with the host: what it does not wait for must not go on running."""
        self._peer.close(PeerClosedError("the host closed the channel"))
        if self._ended:
            return
        self._ended = True
        if self._job is None:
            self._given.release()
        elif not self._answered:
            _clean_up()
            os._exit(0)  # asked to, which is no failure of the worker's


def _described(error: BaseException, phase: str) -> RpcError:
    try:
        from nuxt_queue.sdk.failures import to_rpc_error

        return to_rpc_error(error, phase)
    except (OSError, MemoryError):  # no descriptor or no memory is left to load it
        return _briefly(error, phase)


def _briefly(error: BaseException, phase: str, room: int = 2000) -> RpcError:
    name, text = type(error).__name__, str(error)[:room]
    retryable = bool(getattr(error, "retryable", True))
    data = {"type": name, "message": text, "phase": phase, "retryable": retryable}
    return RpcError(f"{name}: {text}", data)


def _clean_up() -> None:
    """Let the worker's own SIGTERM handler do what it does at an end, if it has one."""
    from signal import SIGTERM, getsignal
    from time import sleep

    if callable(getsignal(SIGTERM)):
        os.kill(os.getpid(), SIGTERM)
        sleep(_CLEAN_UP_S)


def _in_thread(work: Callable[[], None]) -> None:
    """Do it in a thread of its own, and wait for it."""
    done = allocate_lock()
    done.acquire()

    def run() -> None:
        try:
            work()
        finally:
            done.release()

    start_new_thread(run, ())
    done.acquire()


class CallFailedError(Exception):
    """Raised for a call that failed while nobody awaited it."""


def _call(handler: Any, job: Job, ctx: RunContext) -> Any:
    check_handler(handler)
    result = handler(job, ctx)
    if not hasattr(result, "__await__"):
        return result
    from nuxt_queue.sdk.loop import run_to_end

    return run_to_end(result, ctx)


def _subscribes(given: tuple[str, ...] | None) -> tuple[str, ...]:
    """Read the events that start this step from the worker file's own config."""
    if given is not None:
        return given
    config = getattr(sys.modules.get("__main__"), "config", None)
    flow = config.get("flow") if isinstance(config, dict) else None
    events = flow.get("subscribes") if isinstance(flow, dict) else None
    if isinstance(events, str):
        return (events,)
    return tuple(e for e in events or () if isinstance(e, str))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # None, broken or closed: not ours to judge
            continue


def _say_how_to_run() -> None:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main is not None and "IPython" not in sys.modules:
        name = os.path.basename(main)
        print(  # noqa: T201 somebody ran the file by hand
            f"{name} is a queue worker; try it with:  nq run {name} --data '{{}}'", file=sys.stderr
        )
