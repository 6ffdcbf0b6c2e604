"""Change a notebook where it stands: the text of a few cells or their marks, and no other byte.

`spans` edits JSON text, `ipynb` and `percent` are the two formats, `marks` is about roles.
"""

from __future__ import annotations

from pathlib import Path

from nbtools.edits.ipynb import IpynbText
from nbtools.edits.percent import PercentText
from nbtools.errors import Diagnostic, EditError
from nbtools.exporter.target import replace_target

__all__ = ["IpynbText", "PercentText", "editable", "write_edited"]


def editable(raw: bytes, file: str) -> IpynbText | PercentText:
    """Return a notebook's text, ready to be edited.

    Raises:
        NotebookFormatError: If it is no notebook that can be read.
    """
    return (PercentText if file.endswith(".py") else IpynbText)(raw, file)


def write_edited(file: str, raw: bytes, document: IpynbText | PercentText) -> None:
    """Write a notebook's changed text in one step, unless somebody else has written meanwhile.

    Args:
        file: The notebook.
        raw: Its bytes as they were read.
        document: Its text, changed.

    Raises:
        EditError: If it cannot be written.
    """
    path = Path(file)
    try:
        if path.read_bytes() != raw:
            message = "was saved by something else meanwhile"
            raise EditError(file, [Diagnostic("NQ605", message, "say it again")])
        replace_target(path, document.text())
    except OSError as error:
        message = f"cannot be written: {error.strerror or error}"
        raise EditError(file, [Diagnostic("NQ605", message, "check its folder")]) from None
