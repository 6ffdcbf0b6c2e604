"""The cells that a worker cannot do without, when no cell is marked as one."""

from __future__ import annotations

from nbtools.errors import Diagnostic
from nbtools.exporter.code import parse_leniently
from nbtools.exporter.handler import candidates
from nbtools.exporter.literal import states_config
from nbtools.exporter.roles import Marked

__all__ = ["report_missing"]


def report_missing(marked: list[Marked], found: list[Diagnostic]) -> None:
    """Report that a notebook marks no config or no handler, and which cell was probably meant."""
    roles = {each.role for each in marked}
    missing = [role for role in ("config", "handler") if role not in roles]
    if not missing:
        return
    cells = [_cell_that_looks_like(role, marked) for role in missing]
    what = " and ".join(f"no {role}" for role in missing)
    tags = " and ".join(
        f"tag cell {cell} nq-{role}" if cell else f"tag the cell of the {role} nq-{role}"
        for role, cell in zip(missing, cells, strict=True)
    )
    code = "NQ300" if len(missing) > 1 else {"config": "NQ301", "handler": "NQ311"}[missing[0]]
    fix = f"{tags}, or begin it with: #| nq: {missing[-1]}"
    found.append(Diagnostic(code, f"marks {what} cell", fix))


def _cell_that_looks_like(role: str, marked: list[Marked]) -> int:
    """Return the number of the cell that was probably meant to have a role, or 0."""
    for each in marked:
        tree = parse_leniently(each.cell.source) if each.cell.kind == "code" else None
        body = tree.body if tree else []
        if role == "config" and any(states_config(statement) for statement in body):
            return each.cell.number
        if role == "handler" and candidates(body):
            return each.cell.number
    return 0
