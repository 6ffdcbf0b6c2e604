"""Tools around notebooks: try a handler out, export it as a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbtools.emulator import LocalRun, LocalRunContext, run_local
    from nbtools.exporter import Exported, export_notebook, where, write_worker

# Stated here, not asked of the installed metadata: that costs more than a small export.
__version__ = "0.1.0"

# Each is imported when it is asked for: the exporter must not pay for the emulator's event loop.
_HOMES = {
    "Exported": "nbtools.exporter",
    "LocalRun": "nbtools.emulator",
    "LocalRunContext": "nbtools.emulator",
    "export_notebook": "nbtools.exporter",
    "run_local": "nbtools.emulator",
    "where": "nbtools.exporter",
    "write_worker": "nbtools.exporter",
}
__all__ = [
    "Exported",
    "LocalRun",
    "LocalRunContext",
    "__version__",
    "export_notebook",
    "run_local",
    "where",
    "write_worker",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
