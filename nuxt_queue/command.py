"""The program `nq`: before anything is imported, Ctrl-C ends it without a traceback."""

from __future__ import annotations

import signal

__all__ = ["main"]


def main() -> int:
    """Run the command line and return its exit status."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from nuxt_queue.cli import main as run

    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, before)
    return run()
