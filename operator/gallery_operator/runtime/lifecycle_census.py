"""Counts what is due, what can be restored and what reaches its end of life, for Prometheus."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from prometheus_client.core import GaugeMetricFamily

from gallery_operator.metrics import PREFIX

SOON = timedelta(days=30)


@dataclass(frozen=True)
class LifecycleFacts:
    """What one object says.

    Attributes:
        due: Versions that retention lists as due, by action.
        soft_deleted: Versions that can be restored.
        ends: End of life of the object itself.
        next_end: The next end of life among the versions of a definition, with or without an object.
    """

    due: tuple[tuple[str, int], ...] = ()
    soft_deleted: int = 0
    ends: datetime | None = None
    next_end: datetime | None = None


def facts(body: Mapping[str, Any]) -> LifecycleFacts:
    """Read an object as a watch or a list delivered it."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    due = Counter(str(each.get("action")) for each in (status.get("retention") or {}).get("due") or [])
    return LifecycleFacts(
        tuple(sorted(due.items())),
        int((status.get("softDeleted") or {}).get("count") or 0),
        _moment(spec.get("endOfLifeDate")),
        _moment((status.get("nextEndOfLife") or {}).get("endOfLifeDate")),
    )


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def families(all_facts: Iterable[tuple[str, LifecycleFacts]], now: datetime) -> Iterator[GaugeMetricFamily]:
    """Yield the gauges.

    Args:
        all_facts: Kind and facts of every object.
        now: Present time.
    """
    due: Counter[str] = Counter()
    ended: Counter[tuple[str, str]] = Counter()
    soft_deleted = 0
    coming = []
    for kind, each in all_facts:
        due.update(dict(each.due))
        soft_deleted += each.soft_deleted
        if each.ends is not None:
            ended[kind, "passed" if each.ends <= now else "soon" if each.ends - now < SOON else "later"] += 1
        coming += [end for end in (each.ends, each.next_end) if end is not None and end > now]
    family = GaugeMetricFamily(
        f"{PREFIX}_retention_due", "Versions that retention lists as due, by what happens to them.", labels=["action"]
    )
    for action, count in sorted(due.items()):
        family.add_metric([action], count)
    yield family
    yield GaugeMetricFamily(f"{PREFIX}_soft_deleted_versions", "Deleted versions that can be restored.", soft_deleted)
    family = GaugeMetricFamily(
        f"{PREFIX}_end_of_life",
        "Definitions and versions with an end of life: passed, soon (within 30 days) or later.",
        labels=["kind", "when"],
    )
    for labels, count in sorted(ended.items()):
        family.add_metric(list(labels), count)
    yield family
    if coming:
        yield GaugeMetricFamily(
            f"{PREFIX}_next_end_of_life_seconds",
            "Seconds until the next end of life of any definition or version.",
            (min(coming) - now).total_seconds(),
        )
