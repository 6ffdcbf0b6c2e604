"""When a cron pattern comes round next."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nuxt_queue.errors import QueueError

__all__ = ["check_cron", "next_time"]


def check_cron(pattern: str, timezone: str | None = None) -> None:
    """Raise QueueError when nothing could be planned by a pattern in a time zone."""
    from croniter import croniter  # with what it brings, as costly as all of the rest

    _zone(timezone)
    if not croniter.is_valid(pattern):
        raise QueueError(
            f'"{pattern}" is no cron pattern; write five or six fields, for example "0 7 * * 1-5"'
        )


def next_time(pattern: str, after_s: float, timezone: str | None = None) -> float | None:
    """Return the next moment of a pattern, in unix seconds; None when there is none.

    Args:
        pattern: Minute, hour, day, month, weekday, and seconds as an optional sixth field.
        after_s: The moment after which it is wanted, in unix seconds.
        timezone: Whose hours it means; UTC unless given.

    Raises:
        QueueError: The pattern or the time zone is wrong.
    """
    from croniter import croniter

    check_cron(pattern, timezone)
    zone = _zone(timezone)
    # By the clock on the wall, which croniter leaves to us: of an hour that a change of the clock
    # repeats it means the first, and what it skips comes when the clock has been set.
    try:
        wall = croniter(pattern, datetime.fromtimestamp(after_s, zone).replace(tzinfo=None))
        while True:
            found: datetime = wall.get_next(datetime)
            moment = found.replace(tzinfo=zone).timestamp()
            if moment > after_s:
                return moment
    except (ValueError, OverflowError, OSError):  # 30 February, or after the year 9999
        return None


def _zone(timezone: str | None) -> tzinfo:
    if timezone is None:
        return UTC
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise QueueError(
            f'there is no time zone "{timezone}"; give a name such as "Europe/Vienna"'
        ) from None
