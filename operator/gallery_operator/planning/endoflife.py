"""End of life: Azure goes on serving what has reached it; people should know. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime

from gallery_operator.planning.outcome import Finding

CONDITION = "EndOfLife"


def finding(what: str, date: datetime | None, now: datetime) -> Finding:
    """Return the condition that says that the end of life has come, or takes it away.

    Args:
        what: What has the date, for the message: ``The version``.
        date: Its end of life, or None.
        now: Present time.
    """
    if date is None or date > now:
        return Finding(CONDITION, None)
    return Finding(
        CONDITION,
        "True",
        "EndOfLifeDatePassed",
        f"{what} reached its end of life at {date.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}. Azure goes on serving it; "
        "publish a successor, or move endOfLifeDate.",
    )


def seconds_until(moments: Iterable[datetime | None], now: datetime) -> float | None:
    """Return the seconds until the first of some moments that are still to come, or None."""
    coming = [(each - now).total_seconds() for each in moments if each is not None and each > now]
    return min(coming, default=None)
