"""What a worker needs to be installed, stated in the file itself (PEP 723).

A cell that states a `# /// script` block is taken at its word.  Otherwise the block is made from
what the exported cells import: each module's package, with the version that is installed where
the export is made, or as a `%pip` line states it.  The SDK is no dependency: it is lent by the
runner, or lies beside the worker.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from nbtools.errors import Diagnostic
from nbtools.exporter.code import Code
from nbtools.exporter.packages import Installed, Package, canonical
from nbtools.exporter.roles import Marked
from nbtools.exporter.standalone import is_local

__all__ = ["script_block", "without_made_block"]

# The first line of a block that was made here; TOML's own kind of comment.
_MADE = "# # From what the cells import, as installed where the worker was exported."
_MADE_BLOCK = re.compile(
    rf"^# /// script\n{re.escape(_MADE)}\n(?:#(?! /// script$).*\n)*?# ///\n\n", re.MULTILINE
)
_OWN = frozenset({"nuxt-queue"})


class _Import(NamedTuple):
    module: str  # in full: `google.cloud.storage`
    cell: int
    line: int


def without_made_block(text: str) -> str:
    """Return a worker's text without the block that an environment had a part in."""
    return _MADE_BLOCK.sub("", text, count=1)


def script_block(
    codes: list[Code], marked: list[Marked], folder: Path | None, found: list[Diagnostic]
) -> list[str]:
    """Return the lines of a worker's block, having reported what cannot be said.

    They are none when nothing is needed, and when an exported cell holds a block itself.

    Args:
        codes: The exported cells.
        marked: All cells of the notebook.
        folder: The notebook's folder: modules in it come from no package.  None: take only a
            block that a cell states.
        found: Where the findings go.
    """
    stated = list(_stated(marked))
    for cell, line, _ in stated[1:]:
        message = f"states a second '# /// script'; the first is in cell {stated[0][0]}"
        found.append(Diagnostic("NQ220", message, "keep one of them", cell, line))
    if stated:
        cell, line, lines = stated[0]
        _check_stated(lines, cell, line, found)
        is_exported = any(code.number == cell for code in codes)
        return [] if is_exported else lines
    if folder is None:
        return []
    imports = list(_imports(codes, folder))
    wishes = _wishes(codes, marked)
    if not imports and not any(wish.is_exported for wish in wishes):
        return []
    needed = _requirements(imports, wishes, found)
    if not needed:
        return []
    listed = [f'#     "{needed[name]}",' for name in sorted(needed)]
    python = f'# requires-python = ">={sys.version_info[0]}.{sys.version_info[1]}"'
    dependencies = ["# dependencies = [", *listed, "# ]"]
    return ["# /// script", _MADE, python, *dependencies, "# ///"]


# --- stated in a cell ----------------------------------------------------------------------------


def _stated(marked: list[Marked]) -> Iterator[tuple[int, int, list[str]]]:
    """Yield cell, line and lines of each block in a code cell."""
    for each in marked:
        cell = each.cell
        if cell.kind == "code" and "# /// script" in cell.source:
            for line, block in _blocks(cell.source):
                yield cell.number, line, block


def _blocks(source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line's number and the lines of each block, as the reader of PEP 723 does."""
    lines = source.split("\n")
    start: int | None = None
    for number, line in enumerate(lines):
        if start is None:
            start = number if line == "# /// script" else None
        elif line == "# ///" and number > start + 1:
            yield start + 1, lines[start : number + 1]
            start = None
        elif line != "#" and not line.startswith("# "):
            start = None


def _check_stated(lines: list[str], cell: int, line: int, found: list[Diagnostic]) -> None:
    import tomllib

    try:
        tomllib.loads("\n".join(each[2:] for each in lines[1:-1]))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        message = f"states a '# /// script' that is not TOML: {error}"
        found.append(Diagnostic("NQ220", message, "correct it", cell, line))


# --- made from imports ---------------------------------------------------------------------------


def _imports(codes: list[Code], folder: Path) -> Iterator[_Import]:
    """Yield the modules of others that the cells import, each top-level name once a cell."""
    for code in codes:
        for statement in code.body if code.may_mention("import") else ():
            for node in ast.walk(statement):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    names = [f"{node.module}.{alias.name}" for alias in node.names]
                else:
                    continue
                for name in names:
                    if not _is_ours(name.partition(".")[0], folder):
                        yield _Import(name, code.number, node.lineno)


def _is_ours(module: str, folder: Path) -> bool:
    if module in sys.stdlib_module_names or module in {"nuxt_queue", "__main__"}:
        return True
    return is_local(module, folder)


def _requirements(
    imports: Iterable[_Import], wishes: list[_Wish], found: list[Diagnostic]
) -> dict[str, str]:
    """Return the requirements by canonical name."""
    by_name = {wish.name: wish for wish in wishes}
    needed: dict[str, str] = {}
    reported: set[str] = set()
    installed = Installed()
    for each in imports:
        top = each.module.partition(".")[0]
        if top in reported:
            continue
        package = installed.holder_of(each.module)
        wish = by_name.get(canonical(package.name if package else top))
        if package is None and wish is None:
            reported.add(top)
            message = f"'{top}' is not installed here, so its package is not known"
            fix = "install it, or state the dependencies in a cell that begins with # /// script"
            finding = Diagnostic("NQ218", message, fix, each.cell, each.line, is_warning=True)
            found.append(finding)
        elif package is not None and package.is_from_folder:
            reported.add(top)
            message = f"'{top}' is installed from a folder of this machine"
            fix = "publish it, or install it into the environment that runs the worker"
            finding = Diagnostic("NQ219", message, fix, each.cell, each.line, is_warning=True)
            found.append(finding)
        else:
            name = canonical(package.name) if package else canonical(top)
            needed[name] = _requirement(package, wish)
    for wish in wishes:
        if wish.is_exported and wish.name not in needed:
            needed[wish.name] = _requirement(installed.named(wish.name), wish)
    return {name: text for name, text in needed.items() if name not in _OWN}


def _requirement(package: Package | None, wish: _Wish | None) -> str:
    if wish and (wish.is_specific or package is None):
        return wish.text
    assert package is not None
    # A local version, `2.5.0+cu124`, is on no index; `==2.5.0` accepts it.
    version = package.version.partition("+")[0]
    return f"{wish.text if wish else package.name}=={version}"


# --- what %pip lines say -------------------------------------------------------------------------


class _Wish(NamedTuple):
    """A requirement of a `%pip install` line.

    Attributes:
        name: The package's canonical name.
        text: The requirement.
        is_specific: Whether it says more than a name.
        is_exported: Whether it stands in an exported cell.
    """

    name: str
    text: str
    is_specific: bool
    is_exported: bool


def _wishes(codes: list[Code], marked: list[Marked]) -> list[_Wish]:
    """Return what the notebook installs; what exported cells say comes last, and so wins."""
    exported = {code.number for code in codes}
    texts = [
        (each.cell.number in exported, each.cell.source)
        for each in marked
        if each.cell.kind == "code" and "install" in each.cell.source
    ]
    if not texts:
        return []
    from packaging.requirements import InvalidRequirement, Requirement

    from nbtools.exporter.magics import installed_by

    wishes = []
    for is_exported, source in sorted(texts):
        for word in installed_by(source):
            try:
                wanted = Requirement(word)
            except InvalidRequirement:  # a path, a variable, an address
                continue
            is_specific = bool(wanted.specifier or wanted.url or wanted.marker)
            wishes.append(_Wish(canonical(wanted.name), str(wanted), is_specific, is_exported))
    return wishes
