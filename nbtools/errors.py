"""Every exception that the notebook tools raise on purpose.

```
NbtoolsError
├── NotebookFormatError     a file is no notebook that can be read
└── RefusedError            nothing was written, with every reason
    ├── ExportError         a notebook cannot become a worker
    └── EditError           a notebook cannot be changed as asked
```

Fields are constructor arguments and the sentence is built from them, so that an error can be
pickled, compared and shown without parsing its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from nuxt_queue.text import one_line

__all__ = [
    "Diagnostic",
    "EditError",
    "ExportError",
    "NbtoolsError",
    "NotebookFormatError",
    "RefusedError",
]


class Diagnostic(NamedTuple):
    """One finding about a notebook: a stable code, where it is, and what to do.

    Attributes:
        code: `NQ` and three digits; it keeps its meaning for ever.
        message: What is wrong.
        fix: What to do about it; empty when the message says it.
        cell: The cell's number, counted from 1 over cells of every kind; 0 for the whole file.
        line: The line in the cell, counted from 1; 0 for the whole cell.
        is_warning: Whether the export goes on.
    """

    code: str
    message: str
    fix: str
    cell: int = 0
    line: int = 0
    is_warning: bool = False

    def sentence(self, file: str) -> str:
        """Return the one line that a person reads."""
        place = file
        if self.cell:
            place += f", cell {self.cell}"
        if self.line:
            place += f", line {self.line}"
        kind = " warning:" if self.is_warning else ""
        advice = f"; {self.fix}" if self.fix else ""
        return one_line(f"{place}: {self.code}{kind} {self.message}{advice}")


class NbtoolsError(Exception):
    """Base of every error of the notebook tools; `str()` is for a person."""

    # Exception keeps the constructor's arguments in `args`, which is what pickle calls again.
    def __init__(self, *fields: Any) -> None:
        super().__init__(*fields)

    @property
    def message(self) -> str:
        """What went wrong, where, and what to do about it."""
        return str(self.args[0]) if self.args else type(self).__name__

    def __str__(self) -> str:
        return self.message


class NotebookFormatError(NbtoolsError):
    """Raised when a file is no notebook that can be read.

    Attributes:
        file: The file as the caller named it.
        code: The diagnostic's code, `NQ0..`.
        reason: What is wrong, with the position in the file.
        fix: What to do.
    """

    def __init__(self, file: str, code: str, reason: str, fix: str) -> None:
        super().__init__(file, code, reason, fix)
        self.file, self.code, self.reason, self.fix = file, code, reason, fix

    @property
    def message(self) -> str:
        """Name the file, the reason and the fix in one line."""
        return Diagnostic(self.code, self.reason, self.fix).sentence(self.file)


class RefusedError(NbtoolsError):
    """Raised when what was asked is refused; nothing has been written.

    Attributes:
        file: The notebook as the caller named it.
        diagnostics: Every finding, warnings included, in the order of the notebook.
        details: More lines for whoever wants to see, such as a diff; mostly none.
    """

    def __init__(self, file: str, diagnostics: Sequence[Diagnostic], details: str = "") -> None:
        super().__init__(file, tuple(diagnostics), details)
        self.file, self.diagnostics, self.details = file, tuple(diagnostics), details

    @property
    def message(self) -> str:
        """Return one line for each finding."""
        return "\n".join(finding.sentence(self.file) for finding in self.diagnostics)


class ExportError(RefusedError):
    """Raised when a notebook cannot become a worker."""


class EditError(RefusedError):
    """Raised when a notebook cannot be changed as asked."""
