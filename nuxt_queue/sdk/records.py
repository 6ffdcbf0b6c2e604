"""Records of `logging`, and warnings, as log lines of the job: their level and name are kept.

A job that imports neither module does not load them for this.  What the worker configures stays in
force: which logger takes which level, which handlers it has, how they format.  Only where a handler
would write to the process's own stdout or stderr, the record goes to the host as what it is.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # Takes level, message and metadata; False when there is no job that they could belong to.
    Send = Callable[[str, str, dict[str, Any]], bool]
    # Returns True for a stream that belongs to the process, False for one of the worker's making.
    IsStandard = Callable[[Any], bool]

__all__ = ["is_standard", "send_records"]

_OURS = "sends_records"  # marks the functions that are put in place of the modules' own
_LEVELS = ((40, "error"), (30, "warn"), (20, "info"))  # logging's numbers


def send_records(send: Send, is_standard: IsStandard) -> None:
    """Send records and warnings from now on, or from when `logging` or `warnings` is imported.

    To say it again changes nothing, unless `warnings.catch_warnings` has undone it meanwhile.
    """
    _after_import(
        {
            "logging": lambda module: _send_log_records(module, send, is_standard),
            "warnings": lambda module: _send_warnings(module, send, is_standard),
        }
    )


def is_standard(stream: Any) -> bool:
    """Return True for the streams that the process was started with."""
    return stream is not None and (stream is sys.__stderr__ or stream is sys.__stdout__)


def _send_log_records(logging: Any, send: Send, is_standard: IsStandard) -> None:
    handler_class = logging.StreamHandler
    write = handler_class.emit
    if hasattr(write, _OURS):
        return
    bare = logging.Formatter()

    def emit(self: Any, record: Any) -> None:
        if not is_standard(self.stream):
            write(self, record)
            return
        try:
            text = _formatter(self, logging, bare).format(record)
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 arguments that do not fit: as logging itself does it
            self.handleError(record)
            return
        level = next((name for least, name in _LEVELS if record.levelno >= least), "debug")
        if not send(level, text, {"logger": record.name}):
            write(self, record)

    setattr(emit, _OURS, True)
    handler_class.emit = emit


def _formatter(handler: Any, logging: Any, bare: Any) -> Any:
    """Return the handler's formatter; the default of `basicConfig` repeats level and name."""
    given = handler.formatter
    says_no_more = given is None or getattr(given, "_fmt", None) == logging.BASIC_FORMAT
    return bare if says_no_more else given


def _send_warnings(warnings: Any, send: Send, is_standard: IsStandard) -> None:
    show = warnings.showwarning
    if hasattr(show, _OURS):
        return

    def showwarning(
        message: Any,
        category: Any,
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        told = {"category": category.__name__, "file": filename, "line": lineno}
        own = file is None and is_standard(sys.stderr)
        if not (own and send("warn", str(message), told)):
            show(message, category, filename, lineno, file, line)

    setattr(showwarning, _OURS, True)
    warnings.showwarning = showwarning


def _after_import(actions: dict[str, Callable[[Any], None]]) -> None:
    for name in tuple(actions):
        if name in sys.modules:
            actions.pop(name)(sys.modules[name])
    if actions:
        sys.meta_path.insert(0, _Watch(actions))  # only its one method is asked for


class _Watch:
    """Notices that a module is imported; what finds it is another."""

    def __init__(self, actions: dict[str, Callable[[Any], None]]) -> None:
        self._actions = actions

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        action = self._actions.pop(name, None)
        if action is None:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((s for f in others if (s := f.find_spec(name, path, target))), None)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                run(module)
                action(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
