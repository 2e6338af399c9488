"""The publishing profile of an image version: checks, defaults, normal form. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import bad_parameter, location_unavailable, property_change
from ..regions import REGIONS, Region, find, normalise
from .base import as_object
from .encryption import check_new_luns, normal_encryption
from .extended import normal_locations

__all__ = ["Profile", "build_profile"]

_PATH = "galleryImageVersion.properties.publishingProfile"
_TYPES = ("Standard_LRS", "Standard_ZRS", "Premium_LRS", "PremiumV2_LRS")
_STRATEGIES = ("PreferStandard_ZRS", "DefaultStandard_LRS")
_MODES = ("Full", "Shallow")
_TYPE = "Microsoft.Compute/galleries"


@dataclass(frozen=True, slots=True)
class Profile:
    """A checked profile.

    Attributes:
        body: what the service stores and shows, without `publishedDate` and `endOfLifeDate`.
        targets: programmatic name, display name and replicas by region, in order.
        shallow: whether replication is Shallow.
    """

    body: dict[str, Any]
    targets: list[tuple[str, str, int]]
    shallow: bool


def build_profile(sent: Mapping[str, Any], location: str, before: Mapping[str, Any] | None) -> Profile:
    """Check a profile and fill in what the service fills in.

    Args:
        sent: the profile of the request (for PATCH: merged with the stored one).
        location: programmatic name of the version's region.
        before: the stored profile if the version exists, else None.

    Raises:
        ArmError: the service would refuse it.
    """
    mode = sent.get("replicationMode")
    if mode is not None:
        mode = _choice(mode, _MODES, "replicationMode")
    old_mode = (before or {}).get("replicationMode")
    if before is not None and mode is not None and mode != (old_mode or "Full"):
        raise property_change(f"{_PATH}.replicationMode")
    mode = mode or old_mode
    replicas = _replicas(sent.get("replicaCount", 1), f"{_PATH}.replicaCount")
    strategy = sent.get("storageAccountStrategy")
    kind = sent.get("storageAccountType")
    if strategy is not None:
        strategy = _choice(strategy, _STRATEGIES, "storageAccountStrategy")
        if kind is not None:
            raise bad_parameter(
                "storageAccountStrategy and storageAccountType cannot be specified together.",
                f"{_PATH}.storageAccountStrategy",
            )
    default = _storage_type(kind or "Standard_LRS", f"{_PATH}.storageAccountType")
    sent_regions = sent.get("targetRegions") or [{"name": location}]
    regions, targets = _regions(sent_regions, before, default, strategy, replicas)
    names = [name for name, _, _ in targets]
    if location not in names:
        raise bad_parameter(
            f"Gallery image version publishing profile regions '{', '.join(names)}' must contain the location of "
            f"image version '{location}'.",
            f"{_PATH}.targetRegions",
        )
    if mode == "Shallow" and (len(targets) > 1 or targets[0][2] > 1):
        raise bad_parameter(
            "Shallow replication is supported in the region of the image version only, with one replica.",
            f"{_PATH}.replicationMode",
        )
    body: dict[str, Any] = {
        "targetRegions": regions,
        "replicaCount": replicas,
        "excludeFromLatest": bool(sent.get("excludeFromLatest", False)),
    }
    if strategy is None:
        body["storageAccountType"] = default
    else:
        body["storageAccountStrategy"] = strategy
    if mode is not None:
        body["replicationMode"] = mode
    if sent.get("targetExtendedLocations"):
        body["targetExtendedLocations"] = normal_locations(sent["targetExtendedLocations"], names)
    return Profile(body, targets, mode == "Shallow")


def _regions(
    sent: list[Any], before: Mapping[str, Any] | None, default: str, strategy: str | None, replicas: int
) -> tuple[list[dict[str, Any]], list[tuple[str, str, int]]]:
    stored = {normalise(item["name"]): item for item in (before or {}).get("targetRegions", [])}
    regions: list[dict[str, Any]] = []
    targets: list[tuple[str, str, int]] = []
    for number, value in enumerate(sent):
        path = f"{_PATH}.targetRegions[{number}]"
        item = as_object(value, path)
        region = find(str(item.get("name") or ""))
        if region is None:
            raise location_unavailable(str(item.get("name")), _TYPE, sorted(REGIONS))
        if any(name == region.name for name, _, _ in targets):
            raise bad_parameter(
                "Duplicate regions are not allowed in target publishing regions.", f"{_PATH}.targetRegions"
            )
        count = _replicas(item.get("regionalReplicaCount", replicas), f"{path}.regionalReplicaCount")
        old = stored.get(region.name)
        kind = _region_type(item.get("storageAccountType"), old, region, default, strategy, path)
        shown: dict[str, Any] = {
            "name": region.display,
            "regionalReplicaCount": count,
            "storageAccountType": kind,
        }
        if item.get("excludeFromLatest") is not None:
            shown["excludeFromLatest"] = bool(item["excludeFromLatest"])
        if item.get("encryption"):
            shown["encryption"] = normal_encryption(item["encryption"], region.display)
        if old is not None and before is not None and old.get("encryption") != shown.get("encryption"):
            if item.get("encryption"):
                check_new_luns(old, shown)
                raise property_change(f"{_PATH}.targetRegions.encryption")
            shown["encryption"] = old["encryption"]
        if item.get("additionalReplicaSets"):
            shown["additionalReplicaSets"] = _replica_sets(item["additionalReplicaSets"], path, count, region)
        regions.append(shown)
        targets.append((region.name, region.display, count))
    return regions, targets


def _region_type(
    asked: object,
    old: Mapping[str, Any] | None,
    region: Region,
    default: str,
    strategy: str | None,
    path: str,
) -> str:
    """Return a region's storage type; that of a region which is there already cannot change."""
    zonal = strategy == "PreferStandard_ZRS" and region.zones
    kind = _storage_type(asked, f"{path}.storageAccountType") if asked else ("Standard_ZRS" if zonal else default)
    if kind == "Standard_ZRS" and not region.zones:
        raise bad_parameter("ZRS storage account type is not supported in this region.", f"{path}.storageAccountType")
    _check_premium_v2(kind, region, f"{path}.storageAccountType")
    if old is not None and old["storageAccountType"] != kind:
        if asked:
            raise property_change(f"{_PATH}.targetRegions.storageAccountType")
        if strategy is None:
            raise bad_parameter(
                "Global storage account type does not match the storage account type in the existing TargetRegion: "
                f"'{region.display}'",
                f"{_PATH}.storageAccountType",
            )
        return str(old["storageAccountType"])
    return kind


