"""What a command says: sentences for a person, or one JSON object a line for a program."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

from nbtools.errors import Diagnostic, NbtoolsError, NotebookFormatError, RefusedError
from nbtools.terminal import say, say_json
from nuxt_queue.text import one_line

__all__ = ["Report"]

_CODE = re.compile(r"\bNQ\d{3}\b")


class Report:
    """Where a command's words go.

    For a person findings are lines on stderr and what was done is a line on stdout.  For a
    program (`--json`) both are objects on stdout, one a line, and stderr stays empty.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    def find(self, file: str, findings: Iterable[Diagnostic]) -> None:
        """Tell what was found in a notebook."""
        for finding in findings:
            if not self.as_json:
                say(finding.sentence(file), sys.stderr)
                continue
            severity = "warning" if finding.is_warning else "error"
            place = {"file": file, "cell": finding.cell or None, "line": finding.line or None}
            what = {"code": finding.code, "severity": severity}
            say_json(place | what | {"message": finding.message, "fix": finding.fix or None})

    def refuse(self, file: str, error: NbtoolsError) -> None:
        """Tell why nothing came of a notebook."""
        if isinstance(error, RefusedError):
            self.find(error.file, error.diagnostics)
        elif isinstance(error, NotebookFormatError):
            self.find(error.file, [Diagnostic(error.code, error.reason, error.fix)])
        elif self.as_json:
            code = _CODE.search(str(error))
            nowhere = {"file": file, "cell": None, "line": None}
            what = {"code": code and code[0], "severity": "error"}
            say_json(nowhere | what | {"message": str(error), "fix": None})
        else:
            say(str(error), sys.stderr)

    def done(self, sentence: str, **fields: Any) -> None:
        """Tell what was done."""
        if self.as_json:
            say_json(fields)
        else:
            say(one_line(sentence), sys.stdout)

    def note(self, sentence: str) -> None:
        """Tell a person something that is no finding."""
        if not self.as_json:
            say(sentence, sys.stderr)
