"""Edge zones that an image version is replicated to (`targetExtendedLocations`). Pure.

That the region of a zone must be a target region, and the words of refusals, are inferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import bad_parameter, location_unavailable
from ..regions import REGIONS, find
from .base import as_object
from .encryption import normal_encryption

__all__ = ["normal_locations"]

_PATH = "galleryImageVersion.properties.publishingProfile.targetExtendedLocations"
_TYPES = ("Standard_LRS", "Standard_ZRS", "StandardSSD_LRS", "Premium_LRS")


def normal_locations(value: Any, regions: Sequence[str]) -> list[dict[str, Any]]:
    """Return edge zones as the service stores them.

    Args:
        value: what was sent.
        regions: programmatic names of the target regions.

    Raises:
        ArmError: 400, something is missing or not allowed.
    """
    shown: list[dict[str, Any]] = []
    seen: set[str] = set()
    for number, item in enumerate(value):
        path = f"{_PATH}[{number}]"
        given = as_object(item, path)
        region = find(str(given.get("name") or ""))
        if region is None:
            raise location_unavailable(str(given.get("name")), "Microsoft.Compute/galleries", sorted(REGIONS))
        if region.name not in regions:
            raise bad_parameter(
                f"The region '{region.display}' of an extended location must be among the target regions.",
                f"{path}.name",
            )
        zone = as_object(given.get("extendedLocation"), f"{path}.extendedLocation")
        if not zone.get("name") or zone.get("type", "EdgeZone") != "EdgeZone":
            raise bad_parameter(
                "An extended location needs a name and the type 'EdgeZone'.", f"{path}.extendedLocation"
            )
        name = str(zone["name"])
        if name.lower() in seen:
            raise bad_parameter(f"The extended location '{name}' is named more than once.", _PATH)
        seen.add(name.lower())
        shown.append(_row(given, path, region.display, name))
    return shown


def _row(given: dict[str, Any], path: str, region: str, zone: str) -> dict[str, Any]:
    count = given.get("extendedLocationReplicaCount", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 100:
        raise bad_parameter(
            f"The value {count} of parameter {path}.extendedLocationReplicaCount is out of range. The value must be "
            "between 1 and 100, inclusive",
            f"{path}.extendedLocationReplicaCount",
        )
    kind = given.get("storageAccountType") or "StandardSSD_LRS"
    if kind not in _TYPES:
        raise bad_parameter(
            f"The value '{kind}' of parameter '{path}.storageAccountType' is not allowed. Allowed values are: "
            f"{', '.join(_TYPES)}.",
            f"{path}.storageAccountType",
        )
    row: dict[str, Any] = {
        "name": region,
        "extendedLocation": {"name": zone, "type": "EdgeZone"},
        "extendedLocationReplicaCount": count,
        "storageAccountType": kind,
    }
    if given.get("encryption"):
        row["encryption"] = normal_encryption(given["encryption"], region)
    return row
