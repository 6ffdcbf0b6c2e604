"""Reads a worker file's bytes, however odd the file."""

from __future__ import annotations

import stat
from pathlib import Path

from nuxt_queue.errors import WorkerLoadError

__all__ = ["file_bytes"]

_MAX_BYTES = 4 * 1024 * 1024


def file_bytes(path: Path) -> bytes:
    """Return what a worker file holds.

    Raises:
        WorkerLoadError: It is no regular file, cannot be read, or is too large to be code.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise WorkerLoadError(path, "is no regular file")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise WorkerLoadError(path, f"cannot be read: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise WorkerLoadError(path, f"is larger than {_MAX_BYTES // 2**20} MiB; keep data apart")
    return data
