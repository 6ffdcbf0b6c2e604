"""What a command line says: printable lines, whatever the names in them hold."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from nuxt_queue.text import json_text, one_line

__all__ = ["say", "say_json", "show"]


def say(text: str, stream: TextIO) -> None:
    """Print a text, each of its lines printable.

    What the stream's encoding does not have is written as escapes.
    """
    encoding = stream.encoding or "utf-8"
    for line in text.split("\n"):
        print(one_line(line).encode(encoding, "backslashreplace").decode(encoding), file=stream)


def say_json(fields: dict[str, Any]) -> None:
    """Print an object as one line of JSON."""
    print(json_text(fields, ascii_only=True), flush=True)


def show(lines: Iterable[str]) -> None:
    """Write lines of files, a difference for instance: exact, except on a terminal."""
    if sys.stdout.isatty():
        for line in lines:
            say(line, sys.stdout)
    else:
        sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode())
