"""The exported file as Python and the host's registry will see it, without running it."""

from __future__ import annotations
import __future__

import ast
from typing import Any

from nbtools.errors import Diagnostic
from nbtools.exporter.code import Code

__all__ = ["check_config", "check_module"]


def check_module(code: Code, found: list[Diagnostic], *, lazy_annotations: bool) -> None:
    """Compile a cell as part of a file; what the compiler makes of it is thrown away.

    Cells that compile one by one also compile one after the other: each is a whole module, and
    the future imports are at the top.  Compiling them at once takes Python several times longer.
    """
    flags = __future__.annotations.compiler_flag if lazy_annotations else 0
    try:
        compile(ast.Module(code.body, []), "<cell>", "exec", flags, dont_inherit=True)
    except SyntaxError as error:
        message = f"is not Python in a file: {error.msg}"
        fix = "correct it, or leave the cell untagged"
        found.append(Diagnostic("NQ201", message, fix, code.number, error.lineno or 0))
    except (ValueError, RecursionError, MemoryError) as error:
        message = f"cannot be compiled: {error or type(error).__name__}"
        found.append(Diagnostic("NQ212", message, "split the longest statement", code.number))


def check_config(text: str, config: dict[str, Any]) -> None:
    """Assert that a reader of the text finds the config as the first statement that counts."""
    start = text.index("\nconfig = ") + len("\nconfig = ")
    stated = ast.literal_eval(text[start : text.index("\n}\n", start) + 2])
    assert stated == config, "the config did not survive rendering"
