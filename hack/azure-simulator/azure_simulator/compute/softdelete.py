"""Soft delete: versions that were deleted in a gallery with a soft delete policy.

Sources: Microsoft's page "Soft Delete in Azure Compute Gallery" (what blocks a parent's deletion, how to restore and
to delete for good, 7 days), recorded traffic (azure-cli, test_gallery_soft_delete of April 2026: policy in answers,
restore by a PUT with location and tags only), the SDK's model docs (retention, then grace), published examples (list).
Inferred: GET of a soft-deleted version answers 404; a PUT with a source while one of the name is kept answers 409.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from ..engine import Engine
from ..errors import ArmError, bad_parameter, resource_not_found
from ..ids import ResourceId, parse_id
from ..operations import Call, Reply
from ..store import Resource, Timer
from .base import GALLERY_API, Kind, as_object
from .lag import mark_lag

__all__ = ["SoftDeleted", "is_enabled", "keep", "kept_key", "normal_policy", "refuse_kept", "restore", "usable_version"]

_DAY = 86400.0
_RETENTION_DAYS = 7
_POLICY = "gallery.properties.softDeletePolicy"
_TYPES = ("galleries", "softDeletedArtifactTypes", "artifacts", "versions")
_KEPT = "microsoft.compute/" + "/".join(_TYPES).lower()
_VERSION = "microsoft.compute/galleries/images/versions"
_GRACE_FROM = "2026-03-03"  # the API version that has gracePeriodInDays


def normal_policy(call: Call, wanted: object, before: object) -> dict[str, Any] | None:
    """Return the soft delete policy to store; one that is not sent stays (inferred).

    Raises:
        ArmError: 400, a period does not do.
    """
    if wanted is None:
        return dict(before) if isinstance(before, Mapping) else None
    sent = as_object(wanted, _POLICY)
    retention, grace = sent.get("retentionPeriodInDays"), sent.get("gracePeriodInDays")
    for name, days, least in (("retentionPeriodInDays", retention, 1), ("gracePeriodInDays", grace, 0)):
        if days is not None and (isinstance(days, bool) or not isinstance(days, int) or days < least):
            raise bad_parameter(f"The value {days} of parameter {_POLICY}.{name} is out of range.", f"{_POLICY}.{name}")
    if retention not in (None, _RETENTION_DAYS) and call.api_version < _GRACE_FROM:
        # The page says that the period cannot be changed; newer API versions have a second period and examples of it.
        raise bad_parameter("The retention period cannot be changed.", f"{_POLICY}.retentionPeriodInDays")
    policy: dict[str, Any] = {
        "isSoftDeleteEnabled": bool(sent.get("isSoftDeleteEnabled", False)),
        "retentionPeriodInDays": retention or _RETENTION_DAYS,
    }
    if grace is not None:
        policy["gracePeriodInDays"] = grace
    return policy


def is_enabled(gallery: Resource | None) -> bool:
    """Whether versions that are deleted in this gallery are kept."""
    return bool(gallery and (gallery.properties.get("softDeletePolicy") or {}).get("isSoftDeleteEnabled"))


def kept_key(version: str) -> str:
    """Return the key under which a version (by its key) is kept once it is soft-deleted."""
    gallery, rest = version.lower().rsplit("/images/", 1)
    image, name = rest.split("/versions/")
    return f"{gallery}/softdeletedartifacttypes/images/artifacts/{image}/versions/{name}"


def keep(engine: Engine, version: Resource, due: float) -> None:
    """Turn a version into a soft-deleted one, at Azure time `due`, and set when it is gone for good."""
    gallery = engine.store.get(version.key.rsplit("/images/", 1)[0])
    assert gallery is not None
    policy = gallery.properties["softDeletePolicy"]
    unusable = due + policy["retentionPeriodInDays"] * _DAY
    gone = unusable + policy.get("gracePeriodInDays", 0) * _DAY
    body = deepcopy(version.body)
    identity = "/softDeletedArtifactTypes/Images/artifacts/".join(version.id.rsplit("/images/", 1))
    shown = {
        "id": identity,
        "name": version.name,
        "type": "Microsoft.Compute/" + "/".join(_TYPES),
        "location": version.body["location"],
        "properties": {
            "resourceArmId": version.id,
            "softDeletedArtifactType": "Images",
            "softDeletedTime": _moment(engine.clock.wall_at(due)),
            "consumptionEndTime": _moment(engine.clock.wall_at(unusable)),
            "hardDeletionTargetTime": _moment(engine.clock.wall_at(gone)),
        },
    }
    internal = {**version.internal, "version": body, "unusable": unusable, "gone_at": gone}
    internal.pop("gone", None)
    engine.store.delete(version.key)
    engine.store.put(Resource(kept_key(version.key), _KEPT, version.parent, shown, internal))
    engine.store.add_timer(gone, "softdeleted.expired", {"key": kept_key(version.key), "at": gone})


def restore(engine: Engine, kept: Resource) -> Resource:
    """Return the version that a soft-deleted one was, to be stored again; the soft-deleted one is removed."""
    version = Resource(
        str(kept.properties["resourceArmId"]).lower(), _VERSION, kept.parent, deepcopy(kept.internal["version"])
    )
    version.internal = {
        name: value for name, value in kept.internal.items() if name not in ("version", "unusable", "gone_at")
    }
    engine.store.delete(kept.key)
    return version


def usable_version(engine: Engine, key: str) -> Resource | None:
    """Return a version that may be used under its exact name: a live one, or a soft-deleted one in its retention."""
    found = engine.store.get(key)
    if found is not None:
        return found
    rid = parse_id(key)
    if rid is None or rid.type.lower() != _VERSION:
        return None
    kept = engine.store.get(kept_key(key))
    if kept is None or engine.clock.now() >= kept.internal["unusable"]:
        return None
    body = deepcopy(kept.internal["version"])
    body["properties"]["provisioningState"] = "Succeeded"
    return Resource(key.lower(), _VERSION, kept.parent, body, kept.internal)


class SoftDeleted(Kind):
    """Microsoft.Compute/galleries/softDeletedArtifactTypes/artifacts/versions: the list, and deletion for good."""

    types = _TYPES
    api_versions = frozenset(version for version in GALLERY_API if version >= "2024-03-03")

    def __init__(self, engine: Any) -> None:
        """Work on an engine's state."""
        super().__init__(engine)
        engine.on("softdeleted.expired", self._expired)
        engine.on("softdeleted.deleted", self._deleted)

    def listing(self, call: Call, subscription: str, group: str | None, parents: tuple[str, ...]) -> Reply:
        """Show the soft-deleted versions of a definition."""
        assert group is not None
        definition = self._definition(subscription, group, parents)
        return Reply(200, {"value": [kept.body for kept in self.store.children(definition, self.type)]})

    async def get(self, call: Call, rid: ResourceId) -> Reply:
        """Azure has no GET of one."""
        raise self._no_method("GET")

    async def delete(self, call: Call, rid: ResourceId) -> Reply:
        """Remove a soft-deleted version for good."""
        self._definition(rid.subscription, rid.group, rid.names[:-1])
        kept = self.store.get(rid.key)
        if kept is None:
            return Reply(204)
        timings = self.engine.config.timings
        _, headers = self.operations.begin(
            call,
            "capsOperations",
            subscription=rid.subscription,
            location=str(kept.body["location"]),
            seconds=timings.version_delete,
            kind="softdeleted.deleted",
            payload={"key": kept.key},
            poll=60.0,
            both=True,
        )
        return Reply(202, None, headers)

    def _definition(self, subscription: str, group: str, names: tuple[str, ...]) -> str:
        gallery, artifacts, image = names
        if artifacts.lower() != "images":
            raise bad_parameter(f"The value '{artifacts}' of parameter 'artifactType' is not allowed.", "artifactType")
        rid = ResourceId(subscription, group, self.namespace, ("galleries", "images"), (gallery, image))
        self.require_parents(rid)
        if self.store.get(rid.key) is None:
            raise resource_not_found(rid.type, "/".join(rid.names), group)
        return rid.key

    def _expired(self, timer: Timer) -> None:
        kept = self.store.get(timer.payload["key"])
        if kept is not None and kept.internal["gone_at"] == timer.payload["at"]:
            self._remove(kept, timer.due)

    def _deleted(self, timer: Timer) -> None:
        kept = self.store.get(timer.payload["key"])
        if kept is not None:
            self._remove(kept, timer.due)
        self.operations.finish(timer.payload["operation"], timer.due)

    def _remove(self, kept: Resource, due: float) -> None:
        self.store.delete(kept.key)
        for row in kept.internal["disks"]:
            self.engine.discard(row["container"])
        mark_lag(self, kept, due)


def refuse_kept(name: str) -> ArmError:
    """Return 409 for the creation of a version whose name a soft-deleted one has (inferred)."""
    return ArmError(
        409,
        "Conflict",
        f"The image version '{name}' is soft-deleted. Recover it, or delete it permanently, before a version of the "
        "same name is created.",
    )


def _moment(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
