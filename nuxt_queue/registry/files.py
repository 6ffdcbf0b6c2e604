"""Reads the files of a folder of workers, however odd they are: never waits, never without end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from nuxt_queue.errors import WorkerLoadError

__all__ = ["file_bytes"]

_MAX_BYTES = 4 * 1024 * 1024


def file_bytes(path: Path, most: int = _MAX_BYTES) -> bytes:
    """Return what a regular file holds.

    No more is read than the file says that it has: the files of `/proc` say 0, and reading one of
    them may wait for ever.

    Args:
        path: The file; links are followed.
        most: How many bytes it may have.

    Raises:
        WorkerLoadError: It is not a regular file, cannot be read, or is too large to be code.
    """
    try:
        _size(path, path.stat(), most)  # opening a device may do something
        # A pipe may have taken the file's place: opened so, it does not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            size = _size(path, os.fstat(descriptor), most)
            return file.read(size) if size else b""
    except OSError as error:
        raise WorkerLoadError(path, f"cannot be read: {error.strerror}") from None


def _size(path: Path, found: os.stat_result, most: int) -> int:
    if not stat.S_ISREG(found.st_mode):
        raise WorkerLoadError(path, "is not a regular file")
    if found.st_size > most:
        raise WorkerLoadError(path, f"is larger than {most // 2**20} MiB; keep data apart")
    return found.st_size
