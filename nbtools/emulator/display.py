"""How a run looks: a small table in Jupyter, plain lines in a terminal.

Nothing that changes from run to run is shown, no time, no address, no random id: a stored output
stays true.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbtools.emulator.run import LocalRun

__all__ = ["html_of", "text_of"]

_LONGEST_VALUE = 300  # characters; a display is for a look, the values are in the attributes
_MOST_ROWS = 50
_MOST_ITEMS = 8  # of a list; then its length says the rest
_DIGITS = 6  # of a float: beyond, two machines may differ, and nobody reads it

# The levels' own colours read on light and on dark; info is plain.
_COLOURS = {"debug": "#888888", "warn": "#b58900", "error": "#dc322f"}
_CELL = "text-align:left;vertical-align:top;padding:2px 12px 2px 0;border:none;background:none"
_HEAD = f"{_CELL};opacity:.6;font-weight:normal"


def text_of(run: LocalRun) -> str:
    """Return the plain form: one section a line, more lines where there is more."""
    sections: list[tuple[str, list[str]]] = [
        ("result", [_value(run.result)]),
        ("state", [f"{key} = {_value(value)}" for key, value in run.state.items()]),
        ("emitted", [f"{e.name}  {_value(e.payload)}" for e in run.emitted]),
        ("logs", [_clip(str(line)) for line in run.logs]),
    ]
    lines = [_title(run)]
    for name, rows in sections:
        for i, row in enumerate(_few(rows)):
            lines.append(f"  {name if i == 0 else '':<8} {row}")
    return "\n".join(lines)


def html_of(run: LocalRun) -> str:
    """Return the form for Jupyter: one table, in the notebook's own colours."""
    rows = [_row("result", [_code(_value(run.result))])]
    if run.state:
        rows.append(_row("state", [_code(f"{k} = {_value(v)}") for k, v in run.state.items()]))
    if run.emitted:
        rows.append(
            _row(
                "emitted",
                [f"<b>{escape(e.name)}</b> {_code(_value(e.payload))}" for e in run.emitted],
            )
        )
    if run.logs:
        rows.append(
            _row("logs", [_log(line.level, line.message, line.metadata) for line in run.logs])
        )
    title = f'<div style="margin-bottom:4px"><b>✓ {escape(_title(run))}</b></div>'
    return f'<div>{title}<table style="border:none;margin:0">{"".join(rows)}</table></div>'


def _title(run: LocalRun) -> str:
    return f"{run.ctx.step_name} completed (flow {run.ctx.flow_name})"


def _row(name: str, cells: list[str]) -> str:
    body = "<br>".join(_few(cells))
    return f'<tr><th style="{_HEAD}">{name}</th><td style="{_CELL}">{body}</td></tr>'


def _log(level: str, message: str, metadata: dict[str, Any]) -> str:
    colour = _COLOURS.get(level)
    style = f' style="color:{colour}"' if colour else ""
    extra = f" {_code(_value(metadata))}" if metadata else ""
    return f"<span{style}>{escape(level)}</span> {escape(_clip(message))}{extra}"


def _code(text: str) -> str:
    return f'<code style="background:none;padding:0">{escape(text)}</code>'


def _value(value: Any) -> str:
    return _clip(_brief(value))


def _brief(value: Any) -> str:
    """Write a JSON value the way one looks at it: short lists, few digits."""
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}" if value != int(value) else json.dumps(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {_brief(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        items = [_brief(item) for item in value[:_MOST_ITEMS]]
        more = [f"… {len(value)} in all"] if len(value) > _MOST_ITEMS else []
        return "[" + ", ".join(items + more) + "]"
    return json.dumps(value, ensure_ascii=False)


def _clip(text: str) -> str:
    text = text.replace("\n", "⏎")
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _few(rows: Iterable[str]) -> list[str]:
    kept = list(rows)
    more = len(kept) - _MOST_ROWS
    return [*kept[:_MOST_ROWS], f"… and {more} more"] if more > 0 else kept
