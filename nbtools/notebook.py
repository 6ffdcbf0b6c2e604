"""Read a notebook: its cells, their marks and positions; tolerant, and never a traceback.

Reads `.ipynb` of nbformat 3 and 4 and `.py` in the percent format, with the standard library
alone.  Outputs and attachments are dropped while decoding: nothing here looks at them.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from nbtools.errors import NotebookFormatError
from nbtools.percent import raw_cells, what_it_is_instead

__all__ = ["Cell", "Notebook", "parse_notebook", "read_bytes", "read_notebook"]

# A notebook beyond this is one whose outputs were never cleared; reading it would take gigabytes.
_MAX_BYTES = 64 << 20
# Keys that decide what a cell is: two values for one of them are a merge gone wrong.
_DECISIVE = frozenset({"cell_type", "source", "metadata", "tags", "cells", "nbformat", "nq"})
_FOREIGN_KERNEL = re.compile(r"(ir\d*|julia.*|deno|javascript|bash|scala.*|xcpp.*|rust)$")


class Cell(NamedTuple):
    """One cell of a notebook.

    Attributes:
        number: Its place, counted from 1 over cells of every kind.
        kind: `code`, `markdown` or `raw`.
        source: Its text; line ends are LF, as Python itself reads them.
        tags: The strings of `metadata.tags`.
        metadata: The cell's metadata; empty when it has none.
        language: The language an editor noted for this one cell, or None.
        id: Its id, where the notebook has ids; None otherwise.  Not every id is unique.
    """

    number: int
    kind: str
    source: str
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    language: str | None
    id: str | None = None


class Notebook(NamedTuple):
    """A notebook as read: the file as the caller named it, and its cells."""

    file: str
    cells: tuple[Cell, ...]


def read_notebook(path: str | os.PathLike[str]) -> Notebook:
    """Read a notebook from a file.

    Raises:
        NotebookFormatError: If it is missing, unreadable or no Python notebook; says which.
    """
    file = os.fspath(path)
    return parse_notebook(read_bytes(file), file)


def read_bytes(file: str) -> bytes:
    """Read the bytes of a file that may be a notebook.

    Raises:
        NotebookFormatError: If it is missing, unreadable, no file or too large.
    """
    fail = _Failure(file)
    try:
        status = Path(file).stat()
        if stat.S_ISDIR(status.st_mode):
            fail("NQ001", "is a folder", "name the notebooks in it")
        if not stat.S_ISREG(status.st_mode):
            fail("NQ001", "is not a regular file", "save the notebook to a file first")
        if status.st_size > _MAX_BYTES:
            size = f"is {status.st_size >> 20} MiB, more than {_MAX_BYTES >> 20} MiB"
            fail("NQ010", size, "clear its outputs and save it")
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        fail("NQ001", f"cannot be read: {reason}", "check the path")


def parse_notebook(raw: bytes, file: str) -> Notebook:
    """Parse the bytes of a notebook; `file` names it, and `.py` says percent format.

    Raises:
        NotebookFormatError: If they are no Python notebook; says why and where.
    """
    fail = _Failure(file)
    text = _decode(raw, fail)
    del raw  # half of what a large notebook takes
    if not text or text.isspace():
        fail("NQ002", "is empty", "save the notebook again")
    if text.startswith("version https://git-lfs"):
        fail("NQ007", "is a Git LFS pointer, not the notebook", "run: git lfs pull")
    if file.endswith(".py"):
        _refuse_merge(text, fail)
        text = _with_unix_lines(text)
        if found := what_it_is_instead(text):
            fail("NQ011", *found)
        cells = enumerate(raw_cells(text), 1)
        return Notebook(file, tuple(_read_cell(number, cell, fail) for number, cell in cells))
    return Notebook(file, tuple(_read_json(text, fail)))


# --- one way to fail -----------------------------------------------------------------------------


class _Failure:
    """Raise for one file: `fail(code, reason, fix)`."""

    def __init__(self, file: str) -> None:
        self.file = file

    def __call__(self, code: str, reason: str, fix: str) -> NoReturn:
        raise NotebookFormatError(self.file, code, reason, fix) from None


def _refuse_merge(text: str, fail: _Failure) -> None:
    ours = re.search(r"^<{7} ", text, re.MULTILINE)
    if ours and re.search(r"^>{7} ", text, re.MULTILINE):
        line = text.count("\n", 0, ours.start()) + 1
        fail(
            "NQ006", f"holds a merge conflict (line {line})", "resolve it, for example with nbdime"
        )


def _decode(raw: bytes, fail: _Failure) -> str:
    if raw[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        fail("NQ008", "is UTF-16, not UTF-8", "save it as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        fail("NQ008", f"is not UTF-8 (line {line}, byte {error.start})", "save it as UTF-8")


def _with_unix_lines(text: str) -> str:
    # Python's own rule for source text, so that line numbers mean the same to everybody.
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


# --- .ipynb --------------------------------------------------------------------------------------


def _read_json(text: str, fail: _Failure) -> Iterator[Cell]:
    def slim(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = sorted(key for key in _DECISIVE if keys.count(key) > 1)
            if twice:
                fail("NQ004", f'states "{twice[0]}" twice in one object', "keep one of the two")
        if "cell_type" in values:
            values.pop("outputs", None)
            values.pop("attachments", None)
        return values

    try:
        document = json.loads(text, object_pairs_hook=slim)
    except json.JSONDecodeError as error:
        _refuse_merge(text, fail)
        where = f"line {error.lineno}, column {error.colno}"
        fail("NQ003", f"is not JSON: {error.msg} ({where})", "restore the file or save it again")
    except RecursionError:
        fail("NQ003", "is nested too deeply", "restore the file or save it again")
    except ValueError as error:
        fail("NQ003", f"is not JSON: {error}", "restore the file or save it again")
    cells = _cells_of(document, fail)
    _check_language(document.get("metadata"), fail)
    for number, cell in enumerate(cells, 1):
        yield _read_cell(number, cell, fail)


def _cells_of(document: Any, fail: _Failure) -> list[Any]:
    """Return the raw cells of a document of a version that we know."""
    if not isinstance(document, dict):
        fail("NQ004", f"is JSON but no notebook: {_kind(document)}", "name a notebook")
    if "commands" in document and "version" in document:
        fail("NQ011", "is a Databricks archive", "export it from Databricks as IPython notebook")
    if "paragraphs" in document:
        fail("NQ011", "is a Zeppelin note", "convert it to a Jupyter notebook first")
    version = document.get("nbformat")
    if isinstance(version, bool) or not isinstance(version, int):
        what = "has no nbformat" if version is None else f"has nbformat {version!r}"
        fail("NQ004", f"is JSON but no notebook: it {what}", "save it again with Jupyter")
    if version not in {3, 4}:
        age = "newer than any that is known here" if version > 4 else "too old"  # noqa: PLR2004 nbformat 4
        fail("NQ005", f"has nbformat {version}, {age}", "save it as nbformat 4 with Jupyter")
    sheets = [document]
    if version == 3:  # noqa: PLR2004 nbformat 3 keeps its cells in worksheets
        sheets = document.get("worksheets")  # type: ignore[assignment]  # checked on the next line
        if not isinstance(sheets, list) or not all(isinstance(sheet, dict) for sheet in sheets):
            fail("NQ004", "has no list of worksheets", "save it again with Jupyter")
    cells: list[Any] = []
    for sheet in sheets:
        listed = sheet.get("cells")
        if not isinstance(listed, list):
            what = "has no cells" if listed is None else f"has {_kind(listed)} for its cells"
            fail("NQ004", what, "save it again with Jupyter")
        cells += listed
    return cells


def _check_language(metadata: Any, fail: _Failure) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        fail("NQ004", f"has {_kind(metadata)} for its metadata", "save it again with Jupyter")
    info, kernel = metadata.get("language_info"), metadata.get("kernelspec")
    named = info.get("name") if isinstance(info, dict) else None
    if isinstance(kernel, dict):
        named = named or kernel.get("language")
        name = str(kernel.get("name") or "").lower()
        if not named and _FOREIGN_KERNEL.match(name):
            named = name
    if isinstance(named, str) and named.lower() not in {"python", "ipython", "python3"}:
        fail("NQ009", f"is a {_shown(named)} notebook", "only Python notebooks become workers here")


def _read_cell(number: int, cell: Any, fail: _Failure) -> Cell:
    def wrong(what: str) -> NoReturn:
        fail("NQ004", f"cell {number} {what}", "repair that cell or save the notebook again")

    if not isinstance(cell, dict):
        wrong(f"is {_kind(cell)}")
    kind = cell.get("cell_type")
    if not isinstance(kind, str):
        wrong("has no cell_type")
    source = cell.get("source", cell.get("input"))
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        wrong("has no source" if source is None else f"has {_kind(source)} for its source")
    metadata = cell.get("metadata") or {}
    if not isinstance(metadata, dict):
        wrong(f"has {_kind(metadata)} for its metadata")
    tags = metadata.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        wrong("has tags that are not a list of strings")
    vscode = metadata.get("vscode")
    language = vscode.get("languageId") if isinstance(vscode, dict) else cell.get("language")
    return Cell(
        number,
        kind if kind in {"code", "raw"} else "markdown",
        _with_unix_lines(source),
        tuple(tags),
        metadata,
        language if isinstance(language, str) else None,
        identity if isinstance(identity := cell.get("id"), str) else None,
    )


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")


def _shown(text: str) -> str:
    return text if text.isprintable() else ascii(text)
