"""`nq`: one module a command; what a command needs is imported when it runs."""

from nuxt_queue.cli.entry import main

__all__ = ["main"]
