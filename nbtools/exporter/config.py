"""The config of a worker, checked and completed; most of them without loading what checks any.

pydantic takes longer to load than the rest of a small export.  So a config that only says the
usual, in the usual way, is completed here, and everything else is left to `nuxt_queue.config`; a
test holds the two together.
"""

from __future__ import annotations

from typing import Any

from nbtools.errors import NbtoolsError

__all__ = ["complete", "complete_usual"]

_RUNTIMES = ("python", "inprocess", "node", "node-isolated")
_TIMEOUTS_MS = range(1_000, 2**31)  # a shorter one is warned about


def complete(stated: dict[str, Any], stem: str) -> tuple[dict[str, Any], list[str]]:
    """Return a config completed, and what its author probably does not mean.

    Raises:
        NbtoolsError: If the checker is not installed.
        ConfigError: If something in the config is wrong.
    """
    usual = complete_usual(stated, stem)
    if usual is not None:
        return usual, []
    try:
        from nuxt_queue.config import complete_config, config_warnings
    except ModuleNotFoundError as error:
        message = f"nq-export needs {error.name}: pip install 'nuxt-queue[notebook]'"
        raise NbtoolsError(message) from None
    config = complete_config(stated, stem=stem)
    return config, config_warnings(config)


def complete_usual(stated: dict[str, Any], stem: str) -> dict[str, Any] | None:
    """Return a usual config completed, or None for one that has to be looked at closely."""
    if not stated.keys() <= {"queue", "flow", "runtime", "concurrency", "timeout", "worker"}:
        return None
    queue = stated.get("queue", stem)
    if isinstance(queue, dict):
        queue = queue["name"] if queue.keys() == {"name"} else None
    flow = _flow(stated["flow"], stem) if "flow" in stated else {}
    nested = stated.get("worker", {})
    if not isinstance(nested, dict) or not nested.keys() <= {"runtime", "concurrency", "timeout"}:
        return None
    if not _is_name(queue) or flow is None:
        return None
    if not all(_are_usual_limits(each) for each in (stated, nested)):
        return None
    limits = {"runtime": "python", "concurrency": 1} | {
        key: each[key]
        for key in ("runtime", "concurrency", "timeout")
        for each in (stated, nested)
        if key in each
    }
    return {"queue": {"name": queue}, **({"flow": flow} if flow else {}), **limits,
            "worker": dict(limits)}  # fmt: skip


def _flow(stated: Any, stem: str) -> dict[str, Any] | None:
    if not isinstance(stated, dict):
        return None
    if not {"name"} <= stated.keys() <= {"name", "role", "step", "emits", "subscribes"}:
        return None
    names = _texts(stated["name"])
    emits, subscribes = (_texts(stated.get(key, [])) for key in ("emits", "subscribes"))
    role = stated.get("role", "step" if subscribes else "entry")
    step = stated.get("step", stem)
    if not names or emits is None or not _is_name(step):
        return None
    if role != ("step" if subscribes else "entry"):  # wrong, or worth a warning
        return None
    return {"name": names, "role": role, "step": step, "emits": emits, "subscribes": subscribes}


def _texts(given: Any) -> list[str] | None:
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not all(map(_is_text, listed)):
        return None
    return list(dict.fromkeys(listed))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value) and value == value.strip()


def _is_name(value: Any) -> bool:
    return _is_text(value) and ":" not in value


def _are_usual_limits(given: dict[str, Any]) -> bool:
    concurrency, timeout = given.get("concurrency", 1), given.get("timeout", 1_000)
    return (
        given.get("runtime", "python") in _RUNTIMES
        and type(concurrency) is int
        and concurrency >= 1
        and type(timeout) is int
        and timeout in _TIMEOUTS_MS
    )
