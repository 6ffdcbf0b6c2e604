"""The largest numbers that a job or a worker may ask for: what every engine holds exactly.

SQLite holds whole numbers below 2**63, JavaScript and Redis' scripts below 2**53, and the timers
of asyncio and Node count milliseconds below 2**31.  Sums and products of what is given stay within
these as well: a time in seconds is multiplied by 1,000 and subtracted from the time of day.
"""

__all__ = ["MAX_AGE_S", "MAX_COUNT", "MAX_MS", "MAX_PRIORITY"]

MAX_MS = 2**31 - 1
"""Milliseconds of a delay, a timeout, a backoff, a limiter or a repetition: 24 days."""

MAX_COUNT = 2**31 - 1
"""Attempts, jobs that are kept or started, times that a job repeats, jobs of a page."""

MAX_AGE_S = 2**31 - 1
"""Seconds for which an ended job is kept: 68 years."""

MAX_PRIORITY = 2**21
"""BullMQ's limit: it keeps priority and order in one number of Redis."""
