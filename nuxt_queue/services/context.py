"""Answers the calls of `ctx`: the one table of what each of them means.

Whoever runs a handler, a child process, a notebook or this process, its calls end here.  The scope
is bound by the parent: nothing that a worker sends can reach another flow's state.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Protocol

from nuxt_queue.errors import (
    InternalError,
    InvalidParamsError,
    MethodNotFoundError,
    RpcError,
    ValuePathError,
)
from nuxt_queue.rpc import methods
from nuxt_queue.rpc.codec import Encoded, plain
from nuxt_queue.rpc.messages import check_size
from nuxt_queue.rpc.peer import Reply
from nuxt_queue.rpc.pieces import opened
from nuxt_queue.services.events import Event, EventBus
from nuxt_queue.services.payloads import decoded, encoded, refuse_rounding, taken_in
from nuxt_queue.services.scope import Scope
from nuxt_queue.services.state import StateStore
from nuxt_queue.text import has_surrogate

__all__ = ["ContextService", "FlowControl", "FlowSteps", "JobContext", "JobHandler", "KeepLog"]


_SHOWN = 3  # of the names that a message repeats


class FlowControl(Protocol):
    """What a job may ask about flows; names, arguments and shapes are the host's."""

    async def start_flow(self, name: str, payload: Any = None) -> dict[str, Any]:
        """Start a flow and return `{id, queue, step, flowId}`."""

    async def cancel_flow(self, name: str, run_id: str) -> Any:
        """Cancel a run."""

    async def restart_flow(self, name: str, run_id: str) -> Any:
        """Start a flow again with an earlier run's input."""

    async def is_running(
        self,
        name: str | None = None,
        run_id: str | None = None,
        *,
        exclude_run_ids: tuple[str, ...] = (),
    ) -> bool:
        """Tell whether a run is under way."""

    async def get_running_flows(
        self, name: str | None = None, *, exclude_run_ids: tuple[str, ...] = ()
    ) -> list[dict[str, Any]]:
        """List the runs under way."""

    async def get_flow_stats(self, name: str) -> dict[str, Any] | None:
        """Return a flow's statistics."""

    async def get_all_flow_stats(
        self, *, offset: int = 0, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return the statistics of all flows by name, or a page of them."""

    async def has_flow_stats(self, name: str) -> bool:
        """Tell whether there are statistics of a flow."""


class FlowSteps(Protocol):
    """What a manager tells about the steps that it runs, beside the events of the bus.

    An event tells a story and may be lost.  This may not: when one of these raises, the job is
    not recorded as ended and runs again.
    """

    async def step_started(self, scope: Scope) -> None:
        """An attempt begins; its handler has not been called.

        Raises:
            FlowCancelledError: It must not be called: the attempt fails, and there is no other.
        """

    async def step_begins(self, scope: Scope) -> None:
        """The process of an attempt is ready, which may be long after `step_started`.

        Raises:
            FlowCancelledError: The handler must not be called.
        """

    async def step_emitted(self, scope: Scope, event: str, payload: Any) -> None:
        """An attempt has emitted an event."""

    async def step_completed(self, scope: Scope, result: Any) -> None:
        """An attempt has returned; its job is not recorded as completed yet."""

    async def step_retried(self, scope: Scope) -> None:
        """An attempt has failed and there will be another."""

    async def step_failed(self, scope: Scope, error: str) -> None:
        """A job has failed for good; it is not recorded as failed yet."""


_Answer = Callable[[Any, dict[str, Any]], Awaitable[Any]]
KeepLog = Callable[[Event], None]


class ContextService:
    """What the jobs of one manager share: state, events and flows.

    Args:
        state: Where `ctx.state` lives.
        bus: Where log lines and emitted events go.
        flows: Starts and inspects flows; without it those calls are answered with -32601.
        steps: Is told what becomes of steps; decides what comes next.
    """

    def __init__(
        self,
        state: StateStore,
        bus: EventBus,
        flows: FlowControl | None = None,
        steps: FlowSteps | None = None,
    ) -> None:
        self.state, self.bus, self.flows, self.steps = state, bus, flows, steps

    def for_job(self, scope: Scope, keep_log: KeepLog | None = None) -> JobContext:
        """Return the calls of one attempt of one job.

        Args:
            scope: Whose calls they are.
            keep_log: Gets each log line, to keep it with the job.
        """
        return JobContext(self, scope, keep_log)


class JobContext:
    """The calls of one attempt of one job.

    Attributes:
        scope: Whose calls they are.
        service: What they are answered from.
    """

    def __init__(
        self, service: ContextService, scope: Scope, keep_log: KeepLog | None = None
    ) -> None:
        self.service, self.scope, self._keep_log = service, scope, keep_log

    @classmethod
    def parameters(cls) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Return of each method the names of its required and of its optional parameters."""
        return {method: entry[1:] for method, entry in cls._TABLE.items()}

    async def call(self, method: str, params: Mapping[str, Any] | list[Any]) -> Any:
        """Answer one call.

        Args:
            method: A name from `rpc.methods`.
            params: By name; by position in the order of the table below.

        Raises:
            MethodNotFoundError: If there is no such method.
            InvalidParamsError: If a parameter is missing, unknown or of the wrong type.
        """
        return await decoded(await self._call(method, params))

    async def _call(self, method: str, params: Mapping[str, Any] | list[Any]) -> Any:
        entry = self._TABLE.get(method)
        if entry is None:
            raise MethodNotFoundError(f"this host has no method {method!r:.80}")
        answer, required, optional = entry
        return await answer(self, _by_name(method, params, required, optional))

    async def answer(
        self,
        method: str,
        params: Any,
        reply: Reply,
        *,
        max_message: int,
        javascript: bool = False,
    ) -> None:
        """Answer one call over the wire; whatever goes wrong is its error.

        Args:
            method: What is called.
            params: Its parameters.
            reply: Takes the answer.
            max_message: Bytes of the longest answer.
            javascript: Whether an integer that JavaScript would round is refused.
        """
        try:
            result = await encoded(await self._call(method, params), method)
            if javascript:
                await refuse_rounding(result, method)
            check_size(_as_called(method, params), len(result), max_message)
            reply.result(result)
        except RpcError as error:
            reply.error(error)
        except ValuePathError as error:
            reply.error(RpcError(str(error)))
        except Exception as error:  # noqa: BLE001 a store that fails must reach the handler
            reply.error(InternalError(f"{method}: {type(error).__name__}: {error}"))

    async def log(
        self, level: str, message: str, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Record a log line of this job, also one that its process printed."""
        event = await self.service.bus.publish(
            "log", self.scope, {**(metadata or {}), "level": level, "message": message}
        )
        if self._keep_log is not None:
            self._keep_log(event)

    @property
    def _flow_scope(self) -> str:
        return self.scope.flow_id or ""

    @property
    def _flows(self) -> FlowControl:
        flows = self.service.flows
        if flows is None:
            raise MethodNotFoundError("this host runs no flows")
        return flows

    async def _get(self, given: dict[str, Any]) -> Any:
        return await self.service.state.read(self._flow_scope, _text(given, "key"))

    async def _set(self, given: dict[str, Any]) -> None:
        opts = given.get("opts") or {}
        if not isinstance(opts, dict) or set(opts) - {"ttl"}:
            raise InvalidParamsError(f"the only option of state.set is ttl, in seconds; got {opts}")
        await self.service.state.set(
            self._flow_scope, _text(given, "key"), given["value"], ttl_s=opts.get("ttl")
        )

    async def _delete(self, given: dict[str, Any]) -> bool:
        return await self.service.state.delete(self._flow_scope, _text(given, "key"))

    async def _incr(self, given: dict[str, Any]) -> int | float:
        by = given.get("by", 1)
        return await self.service.state.incr(self._flow_scope, _text(given, "key"), by)

    async def _log(self, given: dict[str, Any]) -> None:
        given = {name: plain(value) for name, value in given.items()}
        metadata = given.get("metadata")
        if metadata is not None and not isinstance(metadata, dict):
            metadata = {"value": metadata}
        level = given["level"] if given["level"] in methods.LOG_LEVELS else "info"
        await self.log(level, str(given["message"]), metadata)

    async def _emit(self, given: dict[str, Any]) -> list[Any]:
        payload = given.get("payload")
        if payload is None:
            payload = {}
        elif not _is_object(payload):
            payload = {"value": payload}
        name, payload = _text(given, "trigger"), await taken_in(payload, "payload")
        await self.service.bus.publish("emit", self.scope, {"name": name, "payload": payload})
        if self.service.steps is not None:
            await self.service.steps.step_emitted(self.scope, name, payload)
        return []

    async def _emit_event(self, given: dict[str, Any]) -> list[Any]:
        event = _members(given["event"])
        data = _members(event.get("data"))
        if not isinstance(data.get("name"), str):
            raise InvalidParamsError('an event is {"type": "emit", "data": {"name": ...}}')
        payload = {key: value for key, value in data.items() if key != "name"}
        return await self._emit({"trigger": data["name"], "payload": payload})

    async def _start(self, given: dict[str, Any]) -> Any:
        return await self._flows.start_flow(_text(given, "flowName"), given.get("payload"))

    async def _cancel(self, given: dict[str, Any]) -> Any:
        return await self._flows.cancel_flow(_text(given, "flowName"), _text(given, "runId"))

    async def _cancel_own(self, _given: dict[str, Any]) -> Any:
        if self.scope.flow_id is None or self.scope.flow_name is None:
            raise InvalidParamsError("this job is in no flow: there is nothing to cancel")
        return await self._flows.cancel_flow(self.scope.flow_name, self.scope.flow_id)

    async def _restart(self, given: dict[str, Any]) -> Any:
        return await self._flows.restart_flow(_text(given, "flowName"), _text(given, "runId"))

    async def _is_running(self, given: dict[str, Any]) -> bool:
        return await self._flows.is_running(
            given.get("flowName"), given.get("runId"), exclude_run_ids=self._excluded(given)
        )

    async def _running(self, given: dict[str, Any]) -> Any:
        excluded = self._excluded(given)
        return await self._flows.get_running_flows(given.get("flowName"), exclude_run_ids=excluded)

    async def _stats(self, given: dict[str, Any]) -> Any:
        return await self._flows.get_flow_stats(_text(given, "flowName"))

    async def _all_stats(self, given: dict[str, Any]) -> Any:
        if "sortBy" in given or "order" in given:
            raise InvalidParamsError("this host sorts flows by name: leave sortBy and order out")
        page = {"offset": given.get("offset", 0), "limit": given.get("limit")}
        for name, value in page.items():
            if type(value) is not int and not (value is None and name == "limit"):
                raise InvalidParamsError(f"{name} must be a whole number, not {value!r}")
        return await self._flows.get_all_flow_stats(**page)

    async def _has_stats(self, given: dict[str, Any]) -> bool:
        return await self._flows.has_flow_stats(_text(given, "flowName"))

    def _excluded(self, given: dict[str, Any]) -> tuple[str, ...]:
        """Leave this run out, as the host does, unless the caller says whom to leave out."""
        own = (self.scope.flow_id,) if self.scope.flow_id else ()
        stated = given.get("excludeRunIds")
        if stated is None:
            return own
        if not isinstance(stated, list) or not all(isinstance(each, str) for each in stated):
            raise InvalidParamsError("excludeRunIds must be a list of strings")
        return tuple(stated)

    # method -> (what answers it, required parameters, optional ones); by position in this order
    _TABLE: ClassVar[dict[str, tuple[_Answer, tuple[str, ...], tuple[str, ...]]]] = {
        methods.STATE_GET: (_get, ("key",), ()),
        methods.STATE_SET: (_set, ("key", "value"), ("opts",)),
        methods.STATE_DELETE: (_delete, ("key",), ()),
        methods.STATE_INCR: (_incr, ("key",), ("by",)),
        methods.LOG: (_log, ("level", "message"), ("metadata",)),
        methods.FLOW_EMIT: (_emit, ("trigger",), ("payload",)),
        methods.EMIT: (_emit_event, ("event",), ()),
        methods.FLOW_START: (_start, ("flowName",), ("payload",)),
        methods.FLOW_CANCEL: (_cancel, ("flowName", "runId"), ()),
        methods.FLOW_CANCEL_OWN: (_cancel_own, (), ()),
        methods.FLOW_RESTART: (_restart, ("flowName", "runId"), ()),
        methods.FLOW_IS_RUNNING: (_is_running, (), ("flowName", "runId", "excludeRunIds")),
        methods.FLOW_RUNNING: (_running, (), ("flowName", "excludeRunIds")),
        methods.FLOW_STATS: (_stats, ("flowName",), ()),
        methods.FLOW_ALL_STATS: (_all_stats, (), ("sortBy", "order", "limit", "offset")),
        methods.FLOW_HAS_STATS: (_has_stats, ("flowName",), ()),
    }


# What a manager runs: the job as the wire has it, and the calls that the job may make.  One made
# of a worker file may have `close`, which its manager awaits when it closes.
JobHandler = Callable[[dict[str, Any], JobContext], Awaitable[Any]]


def _by_name(
    method: str,
    params: Mapping[str, Any] | list[Any],
    required: tuple[str, ...],
    optional: tuple[str, ...],
) -> dict[str, Any]:
    names = required + optional
    if isinstance(params, list):
        if len(params) > len(names):
            raise InvalidParamsError(f"{method} takes {len(names)} parameters, not {len(params)}")
        given = dict(zip(names, params, strict=False))
    else:
        given = dict(params)
    missing = [name for name in required if name not in given]
    if missing:
        raise InvalidParamsError(f"{method} needs {', '.join(missing)}")
    unknown = sorted(set(given) - set(names))
    if unknown:
        takes = ", ".join(names) or "no parameters"
        shown = ", ".join(f"{name:.80}" for name in unknown[:_SHOWN])
        raise InvalidParamsError(f"{method} has no {shown}; it takes {takes}")
    return given


def _is_object(value: Any) -> bool:
    return value.text.startswith(b"{") if type(value) is Encoded else isinstance(value, dict)


def _members(value: Any) -> dict[str, Any]:
    """Return the members of an object, of which long ones stay `Encoded`; none of anything else."""
    if not _is_object(value):
        return {}
    found: dict[str, Any] = opened(value)
    return found


def _as_called(method: str, params: Any) -> str:
    """Return a call as the user wrote it, as far as it says what was asked for."""
    key = params.get("key") if isinstance(params, dict) else None
    return f"{method}({key!r:.80})" if isinstance(key, str) else method


def _text(given: dict[str, Any], name: str) -> str:
    value = given[name]
    if not isinstance(value, str):
        raise InvalidParamsError(f"{name} must be a string, not {type(value).__name__}")
    if has_surrogate(value):
        raise InvalidParamsError(f"{name} {value!r} holds a lone surrogate, which is no character")
    return value
