"""What a handler can do: `RunContext`, with its state, logger and flow.

The context only ever makes calls; what they mean is decided by whoever answers, the host in
production and the emulator in a notebook.  In a coroutine a call is awaited; in a plain function
it simply returns.  Either way it is on its way as soon as it is made.
"""

from __future__ import annotations

from nuxt_queue.errors import RpcError, ValuePathError
from nuxt_queue.rpc import methods
from nuxt_queue.text import utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from nuxt_queue.sdk.calls import Calls

__all__ = ["Flow", "Logger", "RunContext", "State"]

# The host routes by these keys of a payload; a payload of ours must not redirect an event.
_ROUTING_KEYS = ("flowId", "flowName", "stepName")
_CAMEL = {camel: snake for snake, camel in methods.CONTEXT_FIELDS.items()}


class State:
    """Values that the steps of one flow run share, by key."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def get(self, key: str) -> Any:
        """Return the value of `key`, or None when there is none."""
        return self._call(methods.STATE_GET, {"key": key}, f"ctx.state.get({key!r})")

    def set(
        self,
        key: str,
        value: Any,
        opts: Mapping[str, Any] | None = None,
        *,
        ttl: float | None = None,
    ) -> Any:
        """Store `value` under `key`.

        Args:
            key: Any text.
            value: Anything that JSON can hold.
            opts: The host's own spelling of the options, `{"ttl": seconds}`.
            ttl: Seconds after which the value is gone.

        Raises:
            ValuePathError: If JSON cannot hold the value; names the place in it.
        """
        label = f"ctx.state.set({key!r})"
        params: dict[str, Any] = {"key": key, "value": self._calls.plain(value, f"state[{key!r}]")}
        if ttl is not None:
            opts = {**(opts or {}), "ttl": ttl}
        if opts:
            params["opts"] = self._calls.plain(dict(opts), f"the options of {label}")
        return self._call(methods.STATE_SET, params, label)

    def delete(self, key: str) -> Any:
        """Remove `key`; removing what is not there is fine."""
        return self._call(methods.STATE_DELETE, {"key": key}, f"ctx.state.delete({key!r})")

    def incr(self, key: str, by: float = 1) -> Any:
        """Add to a number, atomically among all jobs of the flow run, and return the new value.

        Raises:
            NotSupportedByHost: If the host cannot; this project's hosts can.
        """
        params = {"key": key, "by": self._calls.plain(by, "by")}
        return self._call(methods.STATE_INCR, params, f"ctx.state.incr({key!r})")

    def _call(self, method: str, params: dict[str, Any], label: str) -> Any:
        if not isinstance(params["key"], str):
            raise TypeError(f"a state key is a string, not {type(params['key']).__name__}")
        return self._calls.answer(self._calls.make(method, params, label))


class Logger:
    """Log lines of one job; written in order, from any thread, and never in the way.

    Metadata that JSON cannot hold is left out of the line and named in it: a log line does not
    fail a job.
    """

    def __init__(self, calls: Calls, bound: Mapping[str, Any] | None = None) -> None:
        self._calls, self._bound = calls, dict(bound or {})

    def log(self, level: str, message: object, metadata: Any = None) -> None:
        """Write a line; `level` is debug, info, warn or error, anything else counts as info."""
        level = "warn" if level == "warning" else level
        try:
            if metadata is not None and type(metadata) is not dict:  # a class may hold more
                metadata = self._calls.plain(metadata, "metadata")
            if metadata is not None and not isinstance(metadata, dict):
                metadata = {"value": metadata}
            plain = self._calls.plain({**self._bound, **(metadata or {})}, "metadata")
        except ValuePathError as error:
            plain = {"metadataError": str(error)}
        # The host merges metadata into the record: these two would overwrite its own.
        for key in ("level", "message"):
            if key in plain:
                plain[f"{key}_"] = plain.pop(key)
        text = utf8(str(message))
        known = level if level in methods.LOG_LEVELS else "info"
        try:
            self._calls.log({"level": known, "message": text, "metadata": plain})
        except RpcError:
            if self._calls.framed:
                raise  # the channel is gone, and so is the job
            self._calls.log({"level": known, "message": text[:2000] + "…", "metadata": {}})
        except ValuePathError as error:  # longer than a message may be
            short = {"metadataError": str(error)}
            self._calls.log({"level": known, "message": text[:200] + "…", "metadata": short})

    def debug(self, message: object, metadata: Any = None) -> None:
        """Write a line at level debug."""
        self.log("debug", message, metadata)

    def info(self, message: object, metadata: Any = None) -> None:
        """Write a line at level info."""
        self.log("info", message, metadata)

    def warn(self, message: object, metadata: Any = None) -> None:
        """Write a line at level warn."""
        self.log("warn", message, metadata)

    warning = warn

    def error(self, message: object, metadata: Any = None) -> None:
        """Write a line at level error."""
        self.log("error", message, metadata)

    def exception(self, message: object, metadata: Any = None) -> None:
        """Write a line at level error with the traceback of the exception being handled."""
        from traceback import format_exc

        given = metadata if isinstance(metadata, dict) or metadata is None else {"value": metadata}
        self.log("error", message, {**(given or {}), "traceback": format_exc()})

    def child(self, metadata: Mapping[str, Any]) -> Logger:
        """Return a logger that adds `metadata` to each of its lines."""
        return Logger(self._calls, {**self._bound, **metadata})


class Flow:
    """The flow that this job is a step of, and the other flows of the host."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def emit(self, trigger: str, payload: Any = None) -> Any:
        """Emit an event; the steps that subscribe to it start when this step has completed.

        Args:
            trigger: The event's name, for example `model.trained`.
            payload: What the next step finds in `job['data']`: a dictionary; anything else
                arrives as `{"value": payload}`.

        Raises:
            ValuePathError: If JSON cannot hold the payload.
            ValueError: If the payload holds a key that routes events.
        """
        if not isinstance(trigger, str) or not trigger:
            raise TypeError(f"an event's name is a string that is not empty, not {trigger!r}")
        plain = self._calls.plain({} if payload is None else payload, "payload")
        if not isinstance(plain, dict):
            plain = {"value": plain}
        for key in _ROUTING_KEYS:
            if key in plain:
                raise ValueError(
                    f"the payload of {trigger!r} must not hold {key!r}: it routes events"
                )
        # Older hosts know the event only in this shape.
        event = {"type": "emit", "data": {**plain, "name": trigger}}
        call = self._calls.make(
            methods.FLOW_EMIT,
            {"trigger": trigger, "payload": plain},
            f"ctx.flow.emit({trigger!r})",
            (methods.EMIT, {"event": event}),
        )
        return self._calls.answer(call)

    def start_flow(self, flow_name: str, payload: Any = None) -> Any:
        """Start another flow; returns `{"id", "queue", "step", "flowId"}`."""
        plain = self._calls.plain({} if payload is None else payload, "payload")
        return self._call(methods.FLOW_START, {"flowName": flow_name, "payload": plain})

    def cancel_flow(self, flow_name: str, run_id: str) -> Any:
        """Cancel one run of a flow."""
        return self._call(methods.FLOW_CANCEL, {"flowName": flow_name, "runId": run_id})

    def cancel(self) -> Any:
        """Cancel the run that this job belongs to."""
        return self._call(methods.FLOW_CANCEL_OWN, {})

    def restart_flow(self, flow_name: str, run_id: str) -> Any:
        """Start a flow again with the input of an earlier run."""
        return self._call(methods.FLOW_RESTART, {"flowName": flow_name, "runId": run_id})

    def is_running(
        self, flow_name: str | None = None, run_id: str | None = None, **options: Any
    ) -> Any:
        """Tell whether another run of a flow is under way; this run itself does not count."""
        return self._call(
            methods.FLOW_IS_RUNNING, {"flowName": flow_name, "runId": run_id, **options}
        )

    def get_running_flows(self, flow_name: str | None = None, **options: Any) -> Any:
        """List the runs under way: `{"id", "flowName", "status", "startedAt", ...}` each."""
        return self._call(methods.FLOW_RUNNING, {"flowName": flow_name, **options})

    def get_flow_stats(self, flow_name: str) -> Any:
        """Return how often a flow ran and how it ended."""
        return self._call(methods.FLOW_STATS, {"flowName": flow_name})

    def get_all_flow_stats(self, **options: Any) -> Any:
        """Return the statistics of all flows; options as the host has them (`limit`, `offset`)."""
        return self._call(methods.FLOW_ALL_STATS, options)

    def has_flow_stats(self, flow_name: str) -> Any:
        """Tell whether there are statistics of a flow."""
        return self._call(methods.FLOW_HAS_STATS, {"flowName": flow_name})

    def _call(self, method: str, params: dict[str, Any]) -> Any:
        given = {name: value for name, value in params.items() if value is not None}
        return self._calls.answer(self._calls.make(method, given, f"{method}()"))


