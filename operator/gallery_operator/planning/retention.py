"""Which versions of a definition are due, why each of the others stays, and what may be deleted now. Pure.

Nothing is deleted that was not in ``status.retention.due``, with the same publishing date and the same action, for the
whole notice: what a person could have read is the only memory there is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from gallery_operator.api.lifecycle import DUE_LIMIT, DueVersion, Retention, RetentionStatus, duration
from gallery_operator.planning.listed import Listed, all_latest, numbers

BUDGET = 5
"""Most deletions begun in one reconcile."""

Action = Literal["Report", "DeleteVersion", "DeleteObject"]


class Keep(StrEnum):
    """Why a version stays.

    Attributes:
        LATEST: ``latest`` resolves to it, here or in some region.
        NEWEST: It is among the newest ``keepVersions`` that succeeded; the newest one always is.
        YOUNG: It is younger than ``keepYoungerThan``, or its age is not known.
        PINNED: It is pinned by annotation or tag.
        END_OF_LIFE: Its ``endOfLifeDate`` is still to come: it was promised until then.
        BUSY: Azure works on it.
        DECLARED: It failed, and its object cares for it.
        LEAVING: Its object is being deleted already.
        ANOTHERS: The operator of another cluster or namespace made it.
        UNMANAGED: Nobody's, and ``unmanagedVersions`` is ``Keep``.
    """

    LATEST = "Latest"
    NEWEST = "Newest"
    YOUNG = "Young"
    PINNED = "Pinned"
    END_OF_LIFE = "EndOfLife"
    BUSY = "Busy"
    DECLARED = "Declared"
    LEAVING = "Leaving"
    ANOTHERS = "Anothers"
    UNMANAGED = "Unmanaged"


@dataclass(frozen=True)
class Declared:
    """An ImageVersion object.

    Attributes:
        name: Its name.
        uid: Its uid.
        version: The number that it declares.
        pinned: It carries the annotation that keeps the version.
        retained: Its ``deletionPolicy`` is ``Retain``: deleting it would not delete the version.
        deleting: It is being deleted.
    """

    name: str
    uid: str
    version: str
    pinned: bool = False
    retained: bool = False
    deleting: bool = False


@dataclass(frozen=True)
class Verdict:
    """What becomes of a version.

    Attributes:
        version: The version.
        kept: Why it stays; empty when it is due.
        reason: Why it is due; empty when it stays.
        action: What happens to it when it is due.
        declared: The object that declares it.
    """

    version: Listed
    kept: tuple[Keep, ...] = ()
    reason: str = ""
    action: Action = "Report"
    declared: Declared | None = None


@dataclass(frozen=True)
class Plan:
    """What follows.

    Attributes:
        status: What to report.
        fresh: Entries of it that are new or have another action than before.
        go: What to delete now, with the object to delete instead of the version in Azure, or None.
        next_look: When something changes by time alone, or None.
        overdue: A notice is over already, but the entry must be stored before it counts.
    """

    status: RetentionStatus
    fresh: tuple[DueVersion, ...] = ()
    go: tuple[tuple[DueVersion, Declared | None], ...] = ()
    next_look: datetime | None = None
    overdue: bool = False


def unneeded(versions: Sequence[Listed], rule: Retention, now: datetime) -> list[Verdict]:
    """Judge the versions by what Azure knows of them.

    Args:
        versions: All versions of the definition.
        rule: ``spec.retention``.
        now: Present time.

    Returns:
        One verdict a version, in the given order.
    """
    dated = [(each.published, each.numbers, each.name) for each in versions if each.succeeded and each.published]
    newest = sorted(dated, reverse=True)
    kept_newest = {name for _, _, name in newest[: rule.keep_versions or 1]}
    resolved = all_latest(versions)
    youth = duration(rule.keep_younger_than) if rule.keep_younger_than is not None else None
    result = []
    for each in versions:
        kept = [
            reason
            for reason, holds in (
                (Keep.BUSY, each.state not in ("Succeeded", "Failed")),
                (Keep.LATEST, each.name in resolved),
                (Keep.NEWEST, each.name in kept_newest),
                (Keep.YOUNG, each.published is None or (youth is not None and now - each.published < youth)),
                (Keep.PINNED, each.pinned),
                (Keep.END_OF_LIFE, each.end_of_life is not None and each.end_of_life > now),
            )
            if holds
        ]
        result.append(Verdict(each, tuple(kept), "" if kept else _reason(each, rule)))
    return result


def _reason(version: Listed, rule: Retention) -> str:
    if not version.succeeded:
        return "Failed"
    if rule.keep_versions is None:
        return "TooOld"
    return "NotAmongNewest" if rule.keep_younger_than is None else "NotAmongNewestAndTooOld"


def judge(
    verdicts: Iterable[Verdict], rule: Retention, objects: Iterable[Declared], cluster: str, namespace: str
) -> list[Verdict]:
    """Judge further by who declares and who made each version.

    Args:
        verdicts: What :func:`unneeded` says.
        rule: ``spec.retention``.
        objects: All ImageVersion objects of the definition, read live.
        cluster: Name of this cluster in ownership tags.
        namespace: Namespace of the definition.
    """
    declared: dict[tuple[int, ...], list[Declared]] = {}
    for each in objects:
        declared.setdefault(numbers(each.version), []).append(each)
    return [
        verdict
        if verdict.kept
        else _judge(verdict, rule, declared.get(verdict.version.numbers, []), cluster, namespace)
        for verdict in verdicts
    ]


def _judge(verdict: Verdict, rule: Retention, objects: Sequence[Declared], cluster: str, namespace: str) -> Verdict:
    version, deletes = verdict.version, rule.mode == "DeleteVersions"
    if objects:
        mine = objects[0]
        kept = [
            reason
            for reason, holds in (
                (Keep.PINNED, any(each.pinned for each in objects)),
                (Keep.LEAVING, any(each.deleting for each in objects)),
                (Keep.DECLARED, not version.succeeded),
            )
            if holds
        ]
        # Two objects for one version are a mistake that a person mends first.
        goes = deletes and rule.delete_objects and len(objects) == 1 and not mine.retained
        action: Action = "DeleteObject" if goes else "Report"
        return Verdict(version, tuple(kept), "" if kept else verdict.reason, action, mine)
    owner = version.owner
    if owner is None:
        if rule.unmanaged_versions == "Keep":
            return Verdict(version, (Keep.UNMANAGED,))
    elif (owner.cluster, owner.namespace, owner.kind) != (cluster, namespace, "ImageVersion"):
        return Verdict(version, (Keep.ANOTHERS,))
    return Verdict(version, (), verdict.reason, "DeleteVersion" if deletes else "Report")


def plan(verdicts: Iterable[Verdict], rule: Retention, before: RetentionStatus | None, now: datetime) -> Plan:
    """Decide what to report, and what may go now.

    Args:
        verdicts: What :func:`judge` says.
        rule: ``spec.retention``.
        before: ``status.retention`` as it is stored: only what is in it may go.
        now: Present time.
    """
    verdicts = list(verdicts)
    notice = duration(rule.notice)
    known = {each.version: each for each in (before.due if before is not None else ())}
    # What will be deleted comes first: a long list of what is only told must not keep it from being listed.
    due = sorted((each for each in verdicts if not each.kept), key=_order)
    entries = [_entry(each, known.get(each.version.name), now) for each in due[:DUE_LIMIT]]
    told = {each.version for each in entries if _same(known.get(each.version), each)}
    fresh = tuple(each for each in entries if each.version not in told)
    going = [each for each in entries if each.action != "Report"]
    ripe = [each for each in going if each.version in told and each.since + notice <= now][:BUDGET]
    by_name = {each.version.name: each.declared for each in due}
    times = [each.since + notice for each in going]
    waits = [*times, *_boundaries(verdicts, rule, now)]
    return Plan(
        RetentionStatus(due=tuple(entries), due_count=len(due), next_deletion=min(times, default=None)),
        fresh,
        tuple((each, by_name[each.version] if each.action == "DeleteObject" else None) for each in ripe),
        min((each for each in waits if each > now), default=None),
        overdue=any(each <= now for each in times),
    )


def _order(verdict: Verdict) -> tuple[bool, float, tuple[int, ...]]:
    published = verdict.version.published
    return (verdict.action == "Report", published.timestamp() if published else 0.0, verdict.version.numbers)


def _entry(verdict: Verdict, before: DueVersion | None, now: datetime) -> DueVersion:
    version = verdict.version
    entry = DueVersion(
        version=version.name,
        reason=verdict.reason,
        action=verdict.action,
        since=now.replace(microsecond=0),
        published_date=version.published.replace(microsecond=0) if version.published else None,
        object=verdict.declared.name if verdict.declared else None,
    )
    return entry.model_copy(update={"since": before.since}) if before is not None and _same(before, entry) else entry


def _same(before: DueVersion | None, entry: DueVersion) -> bool:
    """Whether an entry is about the same version with the same action; why it is due may change meanwhile."""
    return before is not None and all(
        getattr(before, name) == getattr(entry, name) for name in ("version", "action", "published_date", "object")
    )


def _boundaries(verdicts: Iterable[Verdict], rule: Retention, now: datetime) -> list[datetime]:
    """Return when rules that keep a version by time alone end."""
    youth = duration(rule.keep_younger_than) if rule.keep_younger_than is not None else timedelta()
    found = []
    for each in verdicts:
        if Keep.YOUNG in each.kept and each.version.published is not None:
            found.append(each.version.published + youth)
        if Keep.END_OF_LIFE in each.kept and each.version.end_of_life is not None:
            found.append(each.version.end_of_life)
    return [each for each in found if each > now]


def due_text(entries: Sequence[DueVersion], notice: str) -> str:
    """Return what to tell a person of versions that have become due."""
    shown = ", ".join(each.version for each in entries[:10]) + (
        f" and {len(entries) - 10} more" if len(entries) > 10 else ""
    )
    what = {
        "Report": "Nothing happens by itself.",
        "DeleteVersion": f"They are deleted from Azure in {notice} unless a rule keeps them until then.",
        "DeleteObject": f"Their objects are deleted in {notice} unless a rule keeps them until then.",
    }[entries[0].action]
    return f"No retention rule keeps {shown}. {what}"
