"""The publishing profile of an image version: what to send, and how what is there differs.

Regions are wanted as a whole: one that the spec does not name goes. Everything else that the spec never set, and
somebody else has, stays. Azure may not report all that it was sent (``excludeFromLatest`` of a region, replica sets);
what was sent once is in ``status.managedFields``, so that it is not sent for ever.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gallery_operator.api import ImageVersion
from gallery_operator.api.publishing import TargetExtendedLocation, TargetRegion
from gallery_operator.planning.moments import same_moment, to_azure
from gallery_operator.planning.regions import normal

_WRITABLE = (
    "name",
    "regionalReplicaCount",
    "storageAccountType",
    "encryption",
    "excludeFromLatest",
    "additionalReplicaSets",
)
_DEFAULT_MARK = "(default)"
_EDGE = "targetExtendedLocations"


def replicas(version: ImageVersion, region: TargetRegion) -> int:
    """Return how many replicas are wanted in a region, besides its additional sets."""
    return region.regional_replica_count or version.spec.replica_count or 1


def profile_of(existing: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the publishing profile of a version as Azure answers it."""
    found: Mapping[str, Any] = ((existing or {}).get("properties") or {}).get("publishingProfile") or {}
    return found


def regions_there(existing: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Return Azure's target regions by name in normal form."""
    return {normal(str(each.get("name"))): each for each in profile_of(existing).get("targetRegions") or []}


def managed_fields(version: ImageVersion) -> list[str]:
    """Return what the spec sets of the profile that Azure may not report, or that may be taken out of the spec."""
    spec = version.spec
    fields = [] if spec.end_of_life_date is None else ["endOfLifeDate"]
    for region in spec.target_regions:
        if region.exclude_from_latest:
            fields.append(_excluded(region.name))
        fields += _sets(region)
    fields += [f"{_EDGE}/{_zone_name(each)}" for each in spec.target_extended_locations]
    return fields


def added_regions(version: ImageVersion, existing: Mapping[str, Any] | None) -> set[str]:
    """Return the regions (normal form) that are wanted, or have a wanted edge zone, and that Azure lacks."""
    there, zones = regions_there(existing), _zones_there(profile_of(existing))
    added = {normal(each.name) for each in version.spec.target_regions if normal(each.name) not in there}
    return added | {
        normal(each.name) for each in version.spec.target_extended_locations if _zone_name(each) not in zones
    }


def wanted_regions(version: ImageVersion, existing: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the regions to send, in REST form.

    Args:
        version: What is wanted.
        existing: What Azure has, or None.
    """
    there = regions_there(existing)
    return [_region(version, each, there.get(normal(each.name))) for each in version.spec.target_regions]


def existing_regions(version: ImageVersion, existing: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the regions that Azure has, as an update that neither adds nor removes one would name them."""
    wanted = {normal(each.name): each for each in version.spec.target_regions}
    return [
        _region(version, wanted[name], have)
        if name in wanted
        else {field: have[field] for field in _WRITABLE if have.get(field) is not None}
        for name, have in regions_there(existing).items()
    ]


def profile(
    version: ImageVersion, regions: Sequence[Mapping[str, Any]], existing: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the publishing profile to send.

    Args:
        version: What is wanted.
        regions: Regions to ask for, in REST form.
        existing: What Azure has, or None.
    """
    spec, before = version.spec, profile_of(existing)
    body: dict[str, Any] = {
        "targetRegions": [dict(each) for each in regions],
        "excludeFromLatest": spec.exclude_from_latest,
    }
    if existing is None or before.get("replicationMode") is not None:
        body["replicationMode"] = spec.replication_mode
    if spec.replica_count is not None:
        body["replicaCount"] = spec.replica_count
    strategy = spec.storage_account_strategy or before.get("storageAccountStrategy")
    kind = spec.storage_account_type or before.get("storageAccountType")
    if strategy is not None:
        body["storageAccountStrategy"] = strategy
    elif kind is not None:
        body["storageAccountType"] = kind
    zones = _zones(version, before)
    # An empty list says that none is left.
    if zones or before.get(_EDGE):
        body[_EDGE] = zones
    if spec.end_of_life_date is not None:
        body["endOfLifeDate"] = to_azure(spec.end_of_life_date)
    elif before.get("endOfLifeDate") and "endOfLifeDate" not in version.status.managed_fields:
        body["endOfLifeDate"] = before["endOfLifeDate"]
    return body


def differences(version: ImageVersion, existing: Mapping[str, Any]) -> list[str]:
    """Return what an update of the profile would correct, each as a short phrase for people."""
    spec, before = version.spec, profile_of(existing)
    there = regions_there(existing)
    wanted = {normal(each.name): each for each in spec.target_regions}
    differs = [f"add region {each.name}" for name, each in wanted.items() if name not in there]
    differs += [f"remove region {each.get('name')}" for name, each in there.items() if name not in wanted]
    for name, region in wanted.items():
        if name in there:
            differs += _region_differences(version, region, there[name])
    differs += _zone_differences(version, before)
    if bool(before.get("excludeFromLatest")) != spec.exclude_from_latest:
        differs.append("excludeFromLatest")
    end = before.get("endOfLifeDate")
    if spec.end_of_life_date is not None:
        if not same_moment(end, spec.end_of_life_date):
            differs.append("endOfLifeDate")
    elif end and "endOfLifeDate" in version.status.managed_fields:
        differs.append("endOfLifeDate")
    return differs


def fixed_differences(version: ImageVersion, existing: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return what differs and Azure never changes: (field, in Azure, wanted)."""
    spec, before = version.spec, profile_of(existing)
    differs: list[tuple[str, str, str]] = []
    for name, wanted in (
        ("replicationMode", spec.replication_mode),
        ("storageAccountStrategy", spec.storage_account_strategy),
    ):
        have = before.get(name)
        if have is not None and wanted is not None and str(have).lower() != wanted.lower():
            differs.append((name, str(have), wanted))
    there = regions_there(existing)
    for region in spec.target_regions:
        have = there.get(normal(region.name))
        if have is None:
            continue
        path = f"targetRegions[{region.name}]"
        kind = region.storage_account_type or spec.storage_account_type
        differs += _fixed(f"{path}.storageAccountType", have.get("storageAccountType"), kind)
        differs += _fixed_encryption(path, have, region)
    zones = _zones_there(before)
    for zone in spec.target_extended_locations:
        have = zones.get(_zone_name(zone))
        if have is not None:
            path = f"{_EDGE}[{zone.extended_location.name}]"
            differs += _fixed(f"{path}.storageAccountType", have.get("storageAccountType"), zone.storage_account_type)
            differs += _fixed_encryption(path, have, zone)
    return differs


def _region(version: ImageVersion, region: TargetRegion, have: Mapping[str, Any] | None) -> dict[str, Any]:
    wire = region.to_wire()
    body: dict[str, Any] = {"name": region.name, "regionalReplicaCount": replicas(version, region)}
    before: Mapping[str, Any] = have or {}
    kind = region.storage_account_type or before.get("storageAccountType")
    if kind is not None:
        body["storageAccountType"] = kind
    encryption = wire.get("encryption") or before.get("encryption")
    if encryption:
        body["encryption"] = _without_empty(encryption)
    claimed = version.status.managed_fields
    sets = wire.get("additionalReplicaSets") or []
    if not sets and not _claimed(claimed, _set_prefix(region.name)):
        sets = before.get("additionalReplicaSets") or []
    if sets:
        body["additionalReplicaSets"] = sets
    excluded = region.exclude_from_latest
    if excluded is None:
        excluded = False if _excluded(region.name) in claimed else before.get("excludeFromLatest")
    if excluded is not None:
        body["excludeFromLatest"] = excluded
    return body


def _region_differences(version: ImageVersion, region: TargetRegion, have: Mapping[str, Any]) -> list[str]:
    differs = []
    if int(have.get("regionalReplicaCount") or 1) != replicas(version, region):
        differs.append(f"replicas in {region.name}")
    claimed = version.status.managed_fields
    asked = _excluded(region.name) in claimed
    if region.exclude_from_latest is not None or asked:
        excluded = have.get("excludeFromLatest")
        # Where Azure does not say, what was asked for last is taken to be so.
        if bool(asked if excluded is None else excluded) != bool(region.exclude_from_latest):
            differs.append(f"excludeFromLatest in {region.name}")
    sets = have.get("additionalReplicaSets")
    before = _claimed(claimed, _set_prefix(region.name))
    if region.additional_replica_sets or before:
        told = before if sets is None else {_set(region.name, each) for each in sets}
        if told != set(_sets(region)):
            differs.append(f"additionalReplicaSets in {region.name}")
    return differs


def _set_prefix(region: str) -> str:
    return f"targetRegions/{normal(region)}/additionalReplicaSets/"


def _set(region: str, wire: Mapping[str, Any]) -> str:
    return f"{_set_prefix(region)}{wire.get('storageAccountType')}={int(wire.get('regionalReplicaCount') or 1)}"


def _sets(region: TargetRegion) -> list[str]:
    return [_set(region.name, each.to_wire()) for each in region.additional_replica_sets]


def _excluded(region: str) -> str:
    return f"targetRegions/{normal(region)}/excludeFromLatest"


def _claimed(managed: Iterable[str], prefix: str) -> set[str]:
    return {each for each in managed if each.startswith(prefix)}


def _zone_name(zone: TargetExtendedLocation) -> str:
    return zone.extended_location.name.lower()


def _zones_there(before: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str((each.get("extendedLocation") or {}).get("name")).lower(): each for each in before.get(_EDGE) or []}


def _zones(version: ImageVersion, before: Mapping[str, Any]) -> list[dict[str, Any]]:
    there = _zones_there(before)
    result = []
    for zone in version.spec.target_extended_locations:
        wire = zone.to_wire()
        kind = zone.storage_account_type or _plain(there.get(_zone_name(zone), {}).get("storageAccountType"))
        if kind is not None:
            wire["storageAccountType"] = kind
        if "encryption" in wire:
            wire["encryption"] = _without_empty(wire["encryption"])
        result.append(wire)
    wanted = {_zone_name(each) for each in version.spec.target_extended_locations}
    for name, have in there.items():
        if name not in wanted and f"{_EDGE}/{name}" not in version.status.managed_fields:
            kept = {**have, "storageAccountType": _plain(have.get("storageAccountType"))}
            result.append({field: value for field, value in kept.items() if value is not None})
    return result


def _zone_differences(version: ImageVersion, before: Mapping[str, Any]) -> list[str]:
    there = _zones_there(before)
    wanted = {_zone_name(each): each for each in version.spec.target_extended_locations}
    differs = [f"add edge zone {each.extended_location.name}" for name, each in wanted.items() if name not in there]
    dropped = [name for name in there if name not in wanted and f"{_EDGE}/{name}" in version.status.managed_fields]
    differs += [f"remove edge zone {name}" for name in dropped]
    for name, zone in wanted.items():
        have = there.get(name)
        if have is not None and int(have.get("extendedLocationReplicaCount") or 1) != (
            zone.extended_location_replica_count
        ):
            differs.append(f"replicas in edge zone {zone.extended_location.name}")
    return differs


def _plain(kind: object) -> str | None:
    """Return a storage type of Azure's, which it writes as ``StandardSSD_LRS(default)`` where nobody named one."""
    return str(kind).removesuffix(_DEFAULT_MARK) if kind else None


def _fixed(field: str, have: object, wanted: str | None) -> list[tuple[str, str, str]]:
    there = _plain(have)
    if wanted is None or there is None or there.lower() == wanted.lower():
        return []
    return [(field, there, wanted)]


def _fixed_encryption(
    path: str, have: Mapping[str, Any], wanted: TargetRegion | TargetExtendedLocation
) -> list[tuple[str, str, str]]:
    if wanted.encryption is None:
        return []
    mine, there = wanted.encryption.to_wire(), have.get("encryption") or {}
    if _comparable(mine) == _comparable(there):
        return []
    return [(f"{path}.encryption", "another" if there else "none", "the spec's")]


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        parts = {name: _without_empty(each) for name, each in value.items()}
        return {name: each for name, each in parts.items() if each not in (None, {}, [])}
    if isinstance(value, list | tuple):
        return [_without_empty(each) for each in value]
    return value


def _comparable(value: Any) -> Any:
    """Return encryption in a form that compares equal: ids without case, disks by LUN, nothing empty."""
    if isinstance(value, Mapping):
        parts = {name: _comparable(each) for name, each in value.items()}
        return {name: each for name, each in parts.items() if each not in (None, {}, [])}
    if isinstance(value, list | tuple):
        return [_comparable(each) for each in sorted(value, key=lambda each: int(each.get("lun") or 0))]
    return value.lower() if isinstance(value, str) else value
