"""Fakes for tests of workers and managers; each is a real subclass of what it stands for."""

from nuxt_queue.managers.clock import ManualClock

__all__ = ["ManualClock"]
