"""Try a handler out in a notebook: the worker's own SDK, answered by production's own service."""

from nbtools.emulator.context import Emitted, LocalRunContext, LogLine
from nbtools.emulator.run import LocalRun, run_local

__all__ = ["Emitted", "LocalRun", "LocalRunContext", "LogLine", "run_local"]
