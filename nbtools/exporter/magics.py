"""IPython's additions to Python: find them without IPython, drop the harmless, name the rest.

Only text that `ast.parse` refused comes here, so nothing that is Python is ever touched.  A small
scanner follows strings, comments, brackets and continuations; a magic can only stand where a
logical line begins.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from nbtools.errors import Diagnostic
from nbtools.exporter.policy import MagicPolicy
from nuxt_queue.text import one_line

__all__ = ["AUTOMAGIC", "drop_magics", "forget_magics", "installed_by"]

# Magics that change how a notebook looks, and nothing that a worker computes.
_HARMLESS = frozenset({
    "matplotlib", "load_ext", "reload_ext", "unload_ext", "autoreload", "aimport", "config",
    "precision", "colors", "xmode", "doctest_mode", "pdb", "who", "whos", "who_ls", "history",
    "hist", "lsmagic", "quickref", "pinfo", "pinfo2", "pdoc", "pdef", "psource", "pfile",
})  # fmt: skip
_HARMLESS_CELL = frozenset({"time", "capture"})
_RUN_THEIR_BODY = frozenset({"time", "capture", "prun"})  # in the notebook's own namespace
_HIDE_NAMES = frozenset({"run", "pylab", "load", "store", "sql"})  # define what cannot be read here
_INSTALLERS = frozenset({"pip", "conda", "mamba", "uv"})
_PIP_OPTIONS_WITH_VALUES = frozenset({
    "-r", "--requirement", "-c", "--constraint", "-e", "--editable", "-i", "--index-url",
    "--extra-index-url", "-f", "--find-links", "-t", "--target", "--prefix", "--root", "--python",
})  # fmt: skip
_FIXES = {
    "run": "import what it defines",
    "env": "set it with os.environ inside the handler, or in the worker's environment",
    "set_env": "set it with os.environ inside the handler, or in the worker's environment",
    "cd": "use absolute paths, or paths from the job's data",
    "time": "write the statement without %time",
    "timeit": "leave it in an untagged cell",
    "prun": "leave it in an untagged cell",
    "writefile": "write the file inside the handler",
    "load": "paste the code that it loads",
    "pylab": "import the names from numpy and matplotlib",
    "sql": "query the database from Python inside the handler",
    "capture": "write %%capture without a variable",
}
_SHELLS = frozenset({"bash", "sh", "script", "system", "sx", "cmd"})
_SHELL_FIX = "call subprocess.run inside the handler, or leave it in an untagged cell"
# Commands that IPython runs without a `%`; as Python they are a syntax error.
AUTOMAGIC = frozenset({
    "pip", "conda", "cd", "ls", "cat", "cp", "mv", "rm", "mkdir", "pwd", "man", "more", "run",
})  # fmt: skip

_ASSIGNED = re.compile(r"[A-Za-z_][\w.\[\], ]*=[ \t]*([%!])[ \t]*(.*)", re.DOTALL)
_HELP = re.compile(r"%{0,2}[A-Za-z_*][\w.*\[\]]*\?{1,2}[ \t]*(#.*)?$")
_WORD = re.compile(r"[\w.]*")
# Everything that can hide a line's end; strings first, so that a `#` in one is no comment.
_PIECE = re.compile(
    r"(?i:[rbuf]{0,2})(?:\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}"
    r"|\"(?:[^\\\n\"]|\\.)*\"|'(?:[^\\\n']|\\.)*')"
    r"|\#[^\n]*|\\\n|\n|[\[\](){}]|[^\[\](){}\n\\\#\"'rbufRBUF]+|.",
    re.DOTALL,
)


class _Magic(NamedTuple):
    first: int  # index of its first line
    last: int
    sigil: str  # %, %%, !, !!, ?, =% or =!
    name: str
    rest: str


def drop_magics(text: str, cell: int, policy: MagicPolicy) -> tuple[str, list[Diagnostic]]:
    """Return the text with harmless magics as comments, and what cannot be dropped.

    The number of lines stays the same.

    Args:
        text: The text of a cell.
        cell: The cell's number, for the diagnostics.
        policy: What the project says about magics.
    """
    lines = text.split("\n")
    found: list[Diagnostic] = []
    for magic in _find(text, lines):
        decision = policy.decision(magic.sigil + magic.name)
        if decision == "drop" and magic.sigil == "%%":
            return "\n".join(line and f"# (dropped) {line}" for line in lines), []
        if decision == "refuse":
            fix = "the project's pyproject.toml refuses it; leave it in an untagged cell"
            found.append(_refused(magic, fix, cell))
            continue
        if decision:
            _comment_out(lines, magic)
            continue
        if fix := _refusal(magic):
            found.append(_refused(magic, fix, cell))
            continue
        if magic.name in _INSTALLERS:
            command = magic.rest.split("\n")[0].strip()
            message = f"'{magic.name} {command}' is not part of the worker"
            advice = "install it into the environment that runs the worker"
            found.append(Diagnostic("NQ213", message, advice, cell, magic.first + 1, True))
        _comment_out(lines, magic)
    return "\n".join(lines), found


def forget_magics(text: str, policy: MagicPolicy | None) -> str:
    """Return the text with every magic replaced, for learning what names a cell defines."""
    lines = text.split("\n")
    for magic in _find(text, lines):
        stays = magic.name in _RUN_THEIR_BODY or (
            policy is not None and policy.decision(magic.sigil + magic.name) == "keep_body"
        )
        if magic.sigil == "%%" and not stays:
            return ""
        if magic.sigil.startswith("="):
            lines[magic.first] = lines[magic.first].split("=")[0] + "= None"
            lines[magic.first + 1 : magic.last + 1] = [""] * (magic.last - magic.first)
        elif magic.sigil == "%" and magic.name in _RUN_THEIR_BODY and magic.first == magic.last:
            line = lines[magic.first]
            lines[magic.first] = line[: len(line) - len(line.lstrip())] + magic.rest.strip()
        else:
            _comment_out(lines, magic)
            variable = magic.rest.strip().split("\n")[0]
            if magic.sigil == "%%" and magic.name == "capture" and variable.isidentifier():
                lines[magic.first] = f"{variable} = None"
    return "\n".join(lines)


def hiding_magics(text: str) -> list[str]:
    """Return the magics of a cell that may define names which its text does not show."""
    if "%" not in text:
        return []
    magics = _find(text, text.split("\n"))
    return [
        f"{magic.sigil}{magic.name}{magic.rest}".split("\n")[0].strip()
        for magic in magics
        if magic.sigil in {"%", "%%"} and magic.name in _HIDE_NAMES
    ]


def installed_by(text: str) -> list[str]:
    """Return what the `pip install` lines of a cell name, options left out."""
    import ast
    import shlex

    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    else:
        return []  # Python has no such lines
    words: list[str] = []
    for magic in _find(text, text.split("\n")):
        if magic.sigil not in {"%", "!"} or magic.name not in {"pip", "pip3", "uv"}:
            continue
        try:
            given = shlex.split(magic.rest.replace("\\\n", " "), comments=True)
        except ValueError:  # a quotation without an end
            continue
        given = given[1:] if magic.name == "uv" and given[:1] == ["pip"] else given
        if given[:1] not in (["install"], ["add"]):
            continue
        is_value = False
        for word in given[1:]:
            if not is_value and not word.startswith("-"):
                words.append(word)
            is_value = word in _PIP_OPTIONS_WITH_VALUES
    return words


def _find(text: str, lines: list[str]) -> list[_Magic]:
    magics: list[_Magic] = []
    start = 0  # the first line that is not a cell magic
    if text.lstrip("\n").startswith("%%"):  # IPython skips empty lines before it
        start = next(at for at, line in enumerate(lines) if line)
        magics.append(_magic(lines, start, "%%", lines[start][2:]))
        start += 1
    at = start
    for at in _logical_lines(lines, start):
        line = lines[at].strip()
        if line[:1] in {"%", "!", "?"}:
            sigil = line[:2] if line[:2] in {"%%", "!!", "??"} else line[:1]
            magics.append(_magic(lines, at, sigil, line[len(sigil) :]))
        elif _HELP.match(line):
            magics.append(_magic(lines, at, "?", line))
        elif assigned := _ASSIGNED.match(line):
            magics.append(_magic(lines, at, "=" + assigned[1], assigned[2]))
    return magics


def _magic(lines: list[str], first: int, sigil: str, rest: str) -> _Magic:
    last = first
    while sigil != "%%" and lines[last].endswith("\\") and last + 1 < len(lines):
        last += 1
    rest = "\n".join([rest, *lines[first + 1 : last + 1]]).strip()
    word = _WORD.match(rest)
    name = word[0] if word else ""
    return _Magic(first, last, sigil, name, rest[len(name) :])


def _logical_lines(lines: list[str], start: int) -> Iterator[int]:
    """Yield the indexes of the lines at which a logical line begins; skip over magics."""
    text = "\n".join(lines)
    starts = [0, *itertools.accumulate(len(line) + 1 for line in lines)]
    at = start
    while at < len(lines):
        yield at
        line = lines[at].strip()
        if line[:1] in {"%", "!", "?"} or _ASSIGNED.match(line):
            at = _magic(lines, at, "!", "").last + 1
            continue
        at += _height(text, starts[at]) if _may_go_on(lines[at]) else 1


def _may_go_on(line: str) -> bool:
    return any(character in line for character in "\"'([{\\")


def _height(text: str, start: int) -> int:
    """Return how many lines the logical line at a place of a text takes."""
    depth = height = 0
    for piece in _PIECE.finditer(text, start):
        height += piece[0].count("\n")
        if piece[0] in {"(", "[", "{"}:
            depth += 1
        elif piece[0] in {")", "]", "}"}:
            depth = max(0, depth - 1)
        elif piece[0] == "\n" and not depth:
            return height
    return height + 1


def _refusal(magic: _Magic) -> str:
    """Return what to do instead, or an empty string when dropping the magic changes nothing."""
    name, rest = magic.name, magic.rest.strip()
    if magic.sigil in {"?", "??"}:
        return ""
    if magic.sigil in {"%", "!"} and name in _INSTALLERS:
        return ""
    if magic.sigil == "%" and name in _HARMLESS:
        return ""
    if magic.sigil == "%%" and name in _HARMLESS_CELL and (not rest or rest.startswith("--")):
        return ""
    if "!" in magic.sigil or name in _SHELLS:
        return _SHELL_FIX
    return _FIXES.get(name, "write it in Python, or leave it in an untagged cell")


def _refused(magic: _Magic, fix: str, cell: int) -> Diagnostic:
    line = magic.first + 1
    if "!" in magic.sigil:
        command = f"{magic.name}{magic.rest}".split("\n")[0].strip()
        return Diagnostic("NQ203", f"shell command '!{_short(command)}'", fix, cell, line)
    sigil = magic.sigil.lstrip("=")
    return Diagnostic("NQ202", f"magic '{sigil}{_short(magic.name)}'", fix, cell, line)


def _short(text: str, most: int = 40) -> str:
    text = one_line(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def _comment_out(lines: list[str], magic: _Magic) -> None:
    """Turn a magic's lines into comments; one that may be a block's only statement into `pass`."""
    for at in range(magic.first, magic.last + 1):
        text = lines[at].lstrip()
        indent = lines[at][: len(lines[at]) - len(text)]
        # Not `# %%…`: editors take that for the start of a cell.
        comment = f"# (dropped) {text}"
        lines[at] = f"{indent}pass  {comment}" if indent and at == magic.first else comment
