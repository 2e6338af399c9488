"""Versions that were deleted and can be restored: what Azure lists, and whether one of them may come back. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gallery_operator.api import ImageVersion
from gallery_operator.api.lifecycle import SOFT_DELETED_LIMIT, SoftDeletedStatus, SoftDeletedVersion
from gallery_operator.planning.listed import numbers
from gallery_operator.planning.moments import parsed
from gallery_operator.planning.outcome import Stalled
from gallery_operator.planning.ownership import Ownership, owner_of, ownership

_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Deleted:
    """A soft-deleted version.

    Attributes:
        version: Its number and times, for status.
        tags: Its tags; None when Azure does not tell them.
    """

    version: SoftDeletedVersion
    tags: Mapping[str, str] | None = None


def deleted(documents: Iterable[Mapping[str, Any]]) -> list[Deleted]:
    """Read the list of soft-deleted versions, in REST form; those that go first at the top."""
    found = [_deleted(each) for each in documents]
    return sorted(found, key=lambda each: (each.version.hard_deletion_target_time or _LAST, each.version.version))


def _deleted(document: Mapping[str, Any]) -> Deleted:
    properties = document.get("properties") or {}
    times = {
        name: found.replace(microsecond=0)
        for name in ("softDeletedTime", "consumptionEndTime", "hardDeletionTargetTime")
        if (found := parsed(properties.get(name))) is not None
    }
    version = SoftDeletedVersion.model_validate({"version": str(document.get("name")), **times})
    return Deleted(version, document.get("tags"))


def status(found: Iterable[Deleted]) -> SoftDeletedStatus | None:
    """Return what to report; None when there is none."""
    versions = [each.version for each in found]
    return SoftDeletedStatus(count=len(versions), versions=tuple(versions[:SOFT_DELETED_LIMIT])) if versions else None


def match(found: Iterable[Deleted], version: str) -> Deleted | None:
    """Return the soft-deleted version with a number, or None."""
    return next((each for each in found if numbers(each.version.version) == numbers(version)), None)


def restore_body(found: Deleted, tags: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the body of the PATCH that brings a version back (from Azure's published example).

    Args:
        found: The soft-deleted version.
        tags: Tags to put on it at once, because nothing may be left that says whose it is; None: those it has stay.
    """
    body: dict[str, Any] = {"properties": {"restore": True, "storageProfile": {}}}
    if tags is not None:
        body["tags"] = {**(found.tags or {}), **tags}
    return body


def refusal(version: ImageVersion, found: Deleted, cluster: str, *, had: bool) -> Stalled | None:
    """Say why a soft-deleted version must not be restored for an object; None when it may.

    Args:
        version: The object.
        found: The soft-deleted version.
        cluster: Name of this cluster in ownership tags.
        had: The object's own status says that this very version was its.
    """
    number = version.spec.version
    until = found.version.hard_deletion_target_time
    what = f"Version {number} is soft-deleted in Azure" + (f" until {until:%Y-%m-%dT%H:%M:%SZ}" if until else "")
    if version.spec.restore_policy == "Refuse":
        return Stalled(
            "SoftDeleted",
            f"{what} and restorePolicy is Refuse: set it to Restore to bring the version back as it was, or choose "
            "another version number.",
        )
    whose = ownership(found.tags, version, cluster)
    if whose is Ownership.ANOTHERS:
        return Stalled(
            "OwnedByAnother", f"{what} and belongs to {owner_of(found.tags)}: choose another version number."
        )
    if whose is Ownership.NOBODYS and not had and version.spec.adoption_policy != "Adopt":
        return Stalled(
            "SoftDeleted",
            f"{what}, and nothing says that it was this object's: set adoptionPolicy to Adopt to bring it back as it "
            "was (the source in the spec is not read), or choose another version number.",
        )
    return None
