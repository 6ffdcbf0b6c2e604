"""What keeps the exported cells from standing alone in a file of their own."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import NamedTuple

from nbtools.errors import Diagnostic
from nbtools.exporter.analysis import Cell, Names, Read, follow, names_of
from nbtools.exporter.bindings import bindings
from nbtools.exporter.code import Code, parse_leniently
from nbtools.exporter.magics import hiding_magics
from nbtools.exporter.paths import ALWAYS
from nbtools.exporter.policy import MagicPolicy
from nbtools.exporter.roles import Marked

__all__ = ["check_imports", "check_names", "check_reserved", "check_secrets", "is_local"]

_JUPYTER_ONLY = {
    "get_ipython": "it exists only under IPython; leave it in an untagged cell",
    "display": "it exists only in Jupyter; leave it in an untagged cell",
    "In": "it exists only under IPython",
    "Out": "it exists only under IPython",
    "_": "the last result exists only under IPython; give it a name",
    "__": "the last result exists only under IPython; give it a name",
}
# One of these is in everything that the pattern below finds; looking for them is much cheaper.
_HINTS = (
    "akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "aiza",
    "sk-", "sk_", "rk-", "rk_", "pk-", "pk_", "npm_", "hf_", "private key", "eyj", "://", "passw",
    "passphrase", "secret", "api_key", "apikey", "auth_token", "access_token", "private_key",
)  # fmt: skip
_SECRET = re.compile(
    # Forms that nothing else has: AWS, GitHub, GitLab, Slack, Stripe, Google, npm, Hugging Face.
    r"\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_\w{40}|\bglpat-[\w-]{20}"
    r"|\bxox[abprs]-[\w-]{10}|\b[srp]k[-_](live_|proj-|ant-)?[A-Za-z0-9_-]{24}|\bAIza[\w-]{35}"
    r"|\bnpm_[A-Za-z0-9]{36}|\bhf_[A-Za-z]{34}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\beyJ[\w-]{15,300}\.eyJ[\w-]{15,300}|://[^/\s:@\"'{<$]+:[^/\s:@\"'{<$*]{3,}@"
    # A name that says so, and a text that is not a placeholder.
    r"|(?i:(?:password|passwd|passphrase|secret|secret_access_key|api_?key|auth_token"
    r"|access_token|client_secret|private_key)[\"']?\]?\s*[=:]\s*[\"']"
    r"(?!your|x+[\"']|\*|<|\{|\$|\.\.\.|change|placeholder|example|password|secret)[^\"'\s]{8})"
)


def check_reserved(code: Code, found: list[Diagnostic]) -> None:
    """Refuse the names that the exported file needs for itself."""
    reserves = code.may_mention("run_worker", "__name__", "_nq_")
    for statement in code.body if reserves else ():
        is_ours = isinstance(statement, ast.ImportFrom) and statement.module == "nuxt_queue"
        for name, line, _ in bindings([statement]):
            if (
                name == "__name__"
                or name.startswith("_nq_")
                or (name == "run_worker" and not is_ours)
            ):
                message = f"defines '{name}', which the exported file needs for itself"
                found.append(Diagnostic("NQ211", message, "use another name", code.number, line))


def check_imports(code: Code, folder: Path | None, found: list[Diagnostic]) -> None:
    """Refuse imports that work beside the notebook only, which stands in `folder` (None: allow)."""
    for statement in code.body if code.may_mention("import") else ():
        for node in ast.walk(statement):
            if isinstance(node, ast.ImportFrom) and node.level:
                what = "." * node.level + (node.module or "")
                message = f"imports from '{what}', relative to a package that a worker is not in"
                fix = "import an installed package, or define it in an exported cell"
                found.append(Diagnostic("NQ208", message, fix, code.number, node.lineno))
            elif folder and isinstance(node, ast.Import | ast.ImportFrom):
                modules = [getattr(node, "module", None)] if isinstance(node, ast.ImportFrom) else [
                    alias.name for alias in node.names
                ]  # fmt: skip
                for module in modules:
                    root = (module or "").split(".")[0]
                    if is_local(root, folder):
                        message = f"imports '{root}' from the notebook's folder"
                        fix = "install it as a package, define it in a cell, or say --allow-local"
                        found.append(Diagnostic("NQ209", message, fix, code.number, node.lineno))


def check_secrets(code: Code, found: list[Diagnostic]) -> None:
    """Warn about what looks like a password or a key in an exported cell."""
    lowered = code.source.lower()
    if not any(hint in lowered for hint in _HINTS) or not _SECRET.search(code.source):
        return
    lines = code.source.split("\n")
    for number in (at for first, last in code.parts for at in range(first, last + 1)):
        if _SECRET.search(lines[number - 1]):
            message = "looks like a secret, and the exported file is meant to be shared"
            fix = "read it from the environment inside the handler"
            found.append(Diagnostic("NQ215", message, fix, code.number, number, is_warning=True))


def check_names(
    codes: list[Code],
    marked: list[Marked],
    given: frozenset[str],
    policy: MagicPolicy,
    found: list[Diagnostic],
    *,
    lazy_annotations: bool,
) -> None:
    """Report every name that the exported cells read where they may not have defined it.

    A name that is defined on some paths only is reported when a cell that is not exported defines
    it before: in the notebook it has that value.

    Args:
        codes: The exported cells, in the order in which they run.
        marked: All cells, to name the one that defines what is missing.
        given: Names that the file itself defines before the first cell.
        policy: What becomes of magics in the others.
        found: Where the findings go.
        lazy_annotations: Whether the file begins with the future import of that name.
    """
    cells = [Cell(code.body, code.source, code.number) for code in codes]
    names, end = follow(cells, given=given, lazy_annotations=lazy_annotations)
    everywhere = {name: number for number in reversed(names) for name in names[number].binds}
    others: _Others | None = None
    reported: set[str] = set()
    hides = False
    for code in codes:
        for line, module in names[code.number].stars:
            hides = True
            message = f"'from {module} import *' hides which names it defines"
            fix = "import the names themselves, so that they can be checked"
            found.append(Diagnostic("NQ214", message, fix, code.number, line, is_warning=True))
        for line, what in names[code.number].hidden:
            hides = True
            message = f"{what} hides which names it defines"
            fix = "assign the names themselves, so that they can be checked"
            found.append(Diagnostic("NQ214", message, fix, code.number, line, is_warning=True))
        for read in names[code.number].reads:
            if read.name in reported or (read.is_deferred and end[read.name] is ALWAYS):
                continue
            if others is None:
                others = _Others(codes, marked, policy)
            source = others.source(read, code.number)
            if source and source.cell > code.number and not read.is_deferred:
                source = None if read.name in everywhere else source
            is_certain = read.is_certain and (not read.is_deferred or end[read.name] is None)
            is_known = hides if read.name not in everywhere else not is_certain
            if source is None and (is_known or read.is_excused):
                continue
            reported.add(read.name)
            found.append(_missing(read, everywhere, source, others, is_certain=is_certain))


class _Source(NamedTuple):
    """Where a name is defined in a cell that is not exported; `kind` as in `Names.binds`."""

    cell: int
    kind: str


class _Others:
    """What the cells that are not exported define.

    Attributes:
        hiding: Cell and text of the first that may define names which cannot be read.
    """

    def __init__(self, codes: list[Code], marked: list[Marked], policy: MagicPolicy) -> None:
        exported = {code.number for code in codes}
        self._sources: dict[str, list[_Source]] = {}
        self.hiding: tuple[int, str] | None = None
        for each in marked:
            cell = each.cell
            if cell.kind != "code" or cell.number in exported:
                continue
            tree = parse_leniently(cell.source, policy)
            names = names_of(tree, cell.source) if tree else Names({}, [], [], [])
            for name, (_, kind) in names.binds.items():
                self._sources.setdefault(name, []).append(_Source(cell.number, kind))
            hiding = [f"'from {module} import *'" for _, module in names.stars]
            hiding += [what for _, what in names.hidden]
            hiding += [f"'{line}'" for line in hiding_magics(cell.source)]
            if hiding and self.hiding is None:
                self.hiding = cell.number, hiding[0]

    def source(self, read: Read, cell: int) -> _Source | None:
        """Return what defines a name: the last cell before the reader, or else the next."""
        sources = self._sources.get(read.name, [])
        before = [each for each in sources if each.cell < cell]
        return before[-1] if before else next(iter(sources), None)


def _missing(
    read: Read,
    later: dict[str, int],
    source: _Source | None,
    others: _Others,
    *,
    is_certain: bool,
) -> Diagnostic:
    where = ""
    if read.called and read.called != (read.cell, read.line):
        where = f"; it is called in cell {read.called[0]}, line {read.called[1]}"
    reader = read.called[0] if read.called else read.cell
    if read.name in later and is_certain and not (source and source.cell < reader):
        message = f"uses '{read.name}' before cell {later[read.name]} defines it"
        if later[read.name] == read.cell:
            message = f"uses '{read.name}' before it is defined"
        return Diagnostic("NQ207", message + where, "define it further up", read.cell, read.line)
    if source:
        message = f"'{read.name}' is defined in cell {source.cell}, which is not exported"
        if not is_certain:
            message += ", and here on some paths only"
        tag = "nq-imports" if source.kind == "import" else "nq-export"
        fix = (
            f"tag cell {source.cell} {tag}, define '{read.name}' in an exported cell, or say"
            " --with-deps"
        )
        return Diagnostic("NQ205", message, fix, read.cell, read.line)
    message = f"'{read.name}' is not defined in any cell"
    fix = _JUPYTER_ONLY.get(read.name, "define or import it in an exported cell")
    if others.hiding and read.name not in _JUPYTER_ONLY:
        number, what = others.hiding
        message = f"'{read.name}' is not defined in any cell that shows what it defines"
        fix = f"import or define it in an exported cell; {what} in cell {number} may define it"
    return Diagnostic("NQ206", message, fix, read.cell, read.line)


def is_local(module: str, folder: Path) -> bool:
    """Tell whether a module is a file or a package in a folder."""
    if not module or module in sys.stdlib_module_names:
        return False
    package = folder / module
    return (folder / f"{module}.py").is_file() or (package / "__init__.py").is_file()
