"""An exception of the user's code as a JSON-RPC error.  Imported when something failed."""

from __future__ import annotations

import linecache
import os
import sys
import traceback
from typing import Any

from nuxt_queue.errors import RpcError
from nuxt_queue.origin import Place, place_of
from nuxt_queue.text import utf8

__all__ = ["to_rpc_error"]

# Frames of this package say nothing to the user; those before the worker's first are dropped.
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_TEXT_LIMIT = 64 * 1024  # characters of a traceback or message; the middle is left out beyond


def to_rpc_error(error: BaseException, phase: str = "run") -> RpcError:
    """Return the error object that tells a host what happened.

    The message is `Type: text`, which stands alone in a host that shows nothing else; `data` holds
    `type`, `message`, `traceback`, `cause`, `retryable`, `location`, `phase`,
    and for some a `hint` what to do.
    """
    name, text = type(error).__name__, _text(error)
    data = {
        "type": name,
        "message": text,
        "traceback": _traceback(error),
        "cause": _cause(error),
        "retryable": bool(getattr(error, "retryable", True)),
        "location": _location(error),
        "phase": phase,
    }
    if hint := _hint(error, phase):
        data["hint"] = hint
    return RpcError(_shorten(f"{name}: {text}" if text else name), data)


def _hint(error: BaseException, phase: str) -> str | None:
    if phase == "import" and isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return f"{package} is not installed for {sys.executable}: install it there"
    # The user's code may have raised another error because of the one that can be explained.
    reasons: list[BaseException] = []
    reason: BaseException | None = error
    while reason is not None and reason not in reasons:
        reasons.append(reason)
        reason = reason.__cause__ or (None if reason.__suppress_context__ else reason.__context__)
    return next((hint for each in reasons if (hint := _missing(each))), None)


def _missing(error: BaseException) -> str | None:
    """Say why what was there in a notebook is not there in a worker."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not frames:
        return None
    if isinstance(error, KeyError) and frames[-1].f_code is type(os.environ).__getitem__.__code__:
        name = os.fsdecode(error.args[0])
        return (
            f"a worker gets only some of its host's environment: set {name} for the host, and add"
            f' it to the config: "worker": {{"env_passthrough": ["{name}"]}}'
        )
    if not isinstance(error, FileNotFoundError):
        return None
    if any(frame.f_globals.get("__name__") == "subprocess" for frame in frames):
        return f"programs are looked up in the worker's PATH: {os.environ.get('PATH', '')}"
    file = error.filename
    if isinstance(file, str | bytes) and not os.path.isabs(file):
        name = os.fsdecode(file)
        return (
            f"{name} is a relative path, looked up in the worker's directory {_here()}: put the"
            " file there, give its full path, or state worker.cwd"
        )
    return None


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "(which was removed)"


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 the user's __str__ can do anything
        return f"<its __str__ raised {type(broken).__name__}>"
    return _shorten(text)


def _shorten(text: str) -> str:
    text = utf8(text)
    if len(text) <= _TEXT_LIMIT:
        return text
    half = _TEXT_LIMIT // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _traceback(error: BaseException) -> str:
    try:
        report = traceback.TracebackException.from_exception(error, compact=True)
        _trim(report)
        return _shorten("".join(report.format()))
    except Exception as broken:  # noqa: BLE001 a report must not replace the error
        return (
            f"{type(error).__name__} (no traceback: {type(broken).__name__} while formatting it)\n"
        )


def _trim(report: traceback.TracebackException) -> None:
    """Drop our frames from a report and its causes, and say which cell the others come from."""
    seen: list[traceback.TracebackException | None] = [report]
    for part in seen:
        if part is None:
            continue
        frames = [frame for frame in part.stack if not _is_own(frame.filename)]
        for frame in frames:
            place = _place(frame.filename, frame.lineno)
            frame.name += f"  [{place}]" if place else ""
        part.stack = traceback.StackSummary.from_list(frames)
        seen += [part.__cause__, part.__context__, *(part.exceptions or ())]


def _is_own(filename: str) -> bool:
    return filename.startswith((_OWN, "<frozen ")) or f"{os.sep}asyncio{os.sep}" in filename


def _cause(error: BaseException) -> dict[str, str] | None:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return {"type": type(cause).__name__, "message": _text(cause)} if cause else None


def _location(error: BaseException) -> dict[str, Any] | None:
    """Find the last line of the user's file, or of a file that it called, that was running."""
    if isinstance(error, SyntaxError) and error.filename:
        return _spot(error.filename, error.lineno, None)
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_own(f.filename)]
    inside = [f for f in frames if f.filename == main] or frames
    if not inside:
        return None
    last = inside[-1]
    return _spot(last.filename, last.lineno, last.name)


def _spot(filename: str, line: int | None, function: str | None) -> dict[str, Any]:
    """Name a line, and in an exported worker the line of the notebook that it comes from."""
    spot = {"file": filename, "line": line, "function": function}
    place = _place(filename, line)
    if place is None:
        return spot
    return {**spot, "notebook": place.notebook, "cell": place.cell, "cellLine": place.line}


def _place(filename: str, line: int | None) -> Place | None:
    return place_of(linecache.getlines(filename), line) if line else None
