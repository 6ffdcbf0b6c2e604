"""Wait for files to change, by looking at them: what works on every file system."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

__all__ = ["changes"]

# Below what a person notices, and about 0.1 % of a processor for a hundred notebooks.
_PAUSE_S = 0.2


def _sleep() -> bool:
    time.sleep(_PAUSE_S)
    return True


def changes(files: Sequence[str], pause: Callable[[], bool] = _sleep) -> Iterator[str]:
    """Yield a file each time it has changed since this call.

    Args:
        files: What to look at; a file that is gone or not there yet counts as changed once.
        pause: Waits a moment, and returns False to end.
    """
    return _follow({file: _stamp(file) for file in files}, pause)


def _follow(
    seen: dict[str, tuple[int, int, int] | None], pause: Callable[[], bool]
) -> Iterator[str]:
    while pause():
        for file, last in list(seen.items()):
            stamp = _stamp(file)
            if stamp != last:
                seen[file] = stamp
                yield file


def _stamp(file: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(file)  # noqa: PTH116 a name may hold what a Path would refuse
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
