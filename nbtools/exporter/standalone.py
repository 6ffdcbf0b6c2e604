"""What keeps the exported cells from standing alone in a file of their own."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from nbtools.errors import Diagnostic
from nbtools.exporter.analysis import Names, Read, names_of
from nbtools.exporter.bindings import bindings
from nbtools.exporter.code import Code, parse_leniently
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
    r"|\beyJ[\w-]{15,}\.eyJ[\w-]{15,}\.|://[^/\s:@\"'{<$]+:[^/\s:@\"'{<$*]{3,}@"
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
    """Report every name that the exported cells read and do not define, in the order of the cells.

    Args:
        codes: The exported cells.
        marked: All cells, to name the one that defines what is missing.
        given: Names that the file itself defines before the first cell.
        policy: What becomes of magics in the others.
        found: Where the findings go.
        lazy_annotations: Whether the file begins with the future import of that name.
    """
    names = {code.number: code.names(lazy_annotations=lazy_annotations) for code in codes}
    everywhere = {name: number for number in reversed(names) for name in names[number].binds}
    untagged: dict[str, tuple[int, str]] | None = None
    defined = set(given)
    reported: set[str] = set()
    has_star = False
    for code in codes:
        for line, module in names[code.number].stars:
            has_star = True
            message = f"'from {module} import *' hides which names it defines"
            fix = "import the names themselves, so that they can be checked"
            found.append(Diagnostic("NQ214", message, fix, code.number, line, is_warning=True))
        for read in names[code.number].reads:
            known = everywhere if read.is_deferred else defined
            if read.name in known or read.name in given or read.name in reported:
                continue
            if untagged is None:
                untagged = _names_of_others(codes, marked, policy)
            reported.add(read.name)
            if read.name in untagged or read.name in everywhere or not has_star:
                found.append(_missing(read, code.number, everywhere, untagged))
        defined.update(names[code.number].binds)


def _missing(
    read: Read, cell: int, later: dict[str, int], untagged: dict[str, tuple[int, str]]
) -> Diagnostic:
    number, kind = untagged.get(read.name, (0, ""))
    if read.name in later and not 0 < number < cell:
        message = f"uses '{read.name}' before cell {later[read.name]} defines it"
        if later[read.name] == cell:
            message = f"uses '{read.name}' before it is defined"
        return Diagnostic("NQ207", message, "define it further up", cell, read.line)
    if number:
        message = f"'{read.name}' is defined in cell {number}, which is not exported"
        tag = "nq-imports" if kind == "import" else "nq-export"
        fix = (
            f"tag cell {number} {tag}, define '{read.name}' in an exported cell, or say --with-deps"
        )
        return Diagnostic("NQ205", message, fix, cell, read.line)
    message = f"'{read.name}' is not defined in any cell"
    fix = _JUPYTER_ONLY.get(read.name, "define or import it in an exported cell")
    return Diagnostic("NQ206", message, fix, cell, read.line)


def _names_of_others(
    codes: list[Code], marked: list[Marked], policy: MagicPolicy
) -> dict[str, tuple[int, str]]:
    """Return what the cells that are not exported define: name to cell number and kind."""
    exported = {code.number for code in codes}
    defines: dict[str, tuple[int, str]] = {}
    for each in marked:
        cell = each.cell
        if cell.kind != "code" or cell.number in exported:
            continue
        tree = parse_leniently(cell.source, policy)
        names = names_of(tree, cell.source) if tree else Names({}, [], [])
        for name, (_, kind) in names.binds.items():
            defines.setdefault(name, (cell.number, kind))
    return defines


def is_local(module: str, folder: Path) -> bool:
    """Tell whether a module is a file or a package in a folder."""
    if not module or module in sys.stdlib_module_names:
        return False
    package = folder / module
    return (folder / f"{module}.py").is_file() or (package / "__init__.py").is_file()
