"""What a command line says: whole lines, whatever the names in them hold."""

from __future__ import annotations

from typing import TextIO

__all__ = ["say"]


def say(text: str, stream: TextIO) -> None:
    """Print a line; what the stream's encoding does not have is written as escapes."""
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)
