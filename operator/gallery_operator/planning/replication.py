"""Regions of an image version: what each does, when the version is ready, how a failed one is repaired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gallery_operator.api import ImageVersion
from gallery_operator.api.imageversion import RegionStatus
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
    there = {
        normal(str(each.get("name"))): each
        for each in (properties.get("publishingProfile") or {}).get("targetRegions") or []
    }
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
                replicas=region.regional_replica_count,
                details=told.get("details") or None,
                repairs=None if state == "Completed" else repairs.get(name),
            )
        )
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
