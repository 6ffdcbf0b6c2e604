"""One job in one process: which command, how it is started and ended, how it is talked to."""

from nuxt_queue.runner.child import ChildProcessRunner, JobHandle
from nuxt_queue.runner.launch import Launch, LaunchOptions, Limits
from nuxt_queue.runner.process import Timeouts

__all__ = ["ChildProcessRunner", "JobHandle", "Launch", "LaunchOptions", "Limits", "Timeouts"]
