"""Regions of an image version: what each does, when the version is ready, how a failed one is repaired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gallery_operator.api import ImageVersion
from gallery_operator.api.imageversion import RegionStatus
from gallery_operator.planning.publishing import regions_there, replicas
from gallery_operator.planning.regions import normal

MAX_REPAIRS = 3
"""How often a region is taken out and added again before a person is asked."""


def region_statuses(version: ImageVersion, existing: Mapping[str, Any] | None) -> list[RegionStatus]:
    """Return the state of every region that is wanted or still there, wanted ones first and in their order.

    Args:
        version: What is wanted; how often a region was repaired is taken from its status.
        existing: What Azure has, read with ``$expand=ReplicationStatus``, or None.
    """
    properties = (existing or {}).get("properties") or {}
    summary = {
        normal(str(each.get("region"))): each
        for each in (properties.get("replicationStatus") or {}).get("summary") or []
    }
    there = regions_there(existing)
    repairs = {normal(each.name): each.repairs for each in version.status.regions}
    result: list[RegionStatus] = []
    for region in version.spec.target_regions:
        name = normal(region.name)
        told = summary.get(name) or {}
        state = str(told.get("state") or ("Unknown" if name in there else "Pending"))
        result.append(
            RegionStatus(
                name=name,
                state=state,
                progress=100 if state == "Completed" else told.get("progress"),
                replicas=replicas(version, region),
                details=told.get("details") or None,
                repairs=None if state == "Completed" else repairs.get(name),
            )
        )
    for zone in version.spec.target_extended_locations:
        name = normal(zone.extended_location.name)
        # Azure's documents do not say whether edge zones are in the summary: shown only if they are.
        if name in summary:
            told = summary[name]
            state = str(told.get("state") or "Unknown")
            count = zone.extended_location_replica_count
            percent = 100 if state == "Completed" else told.get("progress")
            details = told.get("details") or None
            result.append(RegionStatus(name=name, state=state, progress=percent, replicas=count, details=details))
    wanted = {each.name for each in result}
    result += [RegionStatus(name=name, state="Removing") for name in there if name not in wanted]
    return result


@dataclass(frozen=True)
class Repair:
    """What to do about failed regions.

    Attributes:
        remove: Regions to take out (normal form); they come back as a difference afterwards.
        again: Only the same update again can help: the home region cannot be taken out.
        exhausted: Regions that were repaired too often already.
        failed: All failed regions with their details.
    """

    remove: tuple[str, ...] = ()
    again: bool = False
    exhausted: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


def repair(statuses: Sequence[RegionStatus], home: str) -> Repair:
    """Decide what to do about failed regions.

    Args:
        statuses: State of the regions.
        home: Region of the gallery; it must stay among the targets.
    """
    failed = [each for each in statuses if each.state == "Failed"]
    exhausted = tuple(each.name for each in failed if (each.repairs or 0) >= MAX_REPAIRS)
    mendable = [each.name for each in failed if each.name not in exhausted]
    return Repair(
        remove=tuple(name for name in mendable if name != normal(home)),
        again=normal(home) in mendable,
        exhausted=exhausted,
        failed=tuple((each.name, each.details or "no details") for each in failed),
    )


def with_repairs(statuses: Sequence[RegionStatus], names: Sequence[str]) -> list[RegionStatus]:
    """Return the states with one more repair counted for some regions."""
    return [
        each.model_copy(update={"repairs": (each.repairs or 0) + 1}) if each.name in names else each
        for each in statuses
    ]


def completed(statuses: Sequence[RegionStatus], version: ImageVersion) -> tuple[int, int]:
    """Return how many of the wanted regions are complete, and how many are wanted."""
    wanted = {normal(each.name) for each in version.spec.target_regions}
    return sum(each.state == "Completed" for each in statuses if each.name in wanted), len(wanted)


def is_ready(version: ImageVersion, statuses: Sequence[RegionStatus], home: str) -> bool:
    """Whether enough regions are complete, by ``readyPolicy``."""
    done = {each.name for each in statuses if each.state == "Completed"}
    wanted = {normal(each.name) for each in version.spec.target_regions}
    match version.spec.ready_policy:
        case "AllRegions":
            return wanted <= done
        case "AnyRegion":
            return bool(wanted & done)
        case "HomeRegion":
            return normal(home) in done


def progress_text(statuses: Sequence[RegionStatus]) -> str:
    """Return what is going on in the regions, for the message of ``Ready``."""
    busy = [
        f"{each.name} ({each.progress}%)" if each.progress is not None else each.name
        for each in statuses
        if each.state in ("Replicating", "Pending", "Unknown")
    ]
    leaving = [each.name for each in statuses if each.state == "Removing"]
    parts = []
    if busy:
        parts.append("replicating to " + ", ".join(busy))
    if leaving:
        parts.append("removing " + ", ".join(leaving))
    return "; ".join(parts) or "finishing"


def milestones(before: Sequence[RegionStatus], after: Sequence[RegionStatus]) -> list[tuple[str, str, str]]:
    """Return the Events (type, reason, message) about regions whose state has changed in a way worth telling.

    Args:
        before: States as status has them.
        after: States now.
    """
    old = {each.name: each.state for each in before}
    now = {each.name: each for each in after}
    events: list[tuple[str, str, str]] = []
    for name, each in now.items():
        if old.get(name) == each.state:
            continue
        if each.state == "Completed":
            count = (
                "" if each.replicas is None else f" ({each.replicas} {'replica' if each.replicas == 1 else 'replicas'})"
            )
            events.append(("Normal", "RegionCompleted", f"Replicated to {name}{count}."))
        elif each.state == "Failed":
            why = (each.details or "Azure gives no details").rstrip(" .")
            events.append(("Warning", "RegionFailed", f"Replication to {name} failed: {why}."))
    events += [("Normal", "RegionRemoved", f"Removed from {name}.") for name in old if name not in now]
    return events
