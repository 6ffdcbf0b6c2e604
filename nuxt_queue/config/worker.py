"""WorkerConfig: what a worker file states about itself, completed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr

from nuxt_queue.config.bounds import MAX_COUNT
from nuxt_queue.config.jobs import JobDefaults, Limiter
from nuxt_queue.config.process import ProcessSettings
from nuxt_queue.config.settings import MAX_MS, Settings, plain_json
from nuxt_queue.errors import ConfigError

__all__ = ["FlowConfig", "QueueConfig", "WorkerConfig", "WorkerSettings", "complete_config"]


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip() or not text:
        raise ValueError(text)
    return text


def _no_colon(text: str) -> str:
    # BullMQ builds Redis keys with it; refused everywhere, so that a queue can move there.
    if ":" in text:
        raise ValueError(text)
    return text


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


def _unique(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


Text = Annotated[str, AfterValidator(_printable)]
Name = Annotated[Text, AfterValidator(_no_colon)]
Texts = Annotated[list[Text], BeforeValidator(_listed), AfterValidator(_unique)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Milliseconds = Annotated[int, Field(ge=1, le=MAX_MS)]
Delay = Annotated[int, Field(ge=0, le=MAX_MS)]

_A_COUNT = f"a whole number from 1 to {MAX_COUNT}"
_A_TIME = f"whole milliseconds, from 1 to {MAX_MS}"
_A_DELAY = f"whole milliseconds, from 0 to {MAX_MS}"
_A_NAME = 'a name: printable, not empty, without ":" and without blanks at its ends'
_EVENTS = "an event's name or a list of them"


class QueueConfig(Settings):
    """The worker's queue."""

    name: Name = Field(description=_A_NAME)
    default_job_options: JobDefaults | None = Field(None, description="a mapping of job options")
    prefix: Text | None = Field(None, description="a string that is not empty")
    limiter: Limiter | None = Field(None, description="{max, duration}")


class FlowConfig(Settings):
    """The worker's place in its flows.

    Attributes:
        names: The flows, at least one in a worker that is in a flow (wire: `name`).
        role: `entry` is what starting the flow runs; a `step` is started by events.
        step: The step's name, which is also the name of its jobs.
        emits: The events it says it emits.
        subscribes: The events that start it, or `step:<name>` for the end of another step.
        join: `all` waits for every event of `subscribes`, `any` starts at the first.
        step_timeout_ms: The host's limit for the step (wire: `stepTimeout`).
    """

    names: Texts | None = Field(
        None, alias="name", min_length=1, description="a flow's name or a list of them"
    )
    role: Literal["entry", "step"] = Field("step", description='"entry" or "step"')
    step: Name = Field(description="one step: " + _A_NAME)
    emits: Texts = Field([], description=_EVENTS)
    subscribes: Texts = Field([], description=_EVENTS)
    join: Literal["all", "any"] | None = Field(None, description='"all" or "any"')
    triggers: dict[str, Any] | None = Field(None, description="a mapping")
    step_timeout_ms: Milliseconds | None = Field(None, alias="stepTimeout", description=_A_TIME)
    await_before: dict[str, Any] | None = Field(None, description="a mapping")
    await_after: dict[str, Any] | None = Field(None, description="a mapping")


class WorkerSettings(ProcessSettings):
    """How the worker runs."""

    elsewhere: ClassVar[Mapping[str, str]] = {"attempts": "queue.defaultJobOptions.attempts"}

    runtime: Text | None = Field(None, description='a runtime\'s name, such as "python"')
    concurrency: Count | None = Field(None, description=_A_COUNT)
    timeout: Milliseconds | None = Field(None, description=_A_TIME)
    lock_duration_ms: Milliseconds | None = Field(None, description=_A_TIME)
    max_stalled_count: Annotated[int, Field(ge=0)] | None = Field(
        None, description="a whole number of 0 or more"
    )
    drain_delay_ms: Delay | None = Field(None, description=_A_DELAY)
    autorun: bool | None = Field(None, description="true or false")
    polling_interval_ms: Milliseconds | None = Field(None, description=_A_TIME)


