"""One job in one process: which command, how it is started and ended, how it is talked to."""

from nuxt_queue.runner.child import ChildProcessRunner
from nuxt_queue.runner.process import Timeouts
from nuxt_queue.runner.runtimes import Launch

__all__ = ["ChildProcessRunner", "Launch", "Timeouts"]
