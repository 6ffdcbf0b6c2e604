"""The code of one exported cell: its lines, its statements, and edits that keep line numbers."""

from __future__ import annotations
import __future__

import ast
import re

from nbtools.errors import Diagnostic
from nbtools.exporter.analysis import Names, names_of
from nbtools.exporter.magics import AUTOMAGIC, drop_magics, forget_magics
from nbtools.exporter.policy import MagicPolicy
from nbtools.exporter.roles import Marked
from nuxt_queue.text import one_line

__all__ = ["Code", "hoist_futures", "parse_cell", "parse_leniently"]

# Beyond this a cell is data, and Python's parser takes gigabytes for it.
_MAX_CELL_CHARS = 1 << 20
_FOREIGN_PROMPT = re.compile(r"\s*(>>>|In \[\d+\]:)")


class Code:
    """The code of one exported cell.

    Attributes:
        number: The cell's number.
        role: Its role.
        source: Its text as the notebook has it.
        lines: Its text as the worker will have it; as many lines.
        body: The statements that are exported as they stand.
        parts: The lines that are exported, as pairs of the first and the last, counted from 1.
    """

    def __init__(self, marked: Marked, text: str, body: list[ast.stmt]) -> None:
        self.number = marked.cell.number
        self.role = marked.role or ""
        self.source = marked.cell.source
        self.lines = text.split("\n")
        self.body = body
        self.parts = [(1, len(self.lines))]
        self._names: Names | None = None

    def may_mention(self, *words: str) -> bool:
        """Tell whether it is worth looking for any of these words; a quick no, an unsure yes."""
        # Python takes letters that only look different for the same name.
        return not self.source.isascii() or any(word in self.source for word in words)

    def names(self, *, lazy_annotations: bool = False) -> Names:
        """Return what the statements define and need; worked out once, by the first caller."""
        if self._names is None:
            tree = ast.Module(self.body, [])
            self._names = names_of(tree, self.source, lazy_annotations=lazy_annotations)
        return self._names

    def take_out(self, statement: ast.stmt, comment: str) -> bool:
        """Replace a statement by a comment and empty lines; False when it shares a line."""
        first, last = statement.lineno - 1, (statement.end_lineno or statement.lineno) - 1
        rest = self.lines[last].encode()[statement.end_col_offset :].decode().strip()
        shares = any(
            first <= at.lineno - 1 <= last or first <= (at.end_lineno or 0) - 1 <= last
            for at in self.body
            if at is not statement
        )
        if shares or statement.col_offset or not (rest.strip("; ") == "" or rest[0] == "#"):
            return False
        self.lines[first : last + 1] = [f"# {comment}", *[""] * (last - first)]
        self.body = [other for other in self.body if other is not statement]
        self._names = None
        return True


def parse_cell(marked: Marked, policy: MagicPolicy, found: list[Diagnostic]) -> Code | None:
    """Parse one exported cell without running it; None when it is not Python."""
    cell = marked.cell
    if len(cell.source) > _MAX_CELL_CHARS:
        message = f"holds {len(cell.source) >> 10} KiB of text, more than {_MAX_CELL_CHARS >> 10}"
        found.append(Diagnostic("NQ212", message, "load the data from a file", cell.number))
        return None
    text = cell.source
    tree, error = _parse(text)
    if isinstance(error, SyntaxError):
        text, magics = drop_magics(text, cell.number, policy)
        found += magics
        if any(not finding.is_warning for finding in magics):
            return None
        tree, error = _parse(text)
    if tree is None:
        found.append(_explain(error, text, cell.number))
        return None
    return Code(marked, text, tree.body)


def parse_leniently(source: str, policy: MagicPolicy | None = None) -> ast.Module | None:
    """Parse a cell that is not exported, to learn what it defines; None when it cannot be."""
    if len(source) > _MAX_CELL_CHARS:
        return None
    return _parse(source)[0] or _parse(forget_magics(source, policy))[0]


def hoist_futures(codes: list[Code], found: list[Diagnostic]) -> list[str]:
    """Take `from __future__ import ...` out of the cells; return what the file begins with."""
    features: list[str] = []
    for code in codes:
        for statement in list(code.body):
            if not isinstance(statement, ast.ImportFrom) or statement.module != "__future__":
                continue
            names = [ast.unparse(alias) for alias in statement.names]
            unknown = {alias.name for alias in statement.names} - set(__future__.all_feature_names)
            line = statement.lineno
            if unknown or "barry_as_FLUFL" in names:
                message = f"Python has no future feature '{min(unknown or names)}'"
                found.append(Diagnostic("NQ201", message, "remove it", code.number, line))
            elif not code.take_out(statement, f"{ast.unparse(statement)}: at the top of this file"):
                message = "a __future__ import shares its line with other code"
                fix = "put it on a line of its own"
                found.append(Diagnostic("NQ201", message, fix, code.number, line))
            features += [name for name in names if name not in features]
    return features


def _parse(text: str) -> tuple[ast.Module | None, Exception | None]:
    try:
        return ast.parse(text), None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return None, error


def _explain(error: Exception | None, text: str, cell: int) -> Diagnostic:
    """Say why a cell is no Python, in terms of what people paste into cells."""
    if isinstance(error, RecursionError | MemoryError):
        return Diagnostic("NQ212", "is nested too deeply", "split the expression", cell)
    if isinstance(error, UnicodeEncodeError):
        line = text.count("\n", 0, error.start) + 1
        message = "holds half of a surrogate pair, which no file can hold"
        return Diagnostic("NQ216", message, "type the character again", cell, line)
    line = (isinstance(error, SyntaxError) and error.lineno) or 1
    reason = error.msg if isinstance(error, SyntaxError) else str(error)
    lines = text.split("\n")
    written = lines[min(line, len(lines)) - 1]
    word = written.split(maxsplit=1)[:1]
    if word and word[0] in AUTOMAGIC:
        message = f"'{word[0]}' is a command that only IPython understands"
        fix = "call subprocess.run inside the handler, or leave it in an untagged cell"
        return Diagnostic("NQ202", message, fix, cell, line)
    if _FOREIGN_PROMPT.match(written):
        return Diagnostic("NQ201", "holds a pasted prompt", "remove the prompts", cell, line)
    reason = one_line(reason)
    fix = "correct it, or leave the cell untagged"
    return Diagnostic("NQ201", f"is not Python: {reason}", fix, cell, line)
