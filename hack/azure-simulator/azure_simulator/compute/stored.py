"""Parts of an image version's stored form: safety profile, sizes, and whether a source is the stored one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import bad_parameter, property_change
from ..store import Resource
from .base import as_object

__all__ = ["STORAGE", "check_same_source", "safety_profile", "show_sizes"]

STORAGE = "galleryImageVersion.properties.storageProfile"
"""Path of the storage profile in errors."""


def safety_profile(value: object, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the safety profile to store; what only the service sets stays as it was.

    Args:
        value: what was sent.
        before: the stored profile, if the version exists.
    """
    sent = as_object(value, "properties.safetyProfile")
    shown: dict[str, Any] = {
        "reportedForPolicyViolation": False,
        "allowDeletionOfReplicatedLocations": bool(sent.get("allowDeletionOfReplicatedLocations", False)),
    }
    if sent.get("blockDeletionBeforeEndOfLife") is not None:
        shown["blockDeletionBeforeEndOfLife"] = bool(sent["blockDeletionBeforeEndOfLife"])
    for name in ("reportedForPolicyViolation", "policyViolations"):
        if name in (before or {}):
            shown[name] = (before or {})[name]
    return shown


def show_sizes(version: Resource) -> None:
    """Show `sizeInGB`, which Azure leaves out until a version is there."""
    storage = version.properties["storageProfile"]
    shown = {item["lun"]: item for item in storage.get("dataDiskImages", [])}
    data = []
    for row in version.internal["disks"]:
        size = -(-(int(row["size"]) - 512) // 2**30)
        if row["lun"] is None:
            source = {} if version.internal["whole"] else storage["osDiskImage"]["source"]
            storage["osDiskImage"] = {"sizeInGB": size, "hostCaching": row["caching"], "source": source}
        else:
            item = {"lun": row["lun"], "sizeInGB": size, "hostCaching": row["caching"]}
            if not version.internal["whole"]:
                item["source"] = shown[row["lun"]]["source"]
            data.append(item)
    if data:
        storage["dataDiskImages"] = data


def _comparable(source: Any) -> dict[str, str]:
    """Return a source in a form that compares equal: ids without case, storage account under one name."""
    given = dict(source or {})
    if given.get("uri"):
        account = given.get("storageAccountId") or given.get("id") or ""
        return {"uri": str(given["uri"]), "account": str(account).lower()}
    return {key: str(value).lower() for key, value in given.items() if value}


def check_same_source(version: Resource, sent: object) -> None:
    """Refuse another source than the stored one; leaving it out keeps it.

    Raises:
        ArmError: 409 `PropertyChangeNotAllowed`, or 400 for other disks.
    """
    wanted = as_object(sent, STORAGE)
    stored = version.properties["storageProfile"]
    source = wanted.get("source")
    if source and _comparable(source) != _comparable(stored.get("source")):
        key = next(iter(_comparable(source)), "id")
        raise property_change(f"{STORAGE}.source.{'id' if key == 'id' else key}")
    main = as_object(wanted.get("osDiskImage"), "osDiskImage").get("source")
    if main and _comparable(main) != _comparable((stored.get("osDiskImage") or {}).get("source")):
        raise property_change(f"{STORAGE}.osDiskImage.source.{'uri' if main.get('uri') else 'id'}")
    if not wanted.get("dataDiskImages"):
        return
    disks = {item.get("lun"): item for item in stored.get("dataDiskImages", [])}
    luns = {row["lun"] for row in version.internal["disks"] if row["lun"] is not None}
    if {item.get("lun") for item in wanted["dataDiskImages"]} != luns:
        raise bad_parameter(
            "Adding new Data Disks or changing the LUN of a Data Disk in an existing Image is not allowed",
            f"{STORAGE}.dataDiskImages",
        )
    for item in wanted["dataDiskImages"]:
        if item.get("source") and _comparable(item["source"]) != _comparable(disks.get(item["lun"], {}).get("source")):
            raise property_change(f"{STORAGE}.dataDiskImages.source.id")