class WorkerConfig(Settings):
    """A worker's config; `read` completes it, and only a completed one is worth having.

    Attributes:
        queue: The queue and what the host keeps with it.
        stated_flow: What the file says about a flow, also when it names none (wire: `flow`).
        runtime: What runs it: `python`, `inprocess`, `node`, `node-isolated`, or one of the
            project's own.
        concurrency: How many jobs may run at once.
        timeout_ms: The limit of one attempt, None when the file does not say (wire: `timeout`).
        worker: The same three again, with the host's own options; this is the spelling that wins.
        middleware: Kept for the host.
    """

    elsewhere: ClassVar[Mapping[str, str]] = {
        "name": "queue.name",
        "step": "flow.step",
        "role": "flow.role",
        "emits": "flow.emits",
        "subscribes": "flow.subscribes",
        "attempts": "queue.defaultJobOptions.attempts",
        "retries": "queue.defaultJobOptions.attempts",
        "backoff": "queue.defaultJobOptions.backoff",
        "defaultJobOptions": "queue.defaultJobOptions",
        **{
            name: f"worker.{name}"
            for name in (
                "autorun",
                "memory_mb",
                "cpu_seconds",
                "open_files",
                "file_mb",
                "processes",
                "max_message",
                "max_output",
                "env",
                "env_passthrough",
                "cwd",
            )
        },
    }

    queue: QueueConfig = Field(description="a queue's name or a mapping")
    stated_flow: FlowConfig | None = Field(None, alias="flow", description="a mapping")
    runtime: Text = Field("python", description='a runtime\'s name, such as "python"')
    concurrency: Count = Field(1, description=_A_COUNT)
    timeout_ms: Milliseconds | None = Field(None, alias="timeout", description=_A_TIME)
    worker: WorkerSettings | None = Field(None, description="a mapping")
    middleware: Any = None

    _stem: str = PrivateAttr("")

    @classmethod
    def read(cls, raw: Mapping[str, Any], *, stem: str) -> Self:
        """Check what a worker file states and complete it.

        Args:
            raw: The config as stated: `queue` a name or a mapping; `runtime`, `concurrency` and
                `timeout` at the top or under `worker`, where they win.
            stem: The worker file's name without `.py`: the default of queue and step.

        Raises:
            ConfigError: Something in it is wrong; the message names path, value and fix.
        """
        stated = cls.check(_with_names(raw, stem), "config")
        nested = stated.worker or WorkerSettings.check({}, "config.worker")
        worker = nested.model_copy(
            update={
                "runtime": nested.runtime or stated.runtime,
                "concurrency": nested.concurrency or stated.concurrency,
                "timeout": nested.timeout or stated.timeout_ms,
            }
        )
        completed = stated.model_copy(
            update={
                "runtime": worker.runtime,
                "concurrency": worker.concurrency,
                "timeout_ms": worker.timeout,
                "worker": worker,
            }
        )
        completed._stem = stem  # noqa: SLF001 an object of this class
        return completed

    @property
    def queue_name(self) -> str:
        """The queue that its jobs come from."""
        return self.queue.name

    @property
    def flow(self) -> FlowConfig | None:
        """Its place in its flows; None without a flow's name, as the host has it."""
        return self.stated_flow if self.stated_flow and self.stated_flow.names else None

    @property
    def job_name(self) -> str:
        """The name of its jobs: the step in a flow, else the file's name."""
        return self.flow.step if self.flow else self._stem

    @property
    def attempts(self) -> int:
        """How often a job runs in all when the job does not say."""
        defaults = self.queue.default_job_options
        return (defaults and defaults.attempts) or 1

    def to_wire(self) -> dict[str, Any]:
        """Return the completed config as plain JSON data, both spellings written."""
        wire = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        if defaults := self.queue.default_job_options:
            wire["queue"]["defaultJobOptions"] = defaults.to_wire()
        return wire


def complete_config(raw: Mapping[str, Any], *, stem: str) -> dict[str, Any]:
    """Check a worker's config and return it completed, as JSON data with the host's names.

    Completing a completed config changes nothing.  `timeout` (milliseconds) is left out when the
    file does not state one, so that the runtime's own setting counts.

    Args:
        raw: The config as stated; not changed.
        stem: The worker file's name without `.py`: the default of `queue.name` and `flow.step`.

    Raises:
        ConfigError: Something in it is wrong; the message names path, value and fix.
    """
    return WorkerConfig.read(raw, stem=stem).to_wire()


def _with_names(raw: Any, stem: str) -> dict[str, Any]:
    """Copy a config, filling in what depends on the file's name; leave the rest to be checked."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"config is a {type(raw).__name__}; expected a dictionary")
    plain = _given(plain_json(raw, "config"))
    queue, flow = plain.get("queue", {}), plain.get("flow")
    if isinstance(queue, str):
        plain["queue"] = {"name": queue}
    elif isinstance(queue, dict):
        plain["queue"] = {"name": stem, **_given(queue)}
    if flow == {}:
        del plain["flow"]
    elif isinstance(flow, dict):
        role = "step" if flow.get("subscribes") else "entry"
        plain["flow"] = {"role": role, "step": stem, **_given(flow)}
    return plain


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}