def _storage_type(value: object, path: str) -> str:
    if value == "StandardSSD_LRS":
        raise bad_parameter(
            "StandardSSD_LRS storage account type is supported in extended locations (edge zones) only.", path
        )
    for option in _TYPES:
        if isinstance(value, str) and value.lower() == option.lower():
            return option
    raise bad_parameter(
        f"The value '{value}' of parameter '{path}' is not allowed. Allowed values are: {', '.join(_TYPES)}.", path
    )


def _check_premium_v2(kind: str, region: Region, path: str) -> None:
    """Refuse PremiumV2_LRS where there is none (the words are inferred from those for ZRS)."""
    if kind == "PremiumV2_LRS" and not region.premium_v2:
        raise bad_parameter("PremiumV2_LRS storage account type is not supported in this region.", path)


def _replica_sets(value: Any, path: str, count: int, region: Region) -> list[dict[str, Any]]:
    sets = []
    for item in value:
        given = as_object(item, f"{path}.additionalReplicaSets")
        replicas = _replicas(
            given.get("regionalReplicaCount", count), f"{path}.additionalReplicaSets.regionalReplicaCount"
        )
        kind = _storage_type(given.get("storageAccountType"), f"{path}.additionalReplicaSets.storageAccountType")
        _check_premium_v2(kind, region, f"{path}.additionalReplicaSets.storageAccountType")
        sets.append({"regionalReplicaCount": replicas, "storageAccountType": kind})
    return sets


def _replicas(value: object, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100:
        raise bad_parameter(
            f"The value {value} of parameter {path} is out of range. The value must be between 1 and 100, inclusive",
            path,
        )
    return value


def _choice(value: object, allowed: tuple[str, ...], name: str) -> str:
    for option in allowed:
        if isinstance(value, str) and value.lower() == option.lower():
            return option
    raise bad_parameter(
        f"The value '{value}' of parameter '{_PATH}.{name}' is not allowed. Allowed values are: {', '.join(allowed)}.",
        f"{_PATH}.{name}",
    )
