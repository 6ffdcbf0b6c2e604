"""Foreign text: how it is shown on a terminal, written as JSON and kept by an engine.

Names, messages, payloads and file names come from other people.  Every output of this package
passes them through one of these functions, so that none of them can move a cursor, colour a line,
turn the direction of writing, or look like a line of the program.

Standard library only, and little of it: a worker imports this.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs a worker more than all of this module
if TYPE_CHECKING:
    from typing import Any

__all__ = ["GUTTER", "has_surrogate", "json_text", "one_line", "quoted", "utf8"]

GUTTER = "  | "
"""What each line of a quoted text begins with."""

_LAST_OF_BMP = 0xFFFF


def one_line(text: str) -> str:
    """Return a text as one line in which every character prints.

    Control characters (C0, DEL, C1), line and paragraph separators, directional and zero-width
    characters, blanks other than the space, unassigned characters and lone surrogates are written
    as in Python's source.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def quoted(text: str) -> list[str]:
    """Return the lines of a text, a traceback for instance, each printable and behind a gutter.

    The gutter keeps a line of the text from passing for a line of the program.
    """
    return [f"{GUTTER}{one_line(line)}" for line in text.rstrip("\n").split("\n")]


def json_text(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """Write JSON data so that every character prints.

    Args:
        value: JSON data.
        indent: Blanks a level; without it the text is one line.
        ascii_only: Write every character outside ASCII as an escape, for a stream that cannot
            hold it.
    """
    import json

    try:
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    except RecursionError:  # with an indent `json` recurses in Python, without one in C
        text = json.dumps(value, ensure_ascii=ascii_only)
    if text.replace("\n", "").isprintable():
        return text
    # A line end in the text is the indent's: those in strings are escaped already.
    return "".join(char if char == "\n" or char.isprintable() else _escape(char) for char in text)


def has_surrogate(text: str) -> bool:
    """Return True if a text holds half of a surrogate pair, so that UTF-8 cannot hold the text."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def utf8(text: str) -> str:
    r"""Return a text that UTF-8 can hold: a lone surrogate is written as `\udc80`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _escape(char: str) -> str:
    code = ord(char)
    if code <= _LAST_OF_BMP:
        return f"\\u{code:04x}"
    return "".join(f"\\u{unit:04x}" for unit in memoryview(char.encode("utf-16-le")).cast("H"))
