"""Dates as Azure writes them, and when a date is one that Azure takes."""

from datetime import UTC, datetime


def parsed(wire: object) -> datetime | None:
    """Return a date of Azure's, or None for what is none; Azure writes seven digits of a second."""
    if not isinstance(wire, str):
        return None
    try:
        moment = datetime.fromisoformat(wire)
    except ValueError:
        return None
    return aware(moment)


def aware(moment: datetime) -> datetime:
    """Return a moment with its offset; one without is meant as UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def same_moment(wire: object, wanted: datetime) -> bool:
    """Whether a date of Azure's is the wanted one; Azure writes fractions of a second, and ``Z`` or ``+00:00``."""
    there = parsed(wire)
    return there is not None and abs((there - aware(wanted)).total_seconds()) < 1.0


def to_azure(moment: datetime) -> str:
    """Return a moment as it is sent: UTC, whole seconds."""
    return aware(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def refused_end_of_life(wanted: datetime | None, existing: object, now: datetime) -> str | None:
    """Return why Azure would refuse an end-of-life date, or None.

    Azure takes only dates in the future; one that it has already may have passed since.

    Args:
        wanted: Of the spec.
        existing: What Azure has, in wire form, or None.
        now: Present time.
    """
    if wanted is None or aware(wanted) > aware(now) or same_moment(existing, wanted):
        return None
    return (
        f"endOfLifeDate {to_azure(wanted)} has passed, and Azure takes only dates in the future: set a later one, or "
        "take it out."
    )
