"""How a run looks: a small table in Jupyter, plain lines in a terminal.

Nothing that changes from run to run is shown, no time, no address, no random id: a stored output
stays true.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nuxt_queue.text import one_line
from nuxt_queue.timeline import brief

if TYPE_CHECKING:
    from nbtools.emulator.run import LocalRun

__all__ = ["html_of", "text_of"]

_LONGEST_VALUE = 300  # characters; a display is for a look, the values are in the attributes
_MOST_ROWS = 50

# The levels' own colours read on light and on dark; info is plain.
_COLOURS = {"debug": "#888888", "warn": "#b58900", "error": "#dc322f"}
_CELL = "text-align:left;vertical-align:baseline;padding:2px 12px 2px 0;border:none"
_HEAD = f"{_CELL};opacity:.6;font-weight:normal"


def text_of(run: LocalRun) -> str:
    """Return the plain form: one section a line, more lines where there is more."""
    sections: list[tuple[str, list[str]]] = [
        ("result", [brief(run.result)]),
        ("state", [f"{key} = {brief(value)}" for key, value in run.state.items()]),
        ("emitted", [f"{e.name}  {brief(e.payload)}" for e in run.emitted]),
        ("logs", [_clip(str(line)) for line in run.logs]),
    ]
    lines = [_title(run)]
    for name, rows in sections:
        for i, row in enumerate(_few(rows)):
            lines.append(f"  {name if i == 0 else '':<8} {row}")
    return "\n".join(map(one_line, lines))


def html_of(run: LocalRun) -> str:
    """Return the form for Jupyter: one table, in the notebook's own colours."""
    rows = [_row("result", [_code(brief(run.result))])]
    if run.state:
        rows.append(_row("state", [_code(f"{k} = {brief(v)}") for k, v in run.state.items()]))
    if run.emitted:
        rows.append(
            _row(
                "emitted",
                [f"<b>{_escape(e.name)}</b> {_code(brief(e.payload))}" for e in run.emitted],
            )
        )
    if run.logs:
        rows.append(
            _row("logs", [_log(line.level, line.message, line.metadata) for line in run.logs])
        )
    title = f'<div style="margin-bottom:4px"><b>✓ {_escape(_title(run))}</b></div>'
    return f'<div>{title}<table style="border:none;margin:0">{"".join(rows)}</table></div>'


def _title(run: LocalRun) -> str:
    flow = f" (flow {run.ctx.flow_name})" if run.ctx.flow_name else ""
    return f"{run.ctx.step_name} completed{flow}"


def _row(name: str, cells: list[str]) -> str:
    body = "<br>".join(_few(cells))
    cells_html = f'<th style="{_HEAD}">{name}</th><td style="{_CELL}">{body}</td>'
    # Jupyter would paint every other row, and the one under the mouse.
    return f'<tr style="background:none">{cells_html}</tr>'


def _log(level: str, message: str, metadata: dict[str, Any]) -> str:
    colour = _COLOURS.get(level)
    style = f' style="color:{colour}"' if colour else ""
    extra = f" {_code(brief(metadata))}" if metadata else ""
    return f"<span{style}>{_escape(level)}</span> {_escape(_clip(message))}{extra}"


def _code(text: str) -> str:
    return f'<code style="background:none;padding:0">{_escape(text)}</code>'


def _escape(text: str) -> str:
    return html.escape(one_line(text))


def _clip(text: str) -> str:
    text = text.replace("\n", "⏎")
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _few(rows: Iterable[str]) -> list[str]:
    kept = list(rows)
    more = len(kept) - _MOST_ROWS
    return [*kept[:_MOST_ROWS], f"… and {more} more"] if more > 0 else kept
