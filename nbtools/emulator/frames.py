"""A failure as its author looks at it: the cell that ran it, the handler, and what that called."""

from __future__ import annotations

from types import TracebackType

import nbtools
import nuxt_queue
from nuxt_queue.errors import NuxtQueueError

__all__ = ["users_frames"]

_OURS = tuple(f"{folder}/" for package in (nbtools, nuxt_queue) for folder in package.__path__)


def users_frames(error: BaseException) -> TracebackType | None:
    """Return the traceback of an error without the frames that lead into and out of a handler.

    When something that is no error of ours was raised by our own code, that is a fault of it, and
    every frame is kept.
    """
    frames: list[TracebackType] = []
    at = error.__traceback__
    while at is not None:
        frames.append(at)
        at = at.tb_next
    if frames and _is_ours(frames[-1]) and not isinstance(error, NuxtQueueError):
        return error.__traceback__
    kept: TracebackType | None = None
    for frame in reversed(frames):
        if not _is_ours(frame):
            kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept


def _is_ours(frame: TracebackType) -> bool:
    return frame.tb_frame.f_code.co_filename.startswith(_OURS)
