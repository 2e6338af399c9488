"""Image version: what to send to Azure, and how what is there differs."""

from collections.abc import Mapping, Sequence
from typing import Any

from gallery_operator.api import ImageVersion
from gallery_operator.api.publishing import TargetRegion
from gallery_operator.planning.moments import same_moment
from gallery_operator.planning.ownership import desired_tags, tags_differ
from gallery_operator.planning.regions import normal


def create_body(
    version: ImageVersion, location: str, storage: Mapping[str, Any], owner: Mapping[str, str]
) -> dict[str, Any]:
    """Return the PUT body of a new version.

    Args:
        version: What is wanted.
        location: Home region (that of the gallery).
        storage: ``storageProfile``, see :mod:`gallery_operator.planning.sources`.
        owner: Ownership tags.
    """
    return _body(version, location, version.spec.target_regions, storage, {**version.spec.tags, **owner}, True)


def update_body(
    version: ImageVersion,
    existing: Mapping[str, Any],
    regions: Sequence[TargetRegion],
    owner: Mapping[str, str],
) -> dict[str, Any]:
    """Return the PUT body of an update; the source is left out, Azure keeps it.

    Args:
        version: What is wanted.
        existing: What Azure has.
        regions: Regions to ask for; all of them, except while a failed one is taken out.
        owner: Ownership tags.
    """
    tags = desired_tags(existing.get("tags"), version.spec.tags, owner)
    mode = ((existing.get("properties") or {}).get("publishingProfile") or {}).get("replicationMode")
    return _body(version, str(existing.get("location")), regions, {}, tags, mode is not None)


def _body(
    version: ImageVersion,
    location: str,
    regions: Sequence[TargetRegion],
    storage: Mapping[str, Any],
    tags: Mapping[str, str],
    with_mode: bool,
) -> dict[str, Any]:
    spec = version.spec
    publishing: dict[str, Any] = {
        "targetRegions": [each.to_wire() for each in regions],
        "excludeFromLatest": spec.exclude_from_latest,
    }
    if with_mode:
        publishing["replicationMode"] = spec.replication_mode
    if spec.end_of_life_date is not None:
        publishing["endOfLifeDate"] = spec.end_of_life_date.isoformat().replace("+00:00", "Z")
    return {
        "location": location,
        "tags": dict(tags),
        "properties": {
            "publishingProfile": publishing,
            "storageProfile": dict(storage),
            "safetyProfile": spec.safety_profile.to_wire(),
        },
    }


def differences(version: ImageVersion, owner: Mapping[str, str], existing: Mapping[str, Any]) -> list[str]:
    """Return what an update would correct, each as a short phrase for people."""
    spec = version.spec
    properties = existing.get("properties") or {}
    publishing = properties.get("publishingProfile") or {}
    there = {normal(str(each.get("name"))): each for each in publishing.get("targetRegions") or []}
    differs: list[str] = []
    wanted = {normal(each.name): each for each in spec.target_regions}
    differs += [f"add region {each.name}" for name, each in wanted.items() if name not in there]
    differs += [f"remove region {each.get('name')}" for name, each in there.items() if name not in wanted]
    for name, region in wanted.items():
        have = there.get(name)
        if have is None:
            continue
        if int(have.get("regionalReplicaCount") or 1) != region.regional_replica_count:
            differs.append(f"replicas in {region.name}")
        if region.exclude_from_latest is not None and bool(have.get("excludeFromLatest")) != region.exclude_from_latest:
            differs.append(f"excludeFromLatest in {region.name}")
    if bool(publishing.get("excludeFromLatest")) != spec.exclude_from_latest:
        differs.append("excludeFromLatest")
    if spec.end_of_life_date is not None and not same_moment(publishing.get("endOfLifeDate"), spec.end_of_life_date):
        differs.append("endOfLifeDate")
    safety = properties.get("safetyProfile") or {}
    for field, value in spec.safety_profile.to_wire().items():
        if bool(safety.get(field)) != value:
            differs.append(f"safetyProfile.{field}")
    if tags_differ(existing.get("tags"), spec.tags, owner):
        differs.append("tags")
    return differs


def needs_removal_permit(version: ImageVersion, existing: Mapping[str, Any]) -> bool:
    """Whether a region is to be removed and Azure must first be told that regions may be.

    ``allowDeletionOfReplicatedLocations`` has to be true before, in an update of its own.
    """
    properties = existing.get("properties") or {}
    wanted = {normal(each.name) for each in version.spec.target_regions}
    there = {
        normal(str(each.get("name"))) for each in (properties.get("publishingProfile") or {}).get("targetRegions") or []
    }
    allowed = bool((properties.get("safetyProfile") or {}).get("allowDeletionOfReplicatedLocations"))
    return bool(there - wanted) and not allowed and version.spec.safety_profile.allow_deletion_of_replicated_locations


def existing_regions(version: ImageVersion, existing: Mapping[str, Any]) -> list[TargetRegion]:
    """Return the regions that Azure has, as an update that changes none of them would name them."""
    publishing = (existing.get("properties") or {}).get("publishingProfile") or {}
    wanted = {normal(each.name): each for each in version.spec.target_regions}
    return [
        wanted.get(normal(str(each.get("name"))))
        or TargetRegion.model_validate(
            {
                "name": each.get("name"),
                "regionalReplicaCount": each.get("regionalReplicaCount") or 1,
                "storageAccountType": each.get("storageAccountType") or "Standard_LRS",
            }
        )
        for each in publishing.get("targetRegions") or []
    ]
