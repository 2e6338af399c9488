"""Image version: what to send to Azure, and how what is there differs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gallery_operator.api import ImageVersion
from gallery_operator.planning import publishing
from gallery_operator.planning.moments import aware, parsed
from gallery_operator.planning.names import fingerprint
from gallery_operator.planning.ownership import desired_tags, tags_differ
from gallery_operator.planning.regions import normal

_BLOCK = "blockDeletionBeforeEndOfLife"
_SECRETS = "secretsProvisioningSettings"


def create_body(
    version: ImageVersion,
    location: str,
    storage: Mapping[str, Any],
    owner: Mapping[str, str],
    uefi: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the PUT body of a new version.

    Args:
        version: What is wanted.
        location: Home region (that of the gallery).
        storage: ``storageProfile``, see :mod:`gallery_operator.planning.sources`.
        owner: Ownership tags, and what else the operator marks a new version with.
        uefi: ``uefiSettings`` with the keys themselves.
    """
    profile = publishing.profile(version, publishing.wanted_regions(version, None), None)
    return _body(version, location, profile, storage, {**version.spec.tags, **owner}, uefi)


def update_body(
    version: ImageVersion,
    existing: Mapping[str, Any],
    regions: Sequence[Mapping[str, Any]],
    owner: Mapping[str, str],
    uefi: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the PUT body of an update; the source is left out, Azure keeps it.

    Args:
        version: What is wanted.
        existing: What Azure has.
        regions: Regions to ask for, in REST form; all of them, except while a failed one is taken out.
        owner: Ownership tags.
        uefi: ``uefiSettings`` as Azure has them.
    """
    tags = desired_tags(_kept_tags(version, existing), version.spec.tags, owner)
    profile = publishing.profile(version, regions, existing)
    return _body(version, str(existing.get("location")), profile, {}, tags, uefi)


def _body(
    version: ImageVersion,
    location: str,
    profile: Mapping[str, Any],
    storage: Mapping[str, Any],
    tags: Mapping[str, str],
    uefi: Mapping[str, Any] | None,
) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "publishingProfile": dict(profile),
        "storageProfile": dict(storage),
        "safetyProfile": _safety(version),
    }
    security: dict[str, Any] = {"uefiSettings": dict(uefi)} if uefi else {}
    if (secrets := _secrets(version)) is not None:
        security[_SECRETS] = secrets
    if security:
        properties["securityProfile"] = security
    return {"location": location, "tags": dict(tags), "properties": properties}


def managed_fields(version: ImageVersion) -> list[str]:
    """Return the optional fields that the spec sets, for ``status.managedFields``."""
    fields = publishing.managed_fields(version)
    if version.spec.safety_profile.block_deletion_before_end_of_life:
        fields.append(f"safetyProfile/{_BLOCK}")
    if (secrets := _secrets(version)) is not None:
        fields.append(_claim(secrets))
    fields += [f"tags/{name}" for name in version.spec.tags]
    return sorted(fields)


def differences(version: ImageVersion, owner: Mapping[str, str], existing: Mapping[str, Any]) -> list[str]:
    """Return what an update would correct, each as a short phrase for people."""
    properties = existing.get("properties") or {}
    differs = publishing.differences(version, existing)
    safety = properties.get("safetyProfile") or {}
    for field, value in _safety(version).items():
        if bool(safety.get(field)) != value:
            differs.append(f"safetyProfile.{field}")
    secrets = _secrets(version)
    if secrets is not None:
        there = (properties.get("securityProfile") or {}).get(_SECRETS)
        # Sent once: whether Azure takes another value for a version that exists, no document says.
        if _ordered(there) != _ordered(secrets) and _claim(secrets) not in version.status.managed_fields:
            differs.append(f"securityProfile.{_SECRETS}")
    tags = existing.get("tags")
    if tags_differ(tags, version.spec.tags, owner) or _kept_tags(version, existing) != (tags or {}):
        differs.append("tags")
    return differs


def needs_removal_permit(version: ImageVersion, existing: Mapping[str, Any]) -> bool:
    """Whether a region is to be removed and Azure must first be told that regions may be.

    ``allowDeletionOfReplicatedLocations`` has to be true before, in an update of its own.
    """
    wanted = {normal(each.name) for each in version.spec.target_regions}
    there = set(publishing.regions_there(existing))
    safety = (existing.get("properties") or {}).get("safetyProfile") or {}
    allowed = bool(safety.get("allowDeletionOfReplicatedLocations"))
    return bool(there - wanted) and not allowed and version.spec.safety_profile.allow_deletion_of_replicated_locations


def blocked_until(existing: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return until when Azure refuses to delete a version (``blockDeletionBeforeEndOfLife``); None when it does not.

    Args:
        existing: What Azure has.
        now: Present time.
    """
    properties = existing.get("properties") or {}
    if not (properties.get("safetyProfile") or {}).get(_BLOCK):
        return None
    end = parsed((properties.get("publishingProfile") or {}).get("endOfLifeDate"))
    return end if end is not None and end > aware(now) else None


def lifts_block(version: ImageVersion) -> bool:
    """Whether the spec says that the version may be deleted before its end of life: now, or by what was taken out."""
    return _safety(version).get(_BLOCK) is False


def _safety(version: ImageVersion) -> dict[str, bool]:
    wire: dict[str, bool] = version.spec.safety_profile.to_wire()
    if _BLOCK not in wire and f"safetyProfile/{_BLOCK}" in version.status.managed_fields:
        wire[_BLOCK] = False
    return wire


def _secrets(version: ImageVersion) -> dict[str, Any] | None:
    profile = version.spec.security_profile
    settings = profile.secrets_provisioning_settings if profile is not None else None
    return settings.to_wire() if settings is not None else None


def _ordered(secrets: Mapping[str, Any] | None) -> dict[str, Any]:
    wire = dict(secrets or {})
    wire["components"] = sorted(wire.get("components") or [], key=lambda each: str(each.get("name")))
    return wire


def _claim(secrets: Mapping[str, Any]) -> str:
    return f"securityProfile/{_SECRETS}/{fingerprint(secrets)}"


def _kept_tags(version: ImageVersion, existing: Mapping[str, Any]) -> dict[str, str]:
    tags: Mapping[str, str] = existing.get("tags") or {}
    gone = {
        name.removeprefix("tags/")
        for name in version.status.managed_fields
        if name.startswith("tags/") and name.removeprefix("tags/") not in version.spec.tags
    }
    return {name: value for name, value in tags.items() if name not in gone}