class RunContext:
    """What a handler gets beside its job.

    Attributes:
        state: Values shared by the steps of the flow run.
        logger: Log lines of this job.
        flow: Events, and other flows.
        job_id, queue, flow_id, flow_name, step_name, step_id, attempt: Who this job is; None where
            the host did not say.  The host's camelCase names (`ctx.flowId`) work too.
        trigger, await_config: What a resumed step was waiting for.
        extra: Fields that the host sent beyond these.
        cancelled: Whether the host has asked the job to stop.
    """

    if TYPE_CHECKING:
        job_id: str | None
        queue: str | None
        flow_id: str | None
        flow_name: str | None
        step_name: str | None
        step_id: str | None
        attempt: int | None
        trigger: Any
        await_config: Any

    def __init__(self, calls: Calls, fields: Mapping[str, Any]) -> None:
        self._calls = calls
        self.state, self.logger, self.flow = State(calls), Logger(calls), Flow(calls)
        for snake, camel in methods.CONTEXT_FIELDS.items():
            setattr(self, snake, fields.get(camel))
        self.extra = {key: value for key, value in fields.items() if key not in _CAMEL}
        self.cancelled = False

    def __getattr__(self, name: str) -> Any:
        if name in _CAMEL:
            return getattr(self, _CAMEL[name])
        raise AttributeError(
            f"the context has no {name!r}; it has {', '.join(methods.CONTEXT_FIELDS)},"
            " state, logger, flow and emit()"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} job={self.job_id!r} flow={self.flow_name!r}>"

    def emit(self, event: Any, payload: Any = None) -> Any:
        """Emit an event: a name and a payload, or `{"type": "emit", "data": {"name": ...}}`."""
        if isinstance(event, str):
            return self.flow.emit(event, payload)
        data = event.get("data") if isinstance(event, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("name"), str):
            raise TypeError(
                "an event is {'type': 'emit', 'data': {'name': 'model.trained', ...}},"
                f" or a name and a payload; got {event!r:.80}"
            )
        rest = {key: value for key, value in data.items() if key != "name"}
        return self.flow.emit(data["name"], rest)
